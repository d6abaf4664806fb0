//! Reading scenario files: `extends` is laid under, overrides over, then everything is checked. What is wrong is told with
//! the line and column where it stands, also after files were laid over each other.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue, Deserializer};
use toml::{Spanned, Value};

use super::catalog::Place;
use super::validate::validate;
use super::{Problem, Scenario, imports};

/// Files that extend each other deeper than this are a mistake.
const DEPTH_MAX: usize = 8;

type Table<'t> = DeTable<'t>;
type Entry<'t> = Spanned<DeValue<'t>>;

/// What is wrong with a scenario, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file, or the override.
    pub file: String,
    /// Line and column, from 1.
    pub at: (usize, usize),
    /// What is wrong.
    pub message: String,
    /// The line itself.
    pub line: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.at;
        write!(f, "{}:{line}:{column}: {}", self.file, self.message)?;
        if self.line.is_empty() {
            return Ok(());
        }
        write!(f, "\n  {line:>4} | {}\n       | {}^", self.line, " ".repeat(column.saturating_sub(1)))
    }
}

impl std::error::Error for ScenarioError {}

/// Reads a scenario file, with what it extends, and overrides (`people.count` → value) over it.
///
/// # Errors
/// When a file cannot be read or is no scenario.
pub fn load(path: &Path, overrides: &[(String, Value)]) -> anyhow::Result<Scenario> {
    Ok(load_from(&Place::from(path), overrides, false)?)
}

/// The same for a named scenario as well; `ci` lays the scenario's own `[ci]` overrides under the given ones.
///
/// # Errors
/// When it cannot be read or is no scenario.
pub fn load_from(place: &Place, overrides: &[(String, Value)], ci: bool) -> Result<Scenario, ScenarioError> {
    let mut texts = Texts::default();
    let files = texts.read(place)?;
    for (key, value) in overrides {
        texts.add(format!("--set {key}"), value.to_string());
    }
    let mut table = Table::new();
    for file in texts.0.get(..files).into_iter().flatten().rev() {
        let mut over = texts.parse(file)?;
        over.remove("extends");
        table = merge(table, over);
    }
    let own: Vec<(String, Entry<'_>)> = if ci { ci_overrides(&table) } else { Vec::new() };
    let given = overrides.iter().zip(texts.0.get(files..).into_iter().flatten());
    let given = given.map(|((key, _), text)| Ok((key.clone(), texts.parse_value(text)?)));
    let given = given.collect::<Result<Vec<_>, ScenarioError>>()?;
    let mut root = DeValue::Table(table);
    for (key, value) in own.into_iter().chain(given) {
        let span = value.span();
        set(&mut root, &key, value).map_err(|message| texts.error(Some(span), &format!("`{key}`: {message}")))?;
    }
    let DeValue::Table(table) = root else { unreachable!("it was made as a table") };
    let mut scenario =
        Scenario::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))).map_err(|error| {
            let message = with_suggestion(error.message());
            texts.error(error.span().filter(|span| *span != (0..0)), &message)
        })?;
    imports::expand(&mut scenario, place.folder()).map_err(|error| ScenarioError {
        file: place.display(),
        at: (1, 1),
        message: format!("{error:#}"),
        line: String::new(),
    })?;
    scenario.at_ci_size |= ci;
    validate(&scenario).map_err(|Problem { key, message }| texts.error(locate(&table, &key), &message))?;
    Ok(scenario)
}

/// A text that was read: its name, itself, and where it begins among all.
struct Text {
    name: String,
    text: String,
    from: usize,
}

/// Texts that were read, one after the other; positions count through all of them.
#[derive(Default)]
struct Texts(Vec<Text>);

impl Texts {
    fn add(&mut self, name: String, text: String) {
        // One more than its length, so that an end is not the next one's beginning.
        let from = self.0.last().map_or(0, |last| last.from + last.text.len() + 1);
        self.0.push(Text { name, text, from });
    }

    /// Reads a scenario and what it extends, the topmost first. How many there are.
    fn read(&mut self, place: &Place) -> Result<usize, ScenarioError> {
        let mut place = place.clone();
        loop {
            let name = place.display();
            let alone =
                |message: String| ScenarioError { file: name.clone(), at: (1, 1), message, line: String::new() };
            if self.0.len() > DEPTH_MAX {
                return Err(alone("scenarios extend each other in a circle".to_owned()));
            }
            let text = place.read().map_err(|error| alone(format!("it cannot be read: {error}")))?;
            self.add(name.clone(), text);
            let last = self.0.last().expect("one was added above");
            let table = self.parse(last)?;
            let Some(base) = table.get("extends") else { return Ok(self.0.len()) };
            let Some(other) = base.get_ref().as_str() else {
                return Err(self.error(Some(base.span()), "`extends` is the name of a file, such as \"country.toml\""));
            };
            place = place.beside(other);
        }
    }

