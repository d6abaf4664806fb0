//! Version 0: fields between colons (payloads.md §3.1).
//!
//! Upstream cuts a body at its first colon and takes the rest for tokens. Here the last two parts are tokens only if
//! both are there and look like tokens; everything else stays body, so that no message loses its end.

use super::{Content, ContentError, EncodeError, PlatformContent, ServiceType, Tokens, account};

/// Shorter than any token that a platform issues, longer than what stands between the colons of times and addresses.
const TOKEN_CHARS_MIN: usize = 16;
/// from, to, cc, bcc, subject, body.
const EMAIL_PARTS: usize = 6;
const TEXT_PARTS: usize = 2;
const MESSAGE_PARTS: usize = 3;

pub(super) fn parse(service: ServiceType, plaintext: &[u8]) -> Result<PlatformContent, ContentError> {
    let text = str::from_utf8(plaintext).map_err(|_| ContentError::NotUtf8 { field: "content" })?;
    match service {
        ServiceType::Email => {
            let [from, to, cc, bcc, subject, rest] = parts::<EMAIL_PARTS>(text)?;
            let (body, tokens) = body_and_tokens(rest);
            let [to, cc, bcc, subject] = [to, cc, bcc, subject].map(str::to_owned);
            Ok(PlatformContent { content: Content::Email { from: account(from), to, cc, bcc, subject, body }, tokens })
        }
        ServiceType::Text => {
            let [from, rest] = parts::<TEXT_PARTS>(text)?;
            let (body, tokens) = body_and_tokens(rest);
            Ok(PlatformContent { content: Content::Text { from: account(from), body }, tokens })
        }
        ServiceType::Message => {
            let [from, to, body] = parts::<MESSAGE_PARTS>(text)?;
            let content = Content::Message { from: account(from), to: to.to_owned(), body: body.to_owned() };
            Ok(PlatformContent { content, tokens: None })
        }
        ServiceType::Test => Ok(PlatformContent { content: Content::Test { id: account(text) }, tokens: None }),
    }
}

pub(super) fn encode(whole: &PlatformContent) -> Result<Vec<u8>, EncodeError> {
    let mut text = match &whole.content {
        Content::Email { from, to, cc, bcc, subject, body } => {
            let names = ["account", "to", "cc", "bcc", "subject"];
            join(names.into_iter().zip([from, to, cc, bcc, subject]), body)?
        }
        Content::Text { from, body } => join([("account", from)], body)?,
        Content::Message { from, to, body } => join([("account", from), ("to", to)], body)?,
        Content::Test { id } => id.clone(),
    };
    if let Some(tokens) = &whole.tokens {
        if matches!(whole.content, Content::Message { .. } | Content::Test { .. }) {
            return Err(EncodeError::NoField { field: "tokens" });
        }
        for part in [&tokens.access, &tokens.refresh] {
            text.push(':');
            text.push_str(part);
        }
    }
    let bytes = text.into_bytes();
    match parse(whole.content.service(), &bytes) {
        Ok(read) if read == *whole => Ok(bytes),
        _ => Err(EncodeError::Ambiguous),
    }
}

/// `N` parts; the last one may hold colons.
fn parts<const N: usize>(text: &str) -> Result<[&str; N], ContentError> {
    let mut parts = [""; N];
    let mut have = 0;
    for (slot, part) in parts.iter_mut().zip(text.splitn(N, ':')) {
        *slot = part;
        have += 1;
    }
    if have == N { Ok(parts) } else { Err(ContentError::Parts { have, need: N }) }
}

fn body_and_tokens(rest: &str) -> (String, Option<Tokens>) {
    let mut from_end = rest.rsplitn(3, ':');
    if let (Some(refresh), Some(access), Some(body)) = (from_end.next(), from_end.next(), from_end.next())
        && [access, refresh].into_iter().all(looks_like_token)
    {
        let tokens = Tokens { access: access.to_owned(), refresh: refresh.to_owned() };
        return (body.to_owned(), Some(tokens));
    }
    (rest.to_owned(), None)
}

fn looks_like_token(part: &str) -> bool {
    part.len() >= TOKEN_CHARS_MIN && part.bytes().all(|b| b.is_ascii_graphic())
}

fn join<'a>(fields: impl IntoIterator<Item = (&'static str, &'a String)>, body: &str) -> Result<String, EncodeError> {
    let mut text = String::new();
    for (field, value) in fields {
        if value.contains(':') {
            return Err(EncodeError::Colon { field });
        }
        text.push_str(value);
        text.push(':');
    }
    text.push_str(body);
    Ok(text)
}
