//! `phone compose`, and what it shares with `phone mail`: fields of a message, and the SMS that come of it.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use relaymesh_phone::{Compose, ComposeError, Composed, Phone};
use relaymesh_protocol::content::{Content, ServiceType};
use relaymesh_protocol::gsm7;
use relaymesh_protocol::platform::Platform;
use serde::Serialize;

use super::args::{ComposeArgs, MailFields};
use super::{keep, now};
use crate::cli::args::Global;
use crate::cli::exit::{ExitError, Kind};
use crate::cli::{note, print, print_json, words};

/// Longest text that is read from standard input, in bytes: more than any payload has room for.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Largest picture that the first segment can announce, in bytes.
const IMAGE_BYTES_MAX: u64 = u16::MAX as u64;

/// The state is on the disk before the text is shown: a message key must never be used twice.
pub fn compose(global: &Global, args: ComposeArgs) -> Result<(), ExitError> {
    let ComposeArgs { state, platform, account, payload_version, without_device_id, to, mail, extra, text } = args;
    let text = text_or_input(text)?;
    check(platform, to.as_deref(), &mail, &text, extra.image.is_some())?;
    let image = extra.image.as_deref().map(read_image).transpose()?;
    let language = extra.language;
    let password = keep::password(&state)?;
    let mut phone = keep::load(&state, &password)?;
    let from = match platform.service {
        ServiceType::Test => String::new(),
        _ => connected(&phone, platform.name, account_of(&phone, platform.name, account)?)?,
    };
    let tokens = phone.account(platform.name, &from).and_then(relaymesh_phone::Account::tokens);
    let content = content(platform, from, to.unwrap_or_default(), mail, text);
    let mut message = Compose::new(platform.shortcode, payload_version.into(), content);
    message.tokens = tokens;
    message.with_device_id = !without_device_id;
    message.image = image;
    // What a pasted token update is known by: texts come in the language that the app writes with.
    if let Some(language) = language {
        phone.set_language(language);
    }
    message.language = language.or(message.language.map(|_| phone.language()));
    let composed = phone.compose(message, now()).map_err(|e| refused(&e))?;
    keep::save(&state, &password, &phone, &mut keep::chance()?)?;
    show(global, &composed)
}

/// Whether the message has the fields of the platform's kind, and no others.
fn check(
    platform: &Platform,
    to: Option<&str>,
    mail: &MailFields,
    text: &str,
    has_image: bool,
) -> Result<(), ExitError> {
    let usage = |what: String, help: &str| Err(ExitError::new(Kind::Usage, what, help));
    let (name, service) = (platform.name, platform.service);
    let is_mail = service == ServiceType::Email;
    if !is_mail && (mail.cc.is_some() || mail.bcc.is_some() || !mail.subject.is_empty()) {
        return usage(format!("a message to {name} has no --cc, --bcc and --subject"), "leave them out");
    }
    match (service, to.map(str::trim)) {
        (ServiceType::Text | ServiceType::Test, Some(_)) => {
            return usage(format!("a message to {name} has no receiver"), "leave --to out");
        }
        (ServiceType::Email | ServiceType::Message, None | Some("")) => {
            return usage(format!("a message to {name} needs a receiver"), "name one with --to");
        }
        (ServiceType::Email, Some(to)) => {
            if let Err(words::Wrong { what, help }) = words::addresses(to) {
                return usage(format!("--to: {what}"), &help);
            }
        }
        (ServiceType::Test, None) if text.parse::<u64>().is_err() => {
            return usage("a reliability test is named by its number".to_owned(), "write the number of the test");
        }
        _ => {}
    }
    let says_more = has_image || (is_mail && !mail.subject.trim().is_empty());
    if says_more { Ok(()) } else { some(text) }
}

/// The message of fields that were checked.
fn content(platform: &Platform, from: String, to: String, mail: MailFields, body: String) -> Content {
    let MailFields { cc, bcc, subject } = mail;
    let (cc, bcc) = (cc.unwrap_or_default(), bcc.unwrap_or_default());
    match platform.service {
        ServiceType::Email => Content::Email { from, to, cc, bcc, subject, body },
        ServiceType::Message => Content::Message { from, to, body },
        ServiceType::Text => Content::Text { from, body },
        ServiceType::Test => Content::Test { id: body },
    }
}

