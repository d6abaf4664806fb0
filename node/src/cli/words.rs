//! What single words of the command line may be. They are looked at while the line is read, so that a wrong one is told with
//! exit code 2 before a file is opened or a node is asked.
//!
//! A refusal never repeats the word: it may be a number or an invite code.

use std::fmt;

use relaymesh_core::command::{Private, is_gateway_name, message_prefix};
use relaymesh_core::membership::check_code;
use relaymesh_phone::Identity;
use relaymesh_protocol::ids::{E164, Language};
use relaymesh_protocol::platform::{PLATFORMS, Platform};
use tonic::transport::Uri;

use crate::config::suggest;

/// Why a word cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What it is not.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.help)
    }
}

impl std::error::Error for Wrong {}

fn wrong<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { what: what.into(), help: help.into() })
}

/// A message id, or its beginning.
pub fn message(text: &str) -> Result<String, Wrong> {
    message_prefix(text).or_else(|what| wrong(what, "copy it from what the gateway client was answered"))
}

/// A node, an instance or a gateway client.
pub fn name(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if text.is_empty() { wrong("an empty name", "write a name or the beginning of an id") } else { Ok(text.to_owned()) }
}

/// The name of a new gateway client.
pub fn gateway_name(text: &str) -> Result<String, Wrong> {
    if is_gateway_name(text) {
        return Ok(text.to_owned());
    }
    wrong("no name for a gateway client", "take 1 to 64 bytes of printable characters")
}

/// A phone number with its country code.
pub fn number(text: &str) -> Result<E164, Wrong> {
    text.trim().parse().or_else(|why| wrong(format!("{why}"), "write it like +237650123456"))
}

/// A country that has a numbering plan, in capitals.
pub fn country(text: &str) -> Result<String, Wrong> {
    let code = text.to_ascii_uppercase();
    if E164::is_region(&code) {
        return Ok(code);
    }
    wrong("no country with a numbering plan", "write its two letters, such as CM")
}

/// An invite code.
pub fn invite(text: &str) -> Result<Private, Wrong> {
    match check_code(text) {
        Ok(()) => Ok(text.into()),
        Err(what) => wrong(what, "ask the other operator for a code of `relaymesh node invite`"),
    }
}

/// A phone number or a mail address.
pub fn identity(text: &str) -> Result<Identity, Wrong> {
    let help = "write a number like +237650123456, or an address like ada@example.org";
    text.trim().parse().or_else(|why: relaymesh_phone::ParseIdentityError| wrong(why.to_string(), help))
}

/// A gRPC port.
pub fn url(text: &str) -> Result<String, Wrong> {
    let uri: Option<Uri> = text.trim().parse().ok();
    let is_one = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    match uri.filter(is_one) {
        Some(_) => Ok(text.trim().to_owned()),
        None => {
            wrong("no URL of a gRPC port", "write http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:8443")
        }
    }
}

/// The language of answers.
pub fn language(text: &str) -> Result<Language, Wrong> {
    match <[u8; 2]>::try_from(text.as_bytes()) {
        Ok(letters) if letters.iter().all(u8::is_ascii_alphabetic) => Ok(Language::lenient(letters)),
        _ => wrong("no language", "write two letters, such as fr"),
    }
}

/// A platform that the apps know.
pub fn platform(text: &str) -> Result<&'static Platform, Wrong> {
    let known: Vec<&str> = PLATFORMS.iter().map(|platform| platform.name).collect();
    Platform::by_name(text).ok_or(()).or_else(|()| wrong("no platform that the apps know", suggest(text, &known)))
}

/// Mail addresses, several with commas.
pub fn addresses(text: &str) -> Result<String, Wrong> {
    let mut all = text.split(',').map(str::trim);
    if all.all(relaymesh_mail::is_address) {
        return Ok(text.to_owned());
    }
    wrong("no mail address", "write it like ada@example.org, without a name; several with commas")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_as_people_write_them() {
        assert_eq!(message(" ABCDEF01 "), Ok("abcdef01".to_owned()));
        assert_eq!(number("+237650123456").unwrap().reveal(), "+237650123456");
        assert_eq!(country("cm"), Ok("CM".to_owned()));
        assert_eq!(identity("ada@example.org").unwrap().reveal(), "ada@example.org");
        assert_eq!(language("FR").unwrap(), Language::lenient(*b"FR"));
        assert_eq!(platform("mastodon").unwrap().name, "mastodon");
        for good in ["http://127.0.0.1:8443", "https://relay.example.org", "http://[::1]:8443/"] {
            assert_eq!(url(good), Ok(good.to_owned()));
        }
        for good in ["ada@example.org", "ada@example.org, bob@example.org"] {
            assert_eq!(addresses(good), Ok(good.to_owned()));
        }
    }

    #[test]
    fn whatever_else_is_refused_with_what_to_do_and_not_repeated() {
        let odd =
            ["zz", "abc", "+12", "hello world", "ftp://x", "//", "a@b", "a b@example.org", "rm1aaaa", "é", "\u{7}"];
        for text in odd {
            let told: Vec<Wrong> = [
                message(text).err(),
                number(text).err(),
                country(text).err(),
                invite(text).err(),
                identity(text).err(),
                url(text).err(),
                addresses(text).err(),
                platform(text).err(),
            ]
            .into_iter()
            .map(|wrong| wrong.unwrap_or_else(|| panic!("{text:?} is taken")))
            .collect();
            for Wrong { what, help } in told {
                assert!(!what.is_empty() && !help.is_empty(), "{text:?}");
                assert!(text.len() < 5 || !format!("{what}{help}").contains(text), "{text:?}: {what}; {help}");
            }
        }
        for text in ["", " "] {
            assert!(name(text).is_err() && message(text).is_err() && addresses(text).is_err() && url(text).is_err());
        }
        assert!(gateway_name("").is_err() && gateway_name(&"x".repeat(65)).is_err() && gateway_name("a\nb").is_err());
        assert!(language("f").is_err() && language("fra").is_err() && language("12").is_err());
        assert!(addresses("ada@example.org,").is_err() && addresses("ada@example.org,bob").is_err());
        assert!(platform("mastodno").unwrap_err().help.contains("mastodon"));
    }
}
