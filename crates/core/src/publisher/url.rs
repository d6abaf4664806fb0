//! Where the browser goes: the platform's authorization page, with PKCE S256 always (RFC 7636, RFC 9700).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::urls::{Handed, Request};
use super::{Change, configured, known_redirect};
use crate::accounts::{invalid, required};
use crate::command::{Private, PublisherReply, Refusal, Reply};
use crate::config::Platform;
use crate::input::ReplyTo;
use crate::node::Node;
use crate::tx::{Run, Tx};

/// Characters of a verifier that is made here; RFC 7636 asks for 43 to 128, and upstream's have 48.
const VERIFIER_CHARS: usize = 48;
/// RFC 7636 §4.1.
const VERIFIER_CHARS_RANGE: std::ops::RangeInclusive<usize> = 43..=128;
/// Longest field that goes into a URL or a table: longer URLs are cut by browsers.
const FIELD_BYTES_MAX: usize = 2_048;

pub(super) struct Asked<'a> {
    pub platform: &'a str,
    pub state: &'a str,
    pub code_verifier: &'a Private,
    pub generate: bool,
    pub redirect_url: &'a str,
    pub request_identifier: &'a str,
}

impl Asked<'_> {
    fn check(&self) -> Result<(), Refusal> {
        required(&[("platform", self.platform), ("redirect_url", self.redirect_url)])?;
        let fields = [
            ("state", self.state),
            ("redirect_url", self.redirect_url),
            ("request_identifier", self.request_identifier),
        ];
        match fields.iter().find(|(_, value)| value.len() > FIELD_BYTES_MAX) {
            Some((name, _)) => Err(invalid(format!("The {name} field is longer than {FIELD_BYTES_MAX} bytes."))),
            None => Ok(()),
        }
    }
}

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, asked: &Asked<'_>) -> Run {
    asked.check()?;
    let platform = configured(node, asked.platform)?;
    known_redirect(platform, asked.redirect_url)?;
    let verifier = verifier(tx, asked)?;
    let state = if asked.state.is_empty() { hex::encode(tx.random::<16>()) } else { asked.state.to_owned() };
    if !asked.request_identifier.is_empty() {
        let request = Request::of(asked.platform, asked.request_identifier);
        let handed = Handed::new(tx.now(), verifier.reveal(), asked.redirect_url);
        tx.change(Change::Handed(request, handed));
    }
    let url = build(platform, &state, verifier.reveal(), asked.redirect_url);
    tx.reply(
        reply,
        Reply::Publisher(PublisherReply::AuthorizationUrl {
            url,
            state,
            code_verifier: verifier,
            scope: platform.scope.split_whitespace().collect::<Vec<_>>().join(","),
            client_id: platform.client_id.clone(),
            redirect_url: asked.redirect_url.to_owned(),
            message: "Successfully generated authorization url".to_owned(),
        }),
    );
    Ok(())
}

/// The verifier that was sent, or a new one: there is no exchange without.
fn verifier(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Run<Private> {
    let sent = asked.code_verifier.reveal();
    if asked.generate || sent.is_empty() {
        return Ok(alphanumeric(tx).into());
    }
    let sound = VERIFIER_CHARS_RANGE.contains(&sent.len()) && sent.bytes().all(is_unreserved);
    if sound {
        Ok(asked.code_verifier.clone())
    } else {
        Err(invalid("The code_verifier field must have 43 to 128 characters of A-Z, a-z, 0-9, '-', '.', '_' and '~'.")
            .into())
    }
}

fn alphanumeric(tx: &mut Tx<'_>) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(VERIFIER_CHARS);
    while text.len() < VERIFIER_CHARS {
        let [byte] = tx.random();
        // Six bits, and the two values too many are drawn again: every letter is as likely.
        if let Some(letter) = LETTERS.get(usize::from(byte & 63)) {
            text.push(char::from(*letter));
        }
    }
    text
}

fn build(platform: &Platform, state: &str, verifier: &str, redirect_url: &str) -> String {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let query = [
        ("response_type", "code"),
        ("client_id", &platform.client_id),
        ("redirect_uri", redirect_url),
        ("scope", &platform.scope),
        ("state", state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let mut url = platform.authorize_url.clone();
    let mut separator = if url.contains('?') { '&' } else { '?' };
    for (name, value) in query {
        url.push(separator);
        url.push_str(name);
        url.push('=');
        encode(&mut url, value);
        separator = '&';
    }
    url
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Percent-encoding (RFC 3986 §2.1) of everything but unreserved characters.
fn encode(url: &mut String, value: &str) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        if is_unreserved(byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("a String takes any text");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_url_has_the_challenge_of_rfc_7636_and_survives_line_breaks() {
        let platform = Platform {
            name: "mastodon".to_owned(),
            authorize_url: "https://m.example/oauth/authorize".to_owned(),
            client_id: "a b".to_owned(),
            scope: "read write".to_owned(),
            redirect_urls: Vec::new(),
            text_max: 500,
            resend_within: Duration::ZERO,
        };
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let url = build(&platform, "bWFz\n", verifier, "https://r.example/android?a=1");
        assert_eq!(
            url,
            "https://m.example/oauth/authorize?response_type=code&client_id=a%20b\
             &redirect_uri=https%3A%2F%2Fr.example%2Fandroid%3Fa%3D1&scope=read%20write&state=bWFz%0A\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        let with_query = Platform { authorize_url: "https://m.example/a?b=c".to_owned(), ..platform };
        assert!(build(&with_query, "s", verifier, "r").starts_with("https://m.example/a?b=c&response_type=code&"));
    }
}