    fn parse<'t>(&self, text: &'t Text) -> Result<Table<'t>, ScenarioError> {
        match DeTable::parse(&text.text) {
            Ok(table) => Ok(shift_table(table.into_inner(), text.from)),
            Err(error) => Err(self.parse_error(text, &error)),
        }
    }

    fn parse_value<'t>(&self, text: &'t Text) -> Result<Entry<'t>, ScenarioError> {
        match DeValue::parse(&text.text) {
            Ok(value) => Ok(shift(value, text.from)),
            Err(error) => Err(self.parse_error(text, &error)),
        }
    }

    fn parse_error(&self, text: &Text, error: &toml::de::Error) -> ScenarioError {
        let span = error.span().map(|span| span.start + text.from..span.end + text.from);
        self.error(span.or(Some(text.from..text.from)), error.message())
    }

    /// An error at a position; without one, of the first file.
    fn error(&self, span: Option<Range<usize>>, message: &str) -> ScenarioError {
        let at = span.as_ref().map_or(0, |span| span.start);
        let Some(Text { name, text, from }) = self.0.iter().rfind(|text| text.from <= at) else {
            return ScenarioError { file: String::new(), at: (1, 1), message: message.to_owned(), line: String::new() };
        };
        let before = text.get(..at - from).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let at = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
        let line = text[start..].lines().next().filter(|_| span.is_some()).unwrap_or_default().to_owned();
        ScenarioError { file: name.clone(), at, message: message.to_owned(), line }
    }
}

/// Sets `a.b.0.c` to a value.
fn set<'t>(root: &mut DeValue<'t>, key: &str, value: Entry<'t>) -> Result<(), String> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().filter(|last| !last.is_empty()).ok_or("an empty key")?;
    put(descend(root, &parts)?, last, value)
}

fn descend<'r, 't>(mut place: &'r mut DeValue<'t>, parts: &[&str]) -> Result<&'r mut DeValue<'t>, String> {
    for part in parts {
        place = match place {
            DeValue::Table(inner) => {
                if !inner.contains_key(*part) {
                    inner.insert(
                        Spanned::new(0..0, (*part).to_owned().into()),
                        Spanned::new(0..0, DeValue::Table(Table::new())),
                    );
                }
                inner.get_mut(*part).map(Spanned::get_mut).ok_or("it was there a moment ago")?
            }
            DeValue::Array(inner) => {
                let at: usize = part.parse().map_err(|_| format!("`{part}` is no place of a list"))?;
                inner.get_mut(at).map(Spanned::get_mut).ok_or_else(|| format!("the list has no place {at}"))?
            }
            _ => return Err(format!("`{part}` lies within a plain value")),
        };
    }
    Ok(place)
}

fn put<'t>(place: &mut DeValue<'t>, last: &str, value: Entry<'t>) -> Result<(), String> {
    match place {
        DeValue::Table(inner) => {
            inner.remove(last);
            inner.insert(Spanned::new(value.span(), last.to_owned().into()), value);
            Ok(())
        }
        DeValue::Array(inner) => {
            let at: usize = last.parse().map_err(|_| format!("`{last}` is no place of a list"))?;
            let slot = inner.get_mut(at).ok_or_else(|| format!("the list has no place {at}"))?;
            *slot = value;
            Ok(())
        }
        _ => Err(format!("`{last}` lies within a plain value")),
    }
}

/// Overrides that the scenario itself has for continuous integration.
fn ci_overrides<'t>(table: &Table<'t>) -> Vec<(String, Entry<'t>)> {
    let Some(DeValue::Table(own)) = table.get("ci").map(Spanned::get_ref) else { return Vec::new() };
    own.iter().map(|(key, value)| (key.get_ref().to_string(), value.clone())).collect()
}

fn shift(value: Entry<'_>, by: usize) -> Entry<'_> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, by)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|value| shift(value, by)).collect()),
        plain => plain,
    };
    Spanned::new(span.start + by..span.end + by, inner)
}

