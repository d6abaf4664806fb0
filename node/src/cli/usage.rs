//! Mistakes in the words of the command line, as errors of ours: which argument, what is wrong, what was expected.

use std::error::Error as _;

use clap::error::{ContextKind, ErrorKind};

use super::exit::{ExitError, Kind};
use super::words::Wrong;

/// Where there is nothing better to say.
const HELP: &str = "see relaymesh help";

/// The error for a word that [`super::words`] refused. It leaves the word out, which clap's own text has.
pub fn wrong_word(error: &clap::Error) -> Option<ExitError> {
    let Wrong { what, help } = error.source()?.downcast_ref()?;
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    Some(ExitError::new(Kind::Usage, format!("{argument}: {what}"), help))
}

/// Any mistake as one line and what to do: the first paragraph of clap's text, and those behind it.
pub fn error(error: &clap::Error) -> ExitError {
    let text = error.to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return ExitError::new(Kind::Usage, "a command is missing", commands(&text));
    }
    let mut paragraphs = text.split("\n\n").map(one_line).filter(|paragraph| !paragraph.is_empty());
    let what = paragraphs.next().unwrap_or_default();
    // The last one points to --help, whose usage stands right before it.
    let help: Vec<String> = paragraphs.filter(|paragraph| !paragraph.starts_with("For more information")).collect();
    let help = if help.is_empty() { HELP.to_owned() } else { help.join("; ") };
    ExitError::new(Kind::Usage, what.trim_start_matches("error: "), help)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The commands that a help text lists.
fn commands(help: &str) -> String {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    if names.is_empty() { HELP.to_owned() } else { format!("one of: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Cli;

    fn told(words: &[&str]) -> ExitError {
        let words = std::iter::once("relaymesh").chain(words.iter().copied());
        let error = Cli::command().try_get_matches_from(words).expect_err("it is a mistake");
        wrong_word(&error).unwrap_or_else(|| super::error(&error))
    }

    #[test]
    fn the_argument_and_what_was_expected_are_told() {
        for (words, what, help) in [
            (&["trace", "zz"][..], "<MESSAGE>: a message is named by 6 to 64", "copy it"),
            (&["trace"], "<MESSAGE>", "Usage: relaymesh trace"),
            (&["gateway", "add", "a", "--msisdn", "abc"], "--msisdn <NUMBER>: not a phone number", "+237650123456"),
            (&["gateway", "add", "a"], "--msisdn <NUMBER>", "Usage: relaymesh gateway add"),
            (&["gateway", "add", "a", "--msisdn", "+237650123456", "--country", "QQ"], "--country <CC>", "CM"),
            (&["node", "join", "garbage"], "<CODE>: this is no invite code", "relaymesh node invite"),
            (&["ping", " "], "<NODE>: an empty name", "beginning of an id"),
            (&["completions", "tcsh"], "'<SHELL>' [possible values: bash,", "'zsh'"),
            (&["bridge", "keys", "generate", "--count", "0"], "'--count <COUNT>': 0 is not in 1..=255", HELP),
            (&["bridge", "keys", "retire", "x"], "'<KID>'", HELP),
            (&["stats"], "'stats'", "'status'"),
            (&["status", "--fast"], "'--fast'", "Usage: relaymesh status"),
            (&["node"], "a command is missing", "one of: id, list, invite, join, federate, block, unblock"),
            (&[], "a command is missing", "one of: init, run"),
        ] {
            let error = told(words);
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.what.contains(what) && error.help.contains(help), "{words:?}: {error:?}");
            assert!(!error.what.contains('\n') && !error.help.contains('\n'), "{words:?}: {error:?}");
        }
    }

    #[test]
    fn numbers_and_codes_are_not_repeated() {
        let code = "rm1abcdefghijklmnopqrstuvwxyz";
        let error = told(&["node", "join", code]);
        assert!(!format!("{error:?}").contains(&code[3..]), "{error:?}");
        let error = told(&["gateway", "add", "a", "--msisdn", "237650123456"]);
        assert!(error.what.contains("--msisdn") && !error.what.contains("650123456"), "{error:?}");
    }
}
