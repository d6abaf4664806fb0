//! What a scenario takes in from tables: an operator's own nodes and gateway clients, and a timeline of outages as public data
//! sets have it. Everything becomes ordinary groups and faults when the scenario is read, so what runs needs no table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::csv::{CsvError, Row, rows};
use super::{Fault, FaultKind, GatewayGroup, NodeGroup, Role, Scenario, WhenUnreachable, parse_span};
use crate::kernel::Span;

/// Tables to take in; their paths count from the scenario's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Nodes, one a line: `name,region,provider,jurisdiction,operator,roles,reachable,mtbf,mttr,mains`. The first two must be
    /// told; `roles` are separated by spaces. Each becomes a group of its own name.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub nodes: Option<PathBuf>,
    /// Gateway clients, one a line: `name,region,posts_to,when_unreachable,beside_node,mtbf,mttr,mains`. The first three must
    /// be told; `posts_to` are names of nodes or groups, separated by spaces.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub gateways: Option<PathBuf>,
    /// Outages, one a line: `entity` (or `location`), `start`, `duration` or `end`, and `score`, as in the tables of IODA; other
    /// columns are not looked at. Times are seconds since 1970, or `2017-01-17` with or without a time in UTC.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub outages: Option<PathBuf>,
    /// The moment at which the warm-up ends and the timeline begins; else the first outage comes a day after it.
    #[serde(default)]
    pub epoch: Option<String>,
    /// Outages with a lower score are left out; those without one are not.
    #[serde(default)]
    pub least_score: f64,
    /// Which regions an entity of the timeline means (`"region/4151" = ["NW"]`); `"*"` is every region of the country. An
    /// entity that is not here means the region of its name.
    #[serde(default)]
    pub entities: BTreeMap<String, Vec<String>>,
}

impl Import {
    /// Whether there is nothing to take in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const NODE_COLUMNS: [&str; 10] =
    ["name", "region", "provider", "jurisdiction", "operator", "roles", "reachable", "mtbf", "mttr", "mains"];
const GATEWAY_COLUMNS: [&str; 8] =
    ["name", "region", "posts_to", "when_unreachable", "beside_node", "mtbf", "mttr", "mains"];
/// All regions of the country.
const EVERYWHERE: &str = "*";

/// Takes in the tables of a scenario that lies in `folder`.
///
/// # Errors
/// When a table cannot be read, with file, line and column.
pub fn expand(scenario: &mut Scenario, folder: &Path) -> Result<()> {
    let import = std::mem::take(&mut scenario.import);
    let read = |path: &Path| -> Result<(String, String)> {
        let path = folder.join(path);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((text, path.display().to_string()))
    };
    if let Some(path) = &import.nodes {
        let (text, file) = read(path)?;
        scenario.nodes.extend(nodes(scenario, &text).with_context(|| file)?);
    }
    if let Some(path) = &import.gateways {
        let (text, file) = read(path)?;
        scenario.gateways.extend(gateways(scenario, &text).with_context(|| file)?);
    }
    if let Some(path) = &import.outages {
        let (text, file) = read(path)?;
        scenario.fault.extend(outages(scenario, &import, &text).with_context(|| file)?);
    }
    Ok(())
}

fn regions_of(scenario: &Scenario, row: &Row) -> Result<String, CsvError> {
    let field = row.need("region")?;
    if scenario.region.iter().any(|region| region.name == field.text) {
        return Ok(field.text.clone());
    }
    let known: Vec<&str> = scenario.region.iter().map(|region| region.name.as_str()).collect();
    Err(field.problem(format!("no region is called `{}`; there are {}", field.text, known.join(", "))))
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(format!("`{text}` is neither yes nor no")),
    }
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "gateway" => Ok(Role::Gateway),
        "vault" => Ok(Role::Vault),
        "relay" => Ok(Role::Relay),
        "bridge" => Ok(Role::Bridge),
        _ => Err(format!("`{text}` is no role; there are gateway, vault, relay, bridge")),
    }
}

