//! The command line: words to a command, the answer to text or JSON, failure to an exit code.

mod args;
mod ask;
mod config;
mod doctor;
pub mod exit;
mod files;
mod gateway;
mod init;
mod keys;
mod phone;
mod run;
mod usage;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use serde::Serialize;

use self::args::{Cli, Command, Global};
use self::exit::{ExitError, Kind};

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let words = Cli::command().try_get_matches();
    let parsed = words.and_then(|words| {
        let mut cli = Cli::from_arg_matches(&words)?;
        cli.global.schema = schema(&words);
        Ok(cli)
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let json = cli.global.json;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

/// What a command's JSON is: named after its words, so `relaymesh.node.list/1`. The number grows when a field goes or
/// changes its meaning.
fn schema(words: &clap::ArgMatches) -> String {
    let commands = std::iter::successors(words.subcommand(), |(_, words)| words.subcommand());
    let names: Vec<&str> = std::iter::once("relaymesh").chain(commands.map(|(name, _)| name)).collect();
    format!("{}/1", names.join("."))
}

/// Help and version go to standard output with 0; mistakes go to standard error with 2, as JSON where asked.
fn misused(error: &clap::Error) -> ExitCode {
    let asked = std::env::args_os().any(|word| word == "--json");
    let told = usage::wrong_word(error).or_else(|| asked.then(|| usage::error(error)));
    if let Some(told) = told.filter(|_| error.use_stderr()) {
        return told.report(asked);
    }
    // Without an output there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Kind::Usage as u8) } else { ExitCode::SUCCESS }
}

fn dispatch(cli: Cli) -> Result<(), ExitError> {
    let Cli { global, command } = cli;
    match command {
        Command::Init(args) => init::run(&global, args),
        Command::Run(args) => run::run(&global, &args),
        Command::Demo(args) => run::demo(&global, args),
        Command::Bench(args) => run::bench(&global, args),
        Command::Status => ask::status(&global),
        Command::Trace { message } => ask::trace(&global, message),
        Command::Doctor => doctor::run(&global),
        Command::Ping { node } => ask::ping(&global, node),
        Command::Gateway(command) => gateway::run(&global, command),
        Command::Node(command) => ask::node(&global, command),
        Command::Bundle(command) => files::bundle(&global, command),
        Command::Bridge(args::BridgeCommand::Keys(command)) => files::bridge_keys(&global, command),
        Command::Keys(args::KeysCommand::Passphrase { passphrase_file }) => keys::passphrase(&global, passphrase_file),
        Command::Phone(command) => phone::run(&global, command),
        Command::Config(command) => config::run(&global, &command),
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), ExitError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "relaymesh", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Data for standard output. A reader that has enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), ExitError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(ExitError::failed(format!("standard output cannot be written ({error})"), "check the disk or pipe"))
        }
        _ => Ok(()),
    }
}

/// A command's JSON: what it is, then its fields.
#[derive(Serialize)]
struct Document<'a, T: Serialize> {
    schema: &'a str,
    #[serde(flatten)]
    fields: &'a T,
}

/// One document with these fields.
fn print_json(global: &Global, fields: &impl Serialize) -> Result<(), ExitError> {
    print_bare(&Document { schema: &global.schema, fields })
}

/// A list, or a document in a form that is not ours to choose.
fn print_bare(value: &impl Serialize) -> Result<(), ExitError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|_| ExitError::failed("the answer cannot be written as JSON", "leave --json out"))?;
    print(&format!("{text}\n"))
}

/// For people, beside the data.
fn note(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