fn shift_table(table: Table<'_>, by: usize) -> Table<'_> {
    let moved = table.into_iter().map(|(key, value)| {
        let span = key.span();
        (Spanned::new(span.start + by..span.end + by, key.into_inner()), shift(value, by))
    });
    moved.collect()
}

/// Tables are merged, everything else is replaced.
fn merge<'t>(mut under: Table<'t>, over: Table<'t>) -> Table<'t> {
    for (key, value) in over {
        let span = value.span();
        let below = under.remove(key.get_ref().as_ref()).map(Spanned::into_inner);
        let merged = match (below, value.into_inner()) {
            (Some(DeValue::Table(below)), DeValue::Table(above)) => DeValue::Table(merge(below, above)),
            (_, value) => value,
        };
        under.insert(key, Spanned::new(span, merged));
    }
    under
}

/// Where `a.b.0.c` stands, or the last part of it that is there.
fn locate(table: &Table<'_>, key: &str) -> Option<Range<usize>> {
    let mut parts = key.split('.');
    let first = table.get(parts.next()?)?;
    let (mut place, mut span) = (first.get_ref(), first.span());
    for part in parts {
        let inner = match place {
            DeValue::Table(inner) => inner.get(part),
            DeValue::Array(inner) => part.parse::<usize>().ok().and_then(|at| inner.get(at)),
            _ => None,
        };
        let Some(inner) = inner else { break };
        (place, span) = (inner.get_ref(), inner.span());
    }
    Some(span)
}

/// Adds the nearest known name to a message about an unknown one.
fn with_suggestion(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    let (Some(wrong), true) = (words.next(), message.starts_with("unknown ")) else { return message.to_owned() };
    let near = words.max_by(|a, b| strsim::jaro(a, wrong).total_cmp(&strsim::jaro(b, wrong)));
    near.map_or_else(|| message.to_owned(), |near| format!("{message}; is it `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = include_str!("../../tests/data/small.toml");

    /// Reads a file that extends the small scenario, and tells what is wrong with it.
    fn problem(text: &str, sets: &[(&str, &str)]) -> ScenarioError {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small.toml"), BASE).unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, text).unwrap();
        let sets: Vec<_> =
            sets.iter().map(|(key, value)| ((*key).to_owned(), Value::String((*value).to_owned()))).collect();
        let mut error = load_from(&Place::File(path), &sets, false).unwrap_err();
        error.file = error.file.rsplit('/').next().unwrap_or_default().to_owned();
        error
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let base = "extends = \"small.toml\"\n";
        let at = |text: &str| {
            let error = problem(&format!("{base}{text}"), &[]);
            (error.at, error.message)
        };
        let (place, message) = at("# a remark\nduratoin = \"3d\"\n");
        assert_eq!(place, (3, 1));
        assert!(message.contains("unknown field `duratoin`") && message.ends_with("is it `duration`?"), "{message}");
        let (place, message) = at("[people]\ncount = 5\nhome_abroad = \"130%\"\n");
        assert_eq!(place, (4, 15), "{message}");
        assert!(message.contains("not between"), "{message}");
        let (place, message) = at("[[fault]]\nkind = \"seize\"\nstart = \"1h\"\nwhere = 'region in [\"nroth\"]'\n");
        assert_eq!(place, (5, 9), "{message}");
        assert!(message.contains("no region is called `nroth`"), "{message}");
        assert_eq!(at("drain = \"29h\"\n").1, "longer than `warmup` and `drain` together, or nothing is counted");
        assert_eq!(at("[people]\ncount = 0\n").0, (3, 9));
        assert_eq!(at("[mesh]\ncircle = 0\n").0, (3, 10));
        assert_eq!(at("x = = 3\n").0.0, 2, "also what is no TOML");
        let throttle = "[[fault]]\nkind = \"throttle\"\nstart = \"1h\"\n";
        let (place, message) = at(&format!("{throttle}rate = \"20kbps\"\n"));
        assert_eq!(place, (5, 8), "{message}");
        assert!(message.contains("\"20kbit/s\""), "{message}");
        let (place, message) = at(&format!("{}rate = \"20kbit/s\"\n", throttle.replace("throttle", "internet_cut")));
        assert_eq!(place, (5, 8), "{message}");
        assert!(message.contains("only with `kind = \"throttle\"`"), "{message}");
        assert_eq!(at("[expect]\n\"delivered.72h\" = \"95%\"\n").0, (2, 1));
    }

    #[test]
    fn mistakes_below_and_in_overrides_are_told_as_theirs() {
        let error = problem("extends = \"small.toml\"\n", &[("people.count", "many")]);
        assert_eq!((error.file.as_str(), error.at), ("--set people.count", (1, 1)), "{error}");
        let error = problem("extends = \"small.toml\"\n", &[("people.cuont", "3")]);
        assert!(error.message.contains("is it `count`?"), "{error}");
        let error = problem("extends = \"mine.toml\"\n", &[]);
        assert!(error.message.contains("circle"), "{error}");
        // The base says it, so the base is named.
        let error = problem("extends = \"small.toml\"\nduration = \"5h\"\n[people]\nknown_gateways = 900\n", &[]);
        assert_eq!((error.file.as_str(), error.at), ("mine.toml", (4, 18)), "{error}");
        let shown = error.to_string();
        assert!(shown.contains("known_gateways = 900\n") && shown.ends_with('^'), "{shown}");
    }

    #[test]
    fn overrides_reach_into_lists_and_ci_values_lie_under_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, format!("{BASE}\n[ci]\n\"people.count\" = 3\nduration = \"9h\"\n")).unwrap();
        let set = |key: &str, value: Value| vec![(key.to_owned(), value)];
        let read = |sets: &[(String, Value)], ci| load_from(&Place::File(path.clone()), sets, ci).unwrap();
        assert_eq!(read(&set("nodes.1.count", Value::Integer(7)), false).nodes[1].count, 7);
        let small = read(&set("people.count", Value::Integer(4)), true);
        assert_eq!((small.people.count, small.duration), (4, crate::kernel::Span::hours(9)));
        assert_eq!(read(&[], false).people.count, 24);
    }

    #[test]
    fn a_scenario_survives_being_written() {
        for name in super::super::names() {
            let scenario = load_from(&Place::BuiltIn(name.to_owned()), &[], false).unwrap();
            let text = toml::to_string(&scenario).unwrap();
            assert_eq!(toml::from_str::<Scenario>(&text).unwrap(), scenario, "{name}");
        }
    }
}