/// Nodes of a table.
///
/// # Errors
/// With line and column.
pub fn nodes(scenario: &Scenario, text: &str) -> Result<Vec<NodeGroup>, CsvError> {
    let mut groups: Vec<NodeGroup> = Vec::new();
    for row in rows(text, Some(&NODE_COLUMNS))? {
        let name = row.need("name")?;
        let known = scenario.nodes.iter().chain(&groups).any(|group| group.name == name.text);
        if known {
            return Err(name.problem(format!("a group or node is called `{}` already", name.text)));
        }
        let told = |column: &str, other: &str| row.get(column).map_or(other.to_owned(), |field| field.text.clone());
        let roles = row.read("roles", |text| text.split_whitespace().map(role).collect::<Result<Vec<_>, _>>())?;
        groups.push(NodeGroup {
            name: name.text.clone(),
            count: 1,
            regions: vec![regions_of(scenario, &row)?],
            providers: vec![told("provider", "unknown")],
            per_operator: 1,
            operator: Some(told("operator", &name.text)),
            jurisdictions: vec![told("jurisdiction", "unknown")],
            roles: roles.unwrap_or_else(|| vec![Role::Gateway, Role::Vault]),
            reachable: row.read("reachable", truth)?.unwrap_or(true),
            mtbf: row.read("mtbf", parse_span)?,
            mtbf_shape: 1.0,
            mttr: row.read("mttr", parse_span)?.unwrap_or(Span::hours(4)),
            mains: row.read("mains", truth)?.unwrap_or(false),
        });
    }
    Ok(groups)
}

/// Gateway clients of a table; the scenario has its imported nodes already.
///
/// # Errors
/// With line and column.
pub fn gateways(scenario: &Scenario, text: &str) -> Result<Vec<GatewayGroup>, CsvError> {
    let mut groups: Vec<GatewayGroup> = Vec::new();
    for row in rows(text, Some(&GATEWAY_COLUMNS))? {
        let name = row.need("name")?;
        if scenario.gateways.iter().chain(&groups).any(|group| group.name == name.text) {
            return Err(name.problem(format!("a group or gateway client is called `{}` already", name.text)));
        }
        let posts_to = row.need("posts_to")?;
        let targets: Vec<String> = posts_to.text.split_whitespace().map(str::to_owned).collect();
        let unknown = targets.iter().find(|target| !scenario.nodes.iter().any(|group| group.name == **target));
        if let Some(unknown) = unknown {
            return Err(posts_to.problem(format!("no node or group is called `{unknown}`")));
        }
        let when = row.read("when_unreachable", |text| match text {
            "once" => Ok(WhenUnreachable::Once),
            "queue" => Ok(WhenUnreachable::Queue),
            _ => Err(format!("`{text}` is neither once nor queue")),
        })?;
        groups.push(GatewayGroup {
            name: name.text.clone(),
            count: 1,
            regions: vec![regions_of(scenario, &row)?],
            forwarders: u8::try_from(targets.len()).unwrap_or(u8::MAX),
            nodes: targets,
            when_unreachable: when.unwrap_or(WhenUnreachable::Once),
            beside_node: row.read("beside_node", truth)?.unwrap_or(false),
            mtbf: row.read("mtbf", parse_span)?,
            mtbf_shape: 1.0,
            mttr: row.read("mttr", parse_span)?.unwrap_or(Span::hours(4)),
            mains: row.read("mains", truth)?.unwrap_or(false),
        });
    }
    Ok(groups)
}

/// An outage of some regions, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Outage {
    regions: Vec<String>,
    start: u64,
    end: u64,
}

/// Outages of a table, as cuts of the Internet. What several sources saw of one outage is one.
///
/// # Errors
/// With line and column.
pub fn outages(scenario: &Scenario, import: &Import, text: &str) -> Result<Vec<Fault>, CsvError> {
    let mut all = Vec::new();
    for row in rows(text, None)? {
        if let Some(outage) = outage(scenario, import, &row)? {
            all.push(outage);
        }
    }
    all.sort();
    let mut joined: Vec<Outage> = Vec::new();
    for outage in all {
        match joined.last_mut() {
            Some(last) if last.regions == outage.regions && last.end >= outage.start => {
                last.end = last.end.max(outage.end)
            }
            _ => joined.push(outage),
        }
    }
    joined.sort_by_key(|outage| (outage.start, outage.end));
    let first = joined.first().map_or(0, |outage| outage.start).saturating_sub(86_400);
    let epoch = match &import.epoch {
        None => first,
        Some(text) => moment(text).map_err(|problem| CsvError {
            line: 1,
            column: 1,
            problem: format!("the scenario's import.epoch: {problem}"),
        })?,
    };
    let counted = joined.into_iter().filter(|outage| outage.end > epoch);
    Ok(counted.map(|outage| cut(&outage, epoch)).collect())
}

