//! `phone compose` and `phone read`: what needs no node.

use relaymesh_phone::{Compose, Incoming, Phone};
use relaymesh_protocol::content::Content;
use relaymesh_protocol::ids::Language;
use relaymesh_protocol::payload::PlatformVersion;
use relaymesh_protocol::platform::Platform;
use serde::Serialize;

use super::args::State;
use super::{keep, now};
use crate::cli::args::Global;
use crate::cli::exit::ExitError;
use crate::cli::{print, print_json};

/// What `phone compose` was told.
pub struct Wanted {
    /// Platform name.
    pub platform: String,
    /// Account identifier; by default the only one.
    pub account: Option<String>,
    /// Two letters.
    pub language: Option<String>,
    /// Whether the payload names its sender.
    pub with_device_id: bool,
    /// The post.
    pub text: String,
}

#[derive(Serialize)]
struct Composed<'a> {
    ordinal: u32,
    sms: &'a [String],
    segments: usize,
}

/// The state is on the disk before the text is shown: a message key must never be used twice.
pub fn compose(global: &Global, state: &State, wanted: Wanted) -> Result<(), ExitError> {
    let password = keep::password(state)?;
    let mut phone = keep::load(state, &password)?;
    let platform = Platform::by_name(&wanted.platform)
        .ok_or_else(|| ExitError::failed("the platform is not one that the apps know", "see: relaymesh phone list"))?;
    let from = account(&phone, &wanted)?;
    let content = Content::Text { from, body: wanted.text };
    let mut message = Compose::new(platform.shortcode, PlatformVersion::V2, content);
    message.with_device_id = wanted.with_device_id;
    if let Some(letters) = &wanted.language {
        message.language = Some(language(letters)?);
    }
    let composed =
        phone.compose(message, now()).map_err(|e| ExitError::failed(e.to_string(), "log in, or shorten the text"))?;
    keep::save(state, &password, &phone, &mut keep::chance()?)?;
    if global.json {
        return print_json(&Composed {
            ordinal: composed.ordinal,
            sms: &composed.sms,
            segments: composed.segments_count,
        });
    }
    // Texts can have line breaks of their own; an empty line is between two SMS.
    let texts: Vec<&str> = composed.sms.iter().map(|sms| sms.trim_end()).collect();
    print(&format!("{}\n", texts.join("\n\n")))
}

fn account(phone: &Phone, wanted: &Wanted) -> Result<String, ExitError> {
    if let Some(account) = &wanted.account {
        return Ok(account.clone());
    }
    let mut of_platform = phone.accounts().iter().filter(|account| account.platform == wanted.platform);
    match (of_platform.next(), of_platform.next()) {
        (Some(only), None) => Ok(only.identifier.clone()),
        (None, _) => Err(ExitError::failed(
            "no account of this platform is known here",
            "run: relaymesh phone list, or name --account",
        )),
        _ => Err(ExitError::failed("there are several accounts of this platform", "name one with --account")),
    }
}

fn language(letters: &str) -> Result<Language, ExitError> {
    let bytes: Result<[u8; 2], _> = letters.as_bytes().try_into();
    let bytes = bytes.map_err(|_| ExitError::failed("--language is no language", "write two letters, such as fr"))?;
    Ok(Language::lenient(bytes))
}

#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    text: String,
}

/// Shows what an SMS says; the phone is stored when reading changed it.
pub fn read(global: &Global, state: &State, text: &str) -> Result<(), ExitError> {
    let password = keep::password(state)?;
    let mut phone = keep::load(state, &password)?;
    let mut rng = keep::chance()?;
    let incoming =
        phone.read(text, now(), &mut rng).map_err(|e| ExitError::failed(e.to_string(), "paste the whole SMS, once"))?;
    keep::save(state, &password, &phone, &mut rng)?;
    let shown = show(incoming);
    if global.json { print_json(&shown) } else { print(&format!("{}\n", shown.text)) }
}

fn show(incoming: Incoming) -> Shown {
    match incoming {
        Incoming::Delivery(delivery) => {
            let platform = delivery.platform.map(|name| format!(" ({name})")).unwrap_or_default();
            let number = delivery.number.map(|number| format!(" no. {number}")).unwrap_or_default();
            Shown { kind: "delivery", text: format!("message{number}{platform}: {}", delivery.status) }
        }
        Incoming::Reply { mail, at_s, late } => {
            let late = if late { " (came late)" } else { "" };
            let at = crate::render::date(relaymesh_protocol::ids::Timestamp(at_s.saturating_mul(1000)));
            Shown {
                kind: "reply",
                text: format!("from {} at {at}{late}\nsubject: {}\n\n{}", mail.sender, mail.subject, mail.body),
            }
        }
        Incoming::Duplicate => Shown { kind: "duplicate", text: "this reply was read before".to_owned() },
        Incoming::TokenUpdate { account, .. } => {
            Shown { kind: "token_update", text: format!("new token of {account} is kept") }
        }
        Incoming::Otp(code) => Shown { kind: "otp", text: code.reveal().to_owned() },
        Incoming::Other => Shown { kind: "other", text: "not a message of RelaySMS".to_owned() },
    }
}
