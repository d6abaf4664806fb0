//! `phone`: the app's half on the command line, for testers and self-hosters.

pub mod args;
mod keep;
mod messages;
mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

use relaymesh_api::client::publisher_v1::ExchangeOAuth2CodeAndStoreRequest;
use relaymesh_api::client::vault_v1::ListEntityStoredTokensRequest;
use relaymesh_phone::{AgeCheck, Identity, Kind, Phone, Style};
use relaymesh_protocol::ids::Timestamp;
use serde::Serialize;

use self::args::{Entry, Online, PhoneCommand};
use self::wire::{Calls, Entered};
use super::args::Global;
use super::exit::ExitError;
use super::{print, print_json};
use crate::render::table;

/// Runs a `phone` command.
pub fn run(global: &Global, command: PhoneCommand) -> Result<(), ExitError> {
    match command {
        PhoneCommand::Signup { entry, country } => {
            enter(global, &entry, Kind::SignUp { country: country.to_ascii_uppercase() })
        }
        PhoneCommand::Login { entry } => enter(global, &entry, Kind::LogIn),
        PhoneCommand::Connect { online, platform, code, verifier, redirect } => {
            let proof = code.zip(verifier);
            connect(global, &online, &platform, proof, redirect)
        }
        PhoneCommand::Compose { state, platform, account, language, without_device_id, text } => {
            let wanted = messages::Wanted { platform, account, language, with_device_id: !without_device_id, text };
            messages::compose(global, &state, wanted)
        }
        PhoneCommand::Read { state, text } => messages::read(global, &state, &text),
        PhoneCommand::List { online } => list(global, &online),
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

fn tell(global: &Global, stage: &str, message: &str, next: &str) -> Result<(), ExitError> {
    if global.json { print_json(&Stage { stage, message }) } else { print(&format!("{message}\n{next}")) }
}

/// Sign-up and login: the keys of the call that brings the code are the ones that count.
fn enter(global: &Global, entry: &Entry, kind: Kind) -> Result<(), ExitError> {
    let identity: Identity =
        entry.number.parse().map_err(|e| ExitError::failed(format!("--number: {e}"), "write it like +237650123456"))?;
    let password = keep::password(&entry.online.state)?;
    let mut rng = keep::chance()?;
    let pending = Phone::begin(kind, identity, &mut rng);
    let request = pending.request(password.expose(), entry.code.as_deref(), "", Style::Plain);
    let calls = Calls::to(&entry.online.target)?;
    match calls.enter(pending.kind(), &request)? {
        Entered::CodeSent { message } => tell(global, "code_sent", &message, "Run this again with --code CODE.\n"),
        Entered::ResetNeeded { message } => Err(ExitError::failed(message, "reset the password in an app")),
        Entered::In { message, answer } => {
            let finished = pending.finish(&answer, now().seconds(), AgeCheck::Skip, &mut rng);
            let phone = finished
                .map_err(|e| ExitError::failed(e.to_string(), "check that the address is one of a relaymesh node"))?;
            keep::save(&entry.online.state, &password, &phone, &mut rng)?;
            tell(global, "logged_in", &message, "")
        }
    }
}

fn token(phone: &Phone) -> Result<String, ExitError> {
    let token = phone.long_lived_token().map(|token| token.reveal().to_owned());
    token.ok_or_else(|| ExitError::failed("this phone is not logged in", "run: relaymesh phone login"))
}

#[derive(Serialize)]
struct Authorize<'a> {
    url: &'a str,
    verifier: &'a str,
}

fn connect(
    global: &Global,
    online: &Online,
    platform: &str,
    proof: Option<(String, String)>,
    redirect: Option<String>,
) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let phone = keep::load(&online.state, &password)?;
    let request = phone.authorization_request(platform);
    let mut request =
        request.ok_or_else(|| ExitError::failed("this phone is not logged in", "run: relaymesh phone login"))?;
    request.redirect_url = redirect.unwrap_or(request.redirect_url);
    let calls = Calls::to(&online.target)?;
    let Some((code, verifier)) = proof else {
        let (url, verifier) = calls.authorization_url(request)?;
        if global.json {
            return print_json(&Authorize { url: &url, verifier: &verifier });
        }
        return print(&format!(
            "{url}\n\nOpen it, grant access, and run this again with --code CODE --verifier {verifier}\n"
        ));
    };
    let message = calls.exchange(ExchangeOAuth2CodeAndStoreRequest {
        long_lived_token: token(&phone)?,
        platform: platform.to_owned(),
        authorization_code: code,
        code_verifier: verifier,
        redirect_url: request.redirect_url,
        store_on_device: false,
        request_identifier: request.request_identifier,
    })?;
    tell(global, "connected", &message, "")
}

#[derive(Serialize)]
struct AccountRow<'a> {
    platform: &'a str,
    account: &'a str,
    on_device: bool,
}

fn list(global: &Global, online: &Online) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let mut phone = keep::load(&online.state, &password)?;
    let request = ListEntityStoredTokensRequest { long_lived_token: token(&phone)?, migrate_to_device: false };
    let listed = Calls::to(&online.target)?.list(request)?;
    phone.import_accounts(&listed).map_err(|e| ExitError::failed(e.to_string(), "ask the node's operator"))?;
    keep::save(&online.state, &password, &phone, &mut keep::chance()?)?;
    let rows: Vec<AccountRow<'_>> = listed
        .iter()
        .map(|one| AccountRow {
            platform: &one.platform,
            account: &one.account_identifier,
            on_device: one.is_stored_on_device,
        })
        .collect();
    if global.json {
        return print_json(&rows);
    }
    let place = |on_device| if on_device { "phone" } else { "node" };
    let cells =
        rows.iter().map(|row| vec![row.platform.to_owned(), row.account.to_owned(), place(row.on_device).to_owned()]);
    print(&table(&["PLATFORM", "ACCOUNT", "TOKENS AT"], cells.collect()))
}
