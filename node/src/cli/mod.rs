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

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use serde::Serialize;

use self::args::{Cli, Command};
use self::exit::{ExitError, Kind};

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.global.json;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

/// Help and version go to standard output with 0; mistakes go to standard error with 2, as JSON where asked.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = std::env::args_os().any(|word| word == "--json");
    if error.use_stderr() && asked {
        let text = error.to_string();
        let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        return ExitError::new(Kind::Usage, what, "see relaymesh help").report(true);
    }
    // Without an output there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Kind::Usage as u8) } else { ExitCode::SUCCESS }
}

fn dispatch(cli: Cli) -> Result<(), ExitError> {
    let Cli { global, command } = cli;
    match command {
        Command::Init(args) => init::run(&global, args),
        Command::Run => run::run(&global),
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

/// One document.
fn print_json(value: &impl Serialize) -> Result<(), ExitError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|_| ExitError::failed("the answer cannot be written as JSON", "leave --json out"))?;
    print(&format!("{text}\n"))
}

/// For people, beside the data.
fn note(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
