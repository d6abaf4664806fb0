//! How a command ends: the exit code, and the error in the two forms of the command line.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::ConfigError;

/// The kinds of failure; the numbers are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The command was understood and did not succeed.
    Failed = 1,
    /// Wrong arguments.
    Usage = 2,
    /// No node answers at the socket.
    Unreachable = 3,
    /// The configuration, a key, a port or the data cannot be used.
    Config = 4,
    /// `doctor` found errors.
    Unhealthy = 5,
    /// Part of what was asked is done.
    Partial = 6,
    /// Trying again later may succeed.
    Temporary = 75,
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::Failed => "RM-E0100",
            Self::Usage => "RM-E0200",
            Self::Unreachable => "RM-E0300",
            Self::Config => "RM-E0400",
            Self::Unhealthy => "RM-E0500",
            Self::Partial => "RM-E0600",
            Self::Temporary => "RM-E7500",
        }
    }

    /// The command that explains more.
    fn docs(self) -> &'static str {
        match self {
            Self::Config => "relaymesh help config",
            Self::Unreachable => "relaymesh help run",
            Self::Unhealthy => "relaymesh help doctor",
            Self::Failed | Self::Usage | Self::Partial | Self::Temporary => "relaymesh help",
        }
    }
}

/// Why a command did not succeed. Holds no secret and no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ExitError {
    /// Decides the exit code.
    pub kind: Kind,
    /// What is wrong.
    pub what: String,
    /// What to do; may be empty.
    pub help: String,
}

impl ExitError {
    /// An error of a kind.
    pub fn new(kind: Kind, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { kind, what: what.into(), help: help.into() }
    }

    /// The command did not succeed.
    pub fn failed(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what, help)
    }

    /// The configuration, a port, a key or the data cannot be used: told in one line.
    pub fn config(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Kind::Config, what, help)
    }

    /// Prints the error and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        let text = if json { self.json() } else { self.text() };
        // Without standard error there is nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
        ExitCode::from(self.kind as u8)
    }

    fn text(&self) -> String {
        match (self.kind, self.help.as_str()) {
            (_, "") => format!("error: {}", self.what),
            (Kind::Config, help) => format!("error: {}; {help}", self.what),
            (_, help) => format!("error: {}\nhelp: {help}", self.what),
        }
    }

    fn json(&self) -> String {
        let Self { kind, what, help } = self;
        let told = Told { error: Body { code: kind.code(), message: what, hint: help, docs: kind.docs() } };
        serde_json::to_string(&told).unwrap_or_else(|_| self.text())
    }
}

#[derive(Serialize)]
struct Told<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    hint: &'a str,
    docs: &'a str,
}

impl From<ConfigError> for ExitError {
    fn from(error: ConfigError) -> Self {
        Self::config(error.to_string(), error.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_two_forms() {
        let error = ExitError::failed("no", "do this");
        assert_eq!(error.text(), "error: no\nhelp: do this");
        assert_eq!(
            error.json(),
            r#"{"error":{"code":"RM-E0100","message":"no","hint":"do this","docs":"relaymesh help"}}"#
        );
        assert_eq!(ExitError::config("a:1:2: no", "do this").text(), "error: a:1:2: no; do this");
        assert_eq!(ExitError::failed("no", "").text(), "error: no");
    }
}
