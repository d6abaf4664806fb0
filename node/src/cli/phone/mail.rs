//! `phone mail`: bridge mail, from a phone with or without an account.

use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use relaymesh_core::command::BridgeKeyRow;
use relaymesh_phone::{ComposeBridge, Phone, StaticKey, Style, Switch, Via};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_ratchet::PublicKey;

use super::args::{BridgeVia, MailArgs, MailFields};
use super::messages::{read_image, refused, show, some, text_or_input};
use super::{keep, now};
use crate::cli::args::Global;
use crate::cli::exit::ExitError;

/// Largest list of static keys that is read, in bytes: 255 keys take some 30 KiB.
const KEYS_BYTES_MAX: u64 = 1 << 20;

/// The state is on the disk before the text is shown: a message key must never be used twice.
pub fn mail(global: &Global, args: MailArgs) -> Result<(), ExitError> {
    let MailArgs { state, keys, kid, session, payload_version, to, mail, extra, text } = args;
    let MailFields { cc, bcc, subject } = mail;
    let body = text_or_input(text)?;
    if subject.trim().is_empty() && extra.image.is_none() {
        some(&body)?;
    }
    let image = extra.image.as_deref().map(read_image).transpose()?;
    let mut rng = keep::chance()?;
    let key = keys.map(|file| pick(&read_keys(&file)?, kid, &mut rng)).transpose()?;
    let password = keep::password(&state)?;
    let mut phone = match keep::load_if_any(&state, &password)? {
        Some(phone) => phone,
        None if key.is_some() => keep::nobody(),
        None => keep::load(&state, &password)?,
    };
    let message = ComposeBridge {
        version: payload_version.into(),
        via: via(&phone, session, key)?,
        content: BridgeContent { to, cc: cc.unwrap_or_default(), bcc: bcc.unwrap_or_default(), subject, body },
        language: extra.language,
        image,
        style: Style::Android,
    };
    let composed = phone.compose_bridge(message, now(), &mut rng).map_err(|e| refused(&e))?;
    keep::save(&state, &password, &phone, &mut rng)?;
    show(global, &composed)
}

fn via(phone: &Phone, session: Option<BridgeVia>, key: Option<StaticKey>) -> Result<Via, ExitError> {
    let usual = if key.is_some() { BridgeVia::New } else { BridgeVia::Kept };
    let kept = |switch| {
        let key = phone.newest_bridge_key().ok_or_else(|| refused(&relaymesh_phone::ComposeError::NoBridgeSession))?;
        Ok(Via::Kept { key, switch })
    };
    match session.unwrap_or(usual) {
        BridgeVia::New => key.map(Via::Fresh).ok_or_else(|| {
            ExitError::failed("a new session needs a static key of the node", "name their list with --keys FILE")
        }),
        BridgeVia::Kept => kept(Switch::PayloadOnly),
        BridgeVia::Again => kept(Switch::KeyExchange),
        BridgeVia::Account => Ok(Via::Account),
    }
}

/// The list that `bridge keys export` writes and apps carry along.
fn read_keys(path: &Path) -> Result<Vec<StaticKey>, ExitError> {
    let wrong = |what: String| {
        ExitError::failed(format!("{} {what}", path.display()), "make it with: relaymesh bridge keys export FILE")
    };
    let len = std::fs::metadata(path).map_err(|e| wrong(format!("cannot be read ({e})")))?.len();
    if len > KEYS_BYTES_MAX {
        return Err(wrong("is no list of static keys".to_owned()));
    }
    let text = std::fs::read(path).map_err(|e| wrong(format!("cannot be read ({e})")))?;
    parse_keys(&text).map_err(wrong)
}

/// The active keys of a list; or what is wrong with it, which repeats nothing of a file that may be another.
fn parse_keys(text: &[u8]) -> Result<Vec<StaticKey>, String> {
    let rows: Vec<BridgeKeyRow> = serde_json::from_slice(text)
        .map_err(|e| format!("is no list of static keys (line {}, column {})", e.line(), e.column()))?;
    let active = rows.iter().filter(|row| row.status == "active");
    let keys = active.map(|row| {
        let public = PublicKey::from_base64_lenient(&row.keypair)
            .map_err(|e| format!("has no key under kid {} ({e})", row.kid))?;
        Ok(StaticKey { kid: row.kid, public })
    });
    keys.collect()
}

