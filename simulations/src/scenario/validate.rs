//! Values that can be read and yet cannot be: each is refused with the key it stands at.

use std::collections::BTreeSet;

use super::expect::Expectation;
use super::{FaultKind, Filter, Role, Scenario};
use crate::kernel::Span;

/// What is impossible, and at which key (`fault.0.where`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: String,
    /// What is wrong with its value.
    pub message: String,
}

type Checked = Result<(), Problem>;

fn must(holds: bool, key: impl Into<String>, message: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(Problem { key: key.into(), message: message.into() }) }
}

fn positive(value: f64, key: impl Into<String>) -> Checked {
    must(value.is_finite() && value >= 0.0, key, "a number that is not negative")
}

fn each_known(list: &[String], known: &BTreeSet<&str>, key: &str, what: &str) -> Checked {
    must(!list.is_empty(), key, format!("at least one {what}"))?;
    for (n, name) in list.iter().enumerate() {
        let near = known.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
        let near = near.map(|near| format!("; is it `{near}`?")).unwrap_or_default();
        must(known.contains(name.as_str()), format!("{key}.{n}"), format!("no {what} is called `{name}`{near}"))?;
    }
    Ok(())
}

/// Checks what types cannot say.
///
/// # Errors
/// The first value that cannot be.
pub fn validate(scenario: &Scenario) -> Checked {
    let left_out = scenario.warmup.0.saturating_add(scenario.drain.0);
    must(
        left_out < scenario.duration.0,
        "duration",
        "longer than `warmup` and `drain` together, or nothing is counted",
    )?;
    people(scenario)?;
    places(scenario)?;
    nodes(scenario)?;
    gateways(scenario)?;
    networks(scenario)?;
    faults(scenario)?;
    for (metric, text) in &scenario.expect {
        // Names have points in them, so the key of the table is as near as one gets.
        Expectation::parse(text)
            .map_err(|message| Problem { key: "expect".to_owned(), message: format!("`{metric}`: {message}") })?;
    }
    Ok(())
}

fn people(scenario: &Scenario) -> Checked {
    let people = &scenario.people;
    must(people.count > 0, "people.count", "at least one person")?;
    positive(people.daily_online, "people.daily_online")?;
    positive(people.daily_offline, "people.daily_offline")?;
    must(people.text_median > 0, "people.text_median", "at least one character")
}

fn places(scenario: &Scenario) -> Checked {
    let mut names = BTreeSet::new();
    for (n, region) in scenario.region.iter().enumerate() {
        let key = |field: &str| format!("region.{n}.{field}");
        must(names.insert(region.name.as_str()), key("name"), "a name that no other region has")?;
        positive(region.population, key("population"))?;
        let inside = |value: f64| (0.0..=100.0).contains(&value);
        must(inside(region.at.0) && inside(region.at.1), key("at"), "two numbers between 0 and 100")?;
    }
    let people = scenario.region.iter().filter(|region| !region.abroad).map(|region| region.population).sum::<f64>();
    must(people > 0.0, "region", "a region of the country with people in it")?;
    must(!scenario.carrier.is_empty(), "carrier", "at least one carrier")?;
    for (n, carrier) in scenario.carrier.iter().enumerate() {
        positive(carrier.share, format!("carrier.{n}.share"))?;
    }
    let shares = scenario.carrier.iter().map(|carrier| carrier.share).sum::<f64>();
    must(shares > 0.0, "carrier", "a carrier with people")
}

fn region_names(scenario: &Scenario) -> BTreeSet<&str> {
    scenario.region.iter().map(|region| region.name.as_str()).collect()
}

fn nodes(scenario: &Scenario) -> Checked {
    let regions = region_names(scenario);
    for (n, group) in scenario.nodes.iter().enumerate() {
        let key = |field: &str| format!("nodes.{n}.{field}");
        each_known(&group.regions, &regions, &key("regions"), "region")?;
        must(!group.providers.is_empty(), key("providers"), "at least one provider")?;
        must(!group.jurisdictions.is_empty(), key("jurisdictions"), "at least one jurisdiction")?;
        must(group.per_operator > 0, key("per_operator"), "at least one node")?;
        must(group.mtbf_shape.is_finite() && group.mtbf_shape > 0.0, key("mtbf_shape"), "more than 0")?;
    }
    let vault = scenario.nodes.iter().any(|group| group.count > 0 && group.roles.contains(&Role::Vault));
    must(vault, "nodes", "a group of nodes with the role `vault`: somebody must hold the accounts")?;
    let count: u64 = scenario.nodes.iter().map(|group| u64::from(group.count)).sum();
    must(count < u64::from(u16::MAX), "nodes", "fewer than 65,535 nodes")?;
    must(scenario.mesh.circle > 0, "mesh.circle", "at least one instance: that of the node itself")
}