fn outage(scenario: &Scenario, import: &Import, row: &Row) -> Result<Option<Outage>, CsvError> {
    let score = row.read("score", |text| text.parse::<f64>().map_err(|_| format!("`{text}` is no number")))?;
    if score.is_some_and(|score| score < import.least_score) {
        return Ok(None);
    }
    let entity = match row.get("entity") {
        Some(entity) => entity,
        None => row.need("location").or_else(|_| row.need("entity"))?,
    };
    let start_field = row.need("start")?;
    let start = moment(&start_field.text).map_err(|problem| start_field.problem(problem))?;
    let end = match row.get("end") {
        Some(end) => moment(&end.text).map_err(|problem| end.problem(problem))?,
        None => {
            let field = row.need("duration")?;
            let length = field.text.parse::<u64>().ok().or_else(|| Some(parse_span(&field.text).ok()?.0 / 1_000_000));
            let length = length.ok_or_else(|| field.problem(format!("`{}` is no length of time", field.text)))?;
            start.saturating_add(length)
        }
    };
    if end <= start {
        return Err(start_field.problem("the outage ends before it begins"));
    }
    let own = vec![entity.text.clone()];
    let meant = import.entities.get(&entity.text).unwrap_or(&own);
    let home = scenario.region.iter().filter(|region| !region.abroad).map(|region| region.name.clone());
    let mut regions: Vec<String> =
        if meant.iter().any(|region| region == EVERYWHERE) { home.collect() } else { meant.clone() };
    if let Some(unknown) = regions.iter().find(|name| !scenario.region.iter().any(|region| region.name == **name)) {
        let text = format!("no region is called `{unknown}`; say in `import.entities` which `{}` means", entity.text);
        return Err(entity.problem(text));
    }
    regions.sort();
    regions.dedup();
    Ok(Some(Outage { regions, start, end }))
}

fn cut(outage: &Outage, epoch: u64) -> Fault {
    let start = outage.start.max(epoch);
    let regions: Vec<String> = outage.regions.iter().map(|region| format!("\"{region}\"")).collect();
    Fault {
        kind: FaultKind::InternetCut,
        filter: Some(format!("region in [{}]", regions.join(", "))),
        pick: None,
        start: Span::secs(start - epoch),
        length: Some(Span::secs(outage.end - start)),
        over: Span::ZERO,
        every: None,
        times: 1,
        disk: None,
        amount: None,
        latency: None,
        rate: None,
    }
}

/// Seconds since 1970: as a number, `2017-01-17`, or `2017-01-17T08:00:00Z` (a space will do, and seconds may be left out).
fn moment(text: &str) -> Result<u64, String> {
    let problem = || format!("`{text}` is no moment; write seconds since 1970 or 2017-01-17T08:00:00Z");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(seconds);
    }
    let numbers = |text: &str, at: char| -> Option<Vec<u64>> { text.split(at).map(|part| part.parse().ok()).collect() };
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let date = numbers(date, '-').ok_or_else(problem)?;
    let time = numbers(time, ':').ok_or_else(problem)?;
    let (&[year, month, day], &[hour, minute, ref rest @ ..]) = (date.as_slice(), time.as_slice()) else {
        return Err(problem());
    };
    let second = rest.first().copied().unwrap_or(0);
    let sound = (1970..3000).contains(&year) && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !sound || hour > 23 || minute > 59 || second > 59 || rest.len() > 1 {
        return Err(problem());
    }
    Ok((days_since_1970(year, month, day) * 24 + hour) * 3_600 + minute * 60 + second)
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| (1..=12).map(|month| days_of(year, month)).sum::<u64>()).sum();
    years + (1..month).map(|month| days_of(year, month)).sum::<u64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_and_data_sets_write_them() {
        assert_eq!(moment("1484611200"), Ok(1_484_611_200));
        assert_eq!(moment("2017-01-17"), Ok(1_484_611_200));
        assert_eq!(moment("2017-01-17 08:30"), Ok(1_484_641_800));
        assert_eq!(moment("2024-02-29T00:00:01Z"), Ok(1_709_164_801));
        for wrong in ["", "2017-02-29", "2017-13-01", "17 January", "2017-01-17T25:00", "2017-01-17T00:00:00:00", "-5"]
        {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