/// The key that was named, or one by chance as Android does.
fn pick(keys: &[StaticKey], kid: Option<u8>, rng: &mut ChaCha20Rng) -> Result<StaticKey, ExitError> {
    let found = match kid {
        Some(kid) => keys.iter().find(|key| key.kid == kid),
        None => usize::try_from(rng.next_u32()).ok().and_then(|at| keys.get(at.checked_rem(keys.len())?)),
    };
    found.copied().ok_or_else(|| ExitError::failed("the list has no such active key", "choose another --kid or --keys"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed(text: &str) -> Result<Vec<StaticKey>, ExitError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        std::fs::write(&path, text).unwrap();
        read_keys(&path)
    }

    #[test]
    fn the_list_of_the_node_is_read_and_nothing_else() {
        let public = PublicKey::try_from([9; 32].as_slice()).unwrap().to_base64();
        let row = |kid: u16, key: &str, status: &str| {
            format!(r#"{{"kid":{kid},"keypair":"{key}","status":"{status}","version":"v1"}}"#)
        };
        let good = format!("[{},{}]", row(3, &public, "active"), row(4, &public, "inactive"));
        let keys = listed(&good).unwrap();
        assert_eq!(keys.iter().map(|key| key.kid).collect::<Vec<_>>(), [3]);
        for bad in ["", "{}", &format!("[{}]", row(256, &public, "active")), &format!("[{}]", row(1, "AA", "active"))] {
            assert!(listed(bad).unwrap_err().help.contains("bridge keys export"), "{bad}");
        }
        let mut rng = keep::chance().unwrap();
        assert_eq!(pick(&keys, None, &mut rng).unwrap().kid, 3);
        assert!(pick(&keys, Some(4), &mut rng).is_err() && pick(&[], None, &mut rng).is_err());
    }

    /// Rows as a list has them, with anything in their fields.
    fn row() -> impl Strategy<Value = BridgeKeyRow> {
        let keypair = prop_oneof![
            any::<[u8; 32]>().prop_map(|key| PublicKey::try_from(key.as_slice()).unwrap().to_base64()),
            any::<String>(),
            "[A-Za-z0-9+/=_ -]{0,60}",
        ];
        let status = prop_oneof![2 => Just("active".to_owned()), 1 => any::<String>()];
        let row = |(kid, keypair, status, version)| BridgeKeyRow { kid, keypair, status, version };
        (any::<u8>(), keypair, status, any::<String>()).prop_map(row)
    }

    /// A refusal is one line that a terminal has room for.
    fn is_short(told: &Result<Vec<StaticKey>, String>) -> bool {
        told.as_ref().err().is_none_or(|text| text.len() < 200 && !text.chars().any(char::is_control))
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(is_short(&parse_keys(&bytes)));
        }

        #[test]
        fn any_text_is_a_list_or_refused(text in r#"[\[{]?[\PC"]{0,80}("(kid|keypair|status)":\PC{0,20})?[\]}]?"#) {
            prop_assert!(is_short(&parse_keys(text.as_bytes())));
        }

        #[test]
        fn a_long_text_in_the_wrong_place_is_not_repeated(text in "\\PC{200,400}") {
            let list = serde_json::json!([{ "kid": text, "keypair": text, "status": text, "version": text }]);
            let told = parse_keys(list.to_string().as_bytes());
            prop_assert!(told.is_err() && is_short(&told));
        }

        #[test]
        fn a_list_gives_its_active_keys_in_their_order_or_none(
            rows in proptest::collection::vec(row(), 0..6), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut text = serde_json::to_vec(&rows).unwrap();
            let read = parse_keys(&text);
            prop_assert!(is_short(&read));
            let active: Vec<_> = rows.iter().filter(|row| row.status == "active").collect();
            let good = active.iter().all(|row| PublicKey::from_base64_lenient(&row.keypair).is_ok());
            prop_assert_eq!(read.is_ok(), good);
            if let Ok(keys) = read {
                let expected: Vec<u8> = active.iter().map(|row| row.kid).collect();
                prop_assert_eq!(keys.iter().map(|key| key.kid).collect::<Vec<_>>(), expected);
            }
            let at = at.index(text.len());
            text[at] = byte;
            prop_assert!(is_short(&parse_keys(&text)));
        }
    }
}