/// An account that the home would find. Any other would cost the person an SMS and come to nothing.
fn connected(phone: &Phone, platform: &str, account: String) -> Result<String, ExitError> {
    if phone.account(platform, &account).is_some() {
        return Ok(account);
    }
    let logged_out = (!phone.is_logged_in()).then(super::logged_out);
    Err(logged_out.unwrap_or_else(|| {
        ExitError::new(
            Kind::Usage,
            format!("--account names none that is connected at {platform}"),
            "see: relaymesh phone list; or connect it with: relaymesh phone connect",
        )
    }))
}

/// The account that was named, or the only one of the platform.
pub fn account_of(phone: &Phone, platform: &str, named: Option<String>) -> Result<String, ExitError> {
    if let Some(account) = named {
        return Ok(account);
    }
    let mut of_platform = phone.accounts().iter().filter(|account| account.platform == platform);
    match (of_platform.next(), of_platform.next()) {
        (Some(only), None) => Ok(only.identifier.clone()),
        (None, _) => Err(ExitError::failed(
            format!("no account at {platform} is known here"),
            "run: relaymesh phone list, or name --account",
        )),
        _ => Err(ExitError::failed(format!("there are several accounts at {platform}"), "name one with --account")),
    }
}

/// A message that says something.
pub fn some(text: &str) -> Result<(), ExitError> {
    if text.trim().is_empty() {
        return Err(ExitError::new(
            Kind::Usage,
            "the text is empty",
            "write one, or `-` to read it from standard input",
        ));
    }
    Ok(())
}

/// The text itself, or standard input for `-`.
pub fn text_or_input(text: String) -> Result<String, ExitError> {
    if text != "-" {
        return Ok(text);
    }
    let mut read = String::new();
    let input = std::io::stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut read);
    input.map_err(|e| ExitError::failed(format!("standard input cannot be read ({e})"), "pass the text as UTF-8"))?;
    Ok(read.trim_end_matches(['\r', '\n']).to_owned())
}

/// A picture that can be announced at all. Whether its SMS can be counted shows when they are made.
pub fn read_image(path: &Path) -> Result<Vec<u8>, ExitError> {
    let shown = path.display();
    let failed = |e| ExitError::failed(format!("{shown} cannot be read ({e})"), "check the path");
    let file = std::fs::File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if len > IMAGE_BYTES_MAX {
        return Err(ExitError::failed(format!("{shown} has {len} bytes, which no number of SMS can carry"), SMALLER));
    }
    let mut bytes = Vec::new();
    file.take(IMAGE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    match (bytes.get(..4), bytes.get(8..12)) {
        (Some(b"RIFF"), Some(b"WEBP")) => Ok(bytes),
        _ => Err(ExitError::failed(
            format!("{shown} is no WebP picture, and the apps send no other"),
            "convert it, for instance: cwebp -q 30 -resize 400 0 IN -o OUT.webp",
        )),
    }
}

/// What 255 segments have room for.
const SMALLER: &str = "make it smaller than about 26,000 bytes, for instance: cwebp -q 30 -resize 400 0 IN -o OUT.webp";

/// Why nothing was composed, with its causes and what to do.
pub fn refused(error: &ComposeError) -> ExitError {
    let help = match error {
        ComposeError::LoggedOut => "run: relaymesh phone login",
        ComposeError::NoBridgeSession => "name the node's static keys with --keys FILE",
        ComposeError::BadStaticKey(_) => "get the list anew: relaymesh bridge keys export",
        ComposeError::Content(_) | ComposeError::Payload(_) => "shorten it, or choose another --payload-version",
        ComposeError::ImageVersion => "leave --payload-version out, or --image",
        ComposeError::ImageLength { .. } | ComposeError::Split(_) => SMALLER,
        ComposeError::Encrypt(_) => "log in again",
    };
    ExitError::failed(chain(error), help)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        write!(out, ": {cause}").expect("a String takes any text");
        at = cause.source();
    }
    out
}

#[derive(Serialize)]
struct Told<'a> {
    ordinal: u32,
    sms: &'a [String],
    segments: usize,
}

