//! Versions 1 to 3: a header of lengths, then the values in the same order (payloads.md §3.2, §3.3).

use super::{Content, ContentError, EncodeError, PlatformContent, ServiceType, Tokens, account};
use crate::wire::Reader;

/// One value of a content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    From,
    To,
    Cc,
    Bcc,
    Subject,
    Body,
    Access,
    Refresh,
}

/// Width of a length field.
#[derive(Clone, Copy)]
pub(super) enum Width {
    U8,
    U16,
}

/// Which lengths stand in the header, in order.
pub(super) type Layout = [(Field, Width)];

use Field::{Access, Bcc, Body, Cc, From, Refresh, Subject, To};
use Width::{U8, U16};

/// 12 bytes of lengths; one struct for all services.
pub(super) const V1: [(Field, Width); 8] =
    [(From, U8), (To, U16), (Cc, U16), (Bcc, U16), (Subject, U8), (Body, U16), (Access, U8), (Refresh, U8)];
/// 14 bytes of lengths; one struct for all services.
pub(super) const V2: [(Field, Width); 8] =
    [(From, U8), (To, U16), (Cc, U16), (Bcc, U16), (Subject, U8), (Body, U16), (Access, U16), (Refresh, U16)];
const V3_TEXT: [(Field, Width); 4] = [(From, U8), (Body, U16), (Access, U16), (Refresh, U16)];
const V3_MESSAGE: [(Field, Width); 3] = [(From, U8), (To, U16), (Body, U16)];
const V3_TEST: [(Field, Width); 1] = [(From, U8)];

/// Version 3 has a layout per service.
pub(super) fn v3(service: ServiceType) -> &'static Layout {
    match service {
        ServiceType::Email => &V2,
        ServiceType::Text => &V3_TEXT,
        ServiceType::Message => &V3_MESSAGE,
        ServiceType::Test => &V3_TEST,
    }
}

const FIELDS: [Field; 8] = [From, To, Cc, Bcc, Subject, Body, Access, Refresh];

impl Field {
    fn name(self) -> &'static str {
        match self {
            From => "account",
            To => "to",
            Cc => "cc",
            Bcc => "bcc",
            Subject => "subject",
            Body => "body",
            Access => "access token",
            Refresh => "refresh token",
        }
    }

    /// Tokens may come with any service: phones use one struct for all.
    fn belongs_to(self, service: ServiceType) -> bool {
        match self {
            From | Access | Refresh => true,
            To => matches!(service, ServiceType::Email | ServiceType::Message),
            Cc | Bcc | Subject => service == ServiceType::Email,
            Body => service != ServiceType::Test,
        }
    }
}

pub(super) fn parse(layout: &Layout, service: ServiceType, bytes: &[u8]) -> Result<PlatformContent, ContentError> {
    let mut reader = Reader::new(bytes);
    let mut lengths = [0_usize; FIELDS.len()];
    for &(field, width) in layout {
        lengths[field as usize] = match width {
            U8 => reader.u8("content header")?.into(),
            U16 => reader.u16("content header")?.into(),
        };
    }
    let mut values: [&str; FIELDS.len()] = [""; FIELDS.len()];
    for field in FIELDS {
        let len = lengths[field as usize];
        if len > 0 && !field.belongs_to(service) {
            return Err(ContentError::Unexpected { service, field: field.name(), len });
        }
        let value = reader.take(len, field.name())?;
        values[field as usize] = str::from_utf8(value).map_err(|_| ContentError::NotUtf8 { field: field.name() })?;
    }
    match reader.left() {
        0 => Ok(build(service, values)),
        extra => Err(ContentError::TooMuch { extra }),
    }
}

fn build(service: ServiceType, values: [&str; FIELDS.len()]) -> PlatformContent {
    let [from, to, cc, bcc, subject, body, access, refresh] = values;
    let tokens = Tokens::both(access.to_owned(), refresh.to_owned());
    let from = account(from);
    let [to, cc, bcc, subject, body] = [to, cc, bcc, subject, body].map(str::to_owned);
    let content = match service {
        ServiceType::Email => Content::Email { from, to, cc, bcc, subject, body },
        ServiceType::Text => Content::Text { from, body },
        ServiceType::Message => Content::Message { from, to, body },
        ServiceType::Test => Content::Test { id: from },
    };
    PlatformContent { content, tokens }
}

pub(super) fn encode(layout: &Layout, whole: &PlatformContent) -> Result<Vec<u8>, EncodeError> {
    let has_tokens = layout.iter().any(|(field, _)| *field == Refresh);
    if whole.tokens.is_some() && !has_tokens {
        return Err(EncodeError::NoField { field: "tokens" });
    }
    let values = values(whole);
    let mut bytes = Vec::new();
    for &(field, width) in layout {
        push_length(&mut bytes, field, width, values[field as usize].len())?;
    }
    for value in values {
        bytes.extend_from_slice(value.as_bytes());
    }
    Ok(bytes)
}

fn values(whole: &PlatformContent) -> [&str; FIELDS.len()] {
    let (access, refresh) = match &whole.tokens {
        Some(tokens) => (tokens.access.as_str(), tokens.refresh.as_str()),
        None => ("", ""),
    };
    match &whole.content {
        Content::Email { from, to, cc, bcc, subject, body } => [from, to, cc, bcc, subject, body, access, refresh],
        Content::Text { from, body } => [from, "", "", "", "", body, access, refresh],
        Content::Message { from, to, body } => [from, to, "", "", "", body, access, refresh],
        Content::Test { id } => [id, "", "", "", "", "", access, refresh],
    }
}

fn push_length(bytes: &mut Vec<u8>, field: Field, width: Width, len: usize) -> Result<(), EncodeError> {
    let too_long = |max: usize| EncodeError::TooLong { field: field.name(), len, max };
    match width {
        U8 => bytes.push(u8::try_from(len).map_err(|_| too_long(u8::MAX.into()))?),
        U16 => {
            let len = u16::try_from(len).map_err(|_| too_long(u16::MAX.into()))?;
            bytes.extend_from_slice(&len.to_le_bytes());
        }
    }
    Ok(())
}