fn gateways(scenario: &Scenario) -> Checked {
    let regions = region_names(scenario);
    let groups: BTreeSet<&str> = scenario.nodes.iter().map(|group| group.name.as_str()).collect();
    must(scenario.gateways.iter().any(|group| group.count > 0), "gateways", "at least one gateway client")?;
    for (n, group) in scenario.gateways.iter().enumerate() {
        let key = |field: &str| format!("gateways.{n}.{field}");
        each_known(&group.regions, &regions, &key("regions"), "region")?;
        each_known(&group.nodes, &groups, &key("nodes"), "group of nodes")?;
        must(group.forwarders > 0, key("forwarders"), "at least one node to post to")?;
        must(group.mtbf_shape.is_finite() && group.mtbf_shape > 0.0, key("mtbf_shape"), "more than 0")?;
    }
    Ok(())
}

fn networks(scenario: &Scenario) -> Checked {
    let sms = &scenario.sms;
    must(!sms.delay.is_empty(), "sms.delay", "at least one band of delay")?;
    for (n, band) in sms.delay.iter().enumerate() {
        positive(band.share, format!("sms.delay.{n}.share"))?;
        positive(band.sigma, format!("sms.delay.{n}.sigma"))?;
    }
    must(sms.delay.iter().map(|band| band.share).sum::<f64>() > 0.0, "sms.delay", "a band with a share")?;
    must(
        !sms.bursty || sms.bad_share.0 * sms.bad_loss.0 <= sms.loss.0 + 1e-12,
        "sms.bad_loss",
        "no more than the mean: `bad_share` × `bad_loss` is over `loss`, so the good state would lose less than nothing",
    )?;
    positive(sms.price, "sms.price")?;
    positive(scenario.links.sigma, "links.sigma")?;
    must(scenario.links.timeout > Span::ZERO, "links.timeout", "more than no time")?;
    positive(scenario.couriers.daily, "couriers.daily")
}

fn faults(scenario: &Scenario) -> Checked {
    let regions = region_names(scenario);
    for (n, fault) in scenario.fault.iter().enumerate() {
        let key = |field: &str| format!("fault.{n}.{field}");
        filter(fault.filter.as_deref(), &regions, &key("where"))?;
        must(fault.length != Some(Span::ZERO), key("for"), "more than no time")?;
        must(fault.times == 1 || fault.every.is_some(), key("times"), "with `every`, or it happens once")?;
        must(fault.every != Some(Span::ZERO), key("every"), "more than no time")?;
        let throttles = fault.kind == FaultKind::Throttle;
        must(
            throttles || fault.rate.is_none(),
            key("rate"),
            "only with `kind = \"throttle\"`: nothing else has a line",
        )?;
        if let Some(amount) = fault.amount {
            positive(amount, key("amount"))?;
        }
    }
    for (n, liars) in scenario.byzantine.iter().enumerate() {
        filter(liars.filter.as_deref(), &regions, &format!("byzantine.{n}.where"))?;
    }
    Ok(())
}

fn filter(text: Option<&str>, regions: &BTreeSet<&str>, key: &str) -> Checked {
    let Some(text) = text else { return Ok(()) };
    let parsed = Filter::parse(text).map_err(|error| Problem { key: key.to_owned(), message: error.to_string() })?;
    known_regions(&parsed, regions, key)
}

fn known_regions(filter: &Filter, regions: &BTreeSet<&str>, key: &str) -> Checked {
    match filter {
        Filter::In(label, values) if label == "region" => {
            let unknown = values.iter().find(|value| !regions.contains(value.as_str()));
            let Some(unknown) = unknown else { return Ok(()) };
            must(false, key, format!("no region is called `{unknown}`"))
        }
        Filter::All | Filter::In(..) => Ok(()),
        Filter::Not(inner) => known_regions(inner, regions, key),
        Filter::And(all) | Filter::Or(all) => all.iter().try_for_each(|inner| known_regions(inner, regions, key)),
    }
}
