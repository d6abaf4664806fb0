//! `phone`: the app's half on the command line, for testers and self-hosters.

mod account;
pub mod args;
mod enter;
mod keep;
mod mail;
mod messages;
mod read;
mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

use relaymesh_phone::{Kind, Phone};
use relaymesh_protocol::ids::Timestamp;
use serde::Serialize;

use self::args::PhoneCommand;
use super::args::Global;
use super::exit::ExitError;
use super::{print, print_json};

/// Runs a `phone` command.
pub fn run(global: &Global, command: PhoneCommand) -> Result<(), ExitError> {
    match command {
        PhoneCommand::Signup { entry, country } => enter::enter(global, &entry, Kind::SignUp { country }),
        PhoneCommand::Login { entry } => enter::enter(global, &entry, Kind::LogIn),
        PhoneCommand::Reset { entry } => enter::enter(global, &entry, Kind::Reset),
        PhoneCommand::Password { online, new_password_file } => {
            account::password(global, &online, new_password_file.as_deref())
        }
        PhoneCommand::Connect { online, platform, code, verifier, redirect } => {
            account::connect(global, &online, platform.name, code.zip(verifier), redirect)
        }
        PhoneCommand::Disconnect { online, platform, account } => {
            account::disconnect(global, &online, platform.name, account)
        }
        PhoneCommand::Compose(args) => messages::compose(global, *args),
        PhoneCommand::Mail(args) => mail::mail(global, *args),
        PhoneCommand::Read { state, text } => read::read(global, &state, text),
        PhoneCommand::List { online, take_tokens } => account::list(global, &online, take_tokens),
        PhoneCommand::Delete { online, yes: _ } => account::delete(global, &online),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Serialize)]
struct Stage<'a> {
    stage: &'a str,
    message: &'a str,
}

/// What came of a call, and what comes next.
fn tell(global: &Global, stage: &str, message: &str, next: &str) -> Result<(), ExitError> {
    if global.json { print_json(global, &Stage { stage, message }) } else { print(&format!("{message}\n{next}")) }
}

fn logged_out() -> ExitError {
    ExitError::failed("this phone is not logged in", "run: relaymesh phone login")
}

fn token(phone: &Phone) -> Result<String, ExitError> {
    phone.long_lived_token().map(|token| token.reveal().to_owned()).ok_or_else(logged_out)
}
