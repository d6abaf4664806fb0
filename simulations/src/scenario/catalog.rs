//! The named scenarios. They are part of the binary.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// Where a scenario's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In the binary, by name.
    BuiltIn(String),
}

/// Names of the scenarios in the binary, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name)
}

/// The text of a named scenario.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Finds a scenario by name or path. What ends in `.toml` or has a `/` in it is a path.
///
/// # Errors
/// When no scenario has this name.
pub fn find(wanted: &str) -> Result<Place> {
    if wanted.ends_with(".toml") || wanted.contains(std::path::MAIN_SEPARATOR) {
        return Ok(Place::File(PathBuf::from(wanted)));
    }
    if text(wanted).is_some() {
        return Ok(Place::BuiltIn(wanted.to_owned()));
    }
    let like = names().max_by(|a, b| strsim::jaro(a, wanted).total_cmp(&strsim::jaro(b, wanted)));
    let like = like.map(|name| format!("; is it `{name}`?")).unwrap_or_default();
    Err(anyhow!("no scenario is called `{wanted}`{like} `simulate list` prints all; a path ends in .toml"))
}

impl Place {
    /// As people read it.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::BuiltIn(name) => format!("{name}.toml (built in)"),
        }
    }

    /// Its text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> std::io::Result<String> {
        match self {
            Self::File(path) => std::fs::read_to_string(path),
            Self::BuiltIn(name) => {
                text(name).map(str::to_owned).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
            }
        }
    }

    /// Where the files lie that it names.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Self::File(path) => path.parent().unwrap_or(Path::new("")),
            Self::BuiltIn(_) => Path::new(""),
        }
    }

    /// What a scenario at this place means by `extends = "other.toml"`: the file beside it, or else the named one.
    #[must_use]
    pub fn beside(&self, other: &str) -> Self {
        let named = || Self::BuiltIn(other.strip_suffix(".toml").unwrap_or(other).to_owned());
        match self {
            Self::BuiltIn(_) => named(),
            Self::File(path) => {
                let file = path.with_file_name(other);
                if file.exists() || text(other.strip_suffix(".toml").unwrap_or(other)).is_none() {
                    Self::File(file)
                } else {
                    named()
                }
            }
        }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}