/// The SMS, a blank line between two. What is said of them goes to standard error, so that the texts can be piped.
pub fn show(global: &Global, composed: &Composed) -> Result<(), ExitError> {
    let Composed { sms, segments_count, ordinal, .. } = composed;
    if global.json {
        return print_json(global, &Told { ordinal: *ordinal, sms, segments: *segments_count });
    }
    let count = sms.len();
    for (at, text) in sms.iter().enumerate() {
        let parts = gsm7::segments(text);
        let parts = if parts == 1 { "1 segment".to_owned() } else { format!("{parts} segments") };
        match count {
            1 => note(&format!("message {ordinal}: one SMS of {parts}")),
            _ => note(&format!("message {ordinal}: SMS {} of {count}, {parts}", at + 1)),
        }
        // Line breaks at its end say nothing; those within are part of the text.
        let gap = if at + 1 < count { "\n" } else { "" };
        print(&format!("{}\n{gap}", text.trim_end()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(platform: &str, to: Option<&str>, subject: &str, text: &str) -> Result<Content, ExitError> {
        let platform = Platform::by_name(platform).unwrap();
        let mail = MailFields { subject: subject.to_owned(), ..MailFields::default() };
        check(platform, to, &mail, text, false)?;
        Ok(content(platform, "me".to_owned(), to.unwrap_or_default().to_owned(), mail, text.to_owned()))
    }

    #[test]
    fn each_platform_has_its_own_fields() {
        assert_eq!(of("mastodon", None, "", "x").unwrap().service(), ServiceType::Text);
        assert_eq!(of("gmail", Some("a@example.org"), "s", "").unwrap().service(), ServiceType::Email);
        assert_eq!(of("telegram", Some("@ada"), "", "x").unwrap().service(), ServiceType::Message);
        assert_eq!(of("reliability", None, "", "17").unwrap().service(), ServiceType::Test);
        for (platform, to, subject, text) in [
            ("mastodon", Some("a"), "", "x"),
            ("mastodon", None, "s", "x"),
            ("mastodon", None, "", " \n"),
            ("gmail", None, "s", "x"),
            ("gmail", Some("ada"), "s", "x"),
            ("gmail", Some("a@example.org"), "", ""),
            ("telegram", None, "", "x"),
            ("telegram", Some(" "), "", "x"),
            ("reliability", None, "", "x"),
        ] {
            let refused = of(platform, to, subject, text).unwrap_err();
            assert!(refused.kind == Kind::Usage && !refused.help.is_empty(), "{platform} {to:?} {subject:?} {text:?}");
        }
        let platform = Platform::by_name("mastodon").unwrap();
        assert!(check(platform, None, &MailFields::default(), "", true).is_ok(), "a picture says enough");
    }

    #[test]
    fn only_connected_accounts_are_written_from() {
        let mut phone = Phone::new("+237650123456".parse().unwrap());
        assert!(connected(&phone, "mastodon", "me@m.example".to_owned()).unwrap_err().help.contains("phone login"));
        let one = relaymesh_phone::api::StoredToken {
            platform: "mastodon".to_owned(),
            account_identifier: "me@m.example".to_owned(),
            account_tokens: Default::default(),
            is_stored_on_device: false,
        };
        phone.import_accounts(&[one]).unwrap();
        assert_eq!(connected(&phone, "mastodon", "me@m.example".to_owned()).unwrap(), "me@m.example");
        assert!(connected(&phone, "bluesky", "me@m.example".to_owned()).is_err());
    }

    #[test]
    fn only_a_small_webp_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_image(&path).map_err(|error| error.what)
        };
        let webp = |len: usize| [b"RIFF\0\0\0\0WEBP".as_slice(), &vec![7; len - 12]].concat();
        assert_eq!(told(&webp(40)).unwrap().len(), 40);
        assert!(told(b"\x89PNG\r\n\x1a\n0000").unwrap_err().contains("no WebP"));
        assert!(told(b"").unwrap_err().contains("no WebP"));
        assert!(told(&webp(65_536)).unwrap_err().contains("65536 bytes"));
        assert!(read_image(&dir.path().join("none")).is_err());
    }
}
