//! What is wrong with a configuration: where, what, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// Names further apart than this share of their letters are no typing mistakes.
const SUGGEST_ABOVE: f64 = 0.7;

/// Where a wrong value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line and column of the file, from 1.
    At {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A key of the file or a default, without a line.
    Key(&'static str),
    /// A file of its own.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Key(key) => f.write_str(key),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// The configuration cannot be used. `Display` is one line; it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do; may be empty, when `what` says it.
    pub help: String,
}

impl ConfigError {
    /// An error at a place.
    pub fn new(place: Place, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place, what: one_line(&what.into()), help: one_line(&help.into()) }
    }

    /// An error of a key.
    pub fn key(key: &'static str, what: impl fmt::Display, help: impl Into<String>) -> Self {
        Self::new(Place::Key(key), what.to_string(), help)
    }

    /// Whether it only says that this process has no way to the key: a passphrase that nobody can be asked for, or a
    /// credential that systemd hands to the unit alone.
    pub fn is_about_access(&self) -> bool {
        matches!(self.place, Place::Key(super::keys::PROMPT | super::keys::CREDENTIAL))
    }

    /// What the parser of the file says, with line and column.
    pub fn of_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let (line, column) = position(text, start);
        let place = Place::At { path: path.to_owned(), line, column };
        let (what, help) = explain(error.message(), "correct this line");
        Self::new(place, what, help)
    }

    /// What the parser says of a value from the environment.
    pub fn of_env(name: &str, error: &toml::de::Error) -> Self {
        let (what, help) = explain(error.message(), "correct or unset it");
        Self::new(Place::Env(name.to_owned()), what, help)
    }
}

/// Line and column (from 1, in characters) of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Turns serde's "unknown field" into what is wrong and what was probably meant; passes on the rest.
fn explain(message: &str, otherwise: &str) -> (String, String) {
    for (intro, kind) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some(rest) = message.strip_prefix(intro) {
            // The wrong name may hold anything; the known ones are ours. Where there are none, serde says so.
            let parts = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no "));
            let (wrong, known) = parts.unwrap_or((rest, ""));
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            return (format!("unknown {kind} {wrong:?}"), suggest(wrong, &known));
        }
    }
    (message.to_owned(), otherwise.to_owned())
}

/// "did you mean", or all that there is.
pub fn suggest(wrong: &str, known: &[&str]) -> String {
    let near = |name: &&&str| strsim::jaro_winkler(&wrong.to_ascii_lowercase(), name);
    let best = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    match best {
        Some(name) if near(&name) > SUGGEST_ABOVE => format!("did you mean {name:?}?"),
        Some(_) => format!("there are: {}", known.join(", ")),
        None => "remove it".to_owned(),
    }
}

/// As a terminal can be given it, whatever names and values hold.
fn one_line(text: &str) -> String {
    let line = text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    line.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_get_a_suggestion() {
        let (what, help) = explain("unknown field `htpp`, expected one of `http`, `grpc`, `mesh`", "");
        assert_eq!((what.as_str(), help.as_str()), ("unknown key \"htpp\"", "did you mean \"http\"?"));
        let (_, help) = explain("unknown field `zzz`, expected `path` or `cache_mib`", "");
        assert_eq!(help, "there are: path, cache_mib");
        let (what, help) = explain("unknown variant `opne`, expected one of `invite`, `open`, `list`", "");
        assert_eq!((what.as_str(), help.as_str()), ("unknown value \"opne\"", "did you mean \"open\"?"));
        let (what, help) = explain("unknown field `a`b`, `c`, expected `path` or `cache_mib`", "");
        assert_eq!((what.as_str(), help.as_str()), ("unknown key \"a`b`, `c\"", "there are: path, cache_mib"));
        assert_eq!(
            explain("unknown field `x`, there are no fields", ""),
            ("unknown key \"x\"".into(), "remove it".into())
        );
        assert_eq!(explain("unknown field `", "x").1, "remove it");
    }

    #[test]
    fn positions_count_from_one() {
        let text = "a = 1\né = x\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find('x').unwrap()), (2, 5));
        assert_eq!(position(text, 999), (3, 1));
    }
}
