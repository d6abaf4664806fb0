//! The plaintext inside a platform payload's block: who posts, to whom, what, and the tokens of a phone that keeps its own.
//!
//! Version and service type come from outside the block's MAC, so a content of the wrong kind must not be read as
//! another: lengths sum exactly, and a field that a service does not have must be empty. Source: payloads.md §3.

mod binary;
mod text;

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::payload::PlatformVersion;
use crate::wire::Truncated;

/// What a platform publishes, and so which fields a content has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceType {
    /// A mail.
    Email,
    /// A post.
    Text,
    /// A message to one receiver.
    Message,
    /// A reliability test of a gateway client.
    Test,
}

/// What to publish. `from` is the account identifier as the platform knows it.
#[derive(Clone, PartialEq, Eq, Zeroize)]
pub enum Content {
    /// A mail; addresses are comma-joined.
    Email {
        /// Account identifier.
        from: String,
        /// Receivers.
        to: String,
        /// Carbon copies.
        cc: String,
        /// Blind copies.
        bcc: String,
        /// Subject.
        subject: String,
        /// Text.
        body: String,
    },
    /// A post.
    Text {
        /// Account identifier.
        from: String,
        /// Text.
        body: String,
    },
    /// A message to one receiver.
    Message {
        /// Account identifier, for Telegram the own number.
        from: String,
        /// Receiver.
        to: String,
        /// Text.
        body: String,
    },
    /// A reliability test.
    Test {
        /// Decimal number of the test.
        id: String,
    },
}

/// Tokens that a phone sends along because it keeps them itself. Wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Tokens {
    /// Access token.
    pub access: String,
    /// Refresh token.
    pub refresh: String,
}

/// A content and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformContent {
    /// What to publish.
    pub content: Content,
    /// Only where both tokens were sent.
    pub tokens: Option<Tokens>,
}

/// Why a plaintext is no content of its version and service type. Names fields and lengths, never content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Ends inside a field.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Goes on after its last field.
    #[error("content is {extra} bytes longer than its lengths say")]
    TooMuch {
        /// Bytes behind the last field.
        extra: usize,
    },
    /// No UTF-8.
    #[error("{field} is no UTF-8")]
    NotUtf8 {
        /// Which field.
        field: &'static str,
    },
    /// Text content with too few parts.
    #[error("content has {have} parts between colons, expected {need}")]
    Parts {
        /// Parts found.
        have: usize,
        /// Parts needed.
        need: usize,
    },
    /// A field that this service does not have: most likely the content is for another service.
    #[error("a {service:?} content has no {field}, but {len} bytes of it were sent")]
    Unexpected {
        /// The service type it was read as.
        service: ServiceType,
        /// Which field.
        field: &'static str,
        /// Its bytes.
        len: usize,
    },
    /// A bitmap with bits that mean nothing.
    #[error("bitmap {bitmap:#04x} has unknown bits")]
    Bitmap {
        /// The byte.
        bitmap: u8,
    },
    /// An image where the layout has none, or longer than the plaintext.
    #[error("image of {image} bytes does not fit a plaintext of {have} bytes")]
    Image {
        /// Announced image bytes.
        image: usize,
        /// Plaintext bytes.
        have: usize,
    },
}

/// Why a content cannot be written in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The length field has no room for it.
    #[error("{field} is {len} bytes long, at most {max} fit")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        len: usize,
        /// Most bytes.
        max: usize,
    },
    /// A colon would end the field.
    #[error("{field} holds a colon, which text contents cannot carry there")]
    Colon {
        /// Which field.
        field: &'static str,
    },
    /// Line breaks are removed from it on reading.
    #[error("{field} holds a line break")]
    LineBreak {
        /// Which field.
        field: &'static str,
    },
    /// The body ends in what would be read as tokens, or the tokens in what would be read as body.
    #[error("body and tokens cannot be told apart in a text content; use version 1 or later")]
    Ambiguous,
    /// This layout has no place for it.
    #[error("this version and service have no {field}")]
    NoField {
        /// Which field.
        field: &'static str,
    },
}

impl Content {
    /// Which service it is for.
    #[must_use]
    pub fn service(&self) -> ServiceType {
        match self {
            Self::Email { .. } => ServiceType::Email,
            Self::Text { .. } => ServiceType::Text,
            Self::Message { .. } => ServiceType::Message,
            Self::Test { .. } => ServiceType::Test,
        }
    }

    /// The account identifier; a test has none.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Email { from, .. } | Self::Text { from, .. } | Self::Message { from, .. } => Some(from),
            Self::Test { .. } => None,
        }
    }
}

impl PlatformContent {
    /// Reads the plaintext of a block, without an image (see [`split_image`]).
    ///
    /// # Errors
    /// When the plaintext is no content of that version and service type, exactly.
    pub fn parse(version: PlatformVersion, service: ServiceType, plaintext: &[u8]) -> Result<Self, ContentError> {
        match version {
            PlatformVersion::V0 => text::parse(service, plaintext),
            PlatformVersion::V1 => binary::parse(&binary::V1, service, plaintext),
            PlatformVersion::V2 => binary::parse(&binary::V2, service, plaintext),
            PlatformVersion::V3 => binary::parse(binary::v3(service), service, plaintext),
        }
    }

    /// The plaintext; [`PlatformContent::parse`] reads it back.
    ///
    /// # Errors
    /// When a field has no room, or no place, in this version.
    pub fn encode(&self, version: PlatformVersion) -> Result<Vec<u8>, EncodeError> {
        let account = match &self.content {
            Content::Test { id } => id,
            Content::Email { from, .. } | Content::Text { from, .. } | Content::Message { from, .. } => from,
        };
        if account.contains(is_line_break) {
            return Err(EncodeError::LineBreak { field: "account" });
        }
        match version {
            PlatformVersion::V0 => text::encode(self),
            PlatformVersion::V1 => binary::encode(&binary::V1, self),
            PlatformVersion::V2 => binary::encode(&binary::V2, self),
            PlatformVersion::V3 => binary::encode(binary::v3(self.content.service()), self),
        }
    }
}

impl Tokens {
    /// Both tokens, or nothing when one of them is empty.
    #[must_use]
    pub fn both(access: String, refresh: String) -> Option<Self> {
        let tokens = Self { access, refresh };
        (!tokens.access.is_empty() && !tokens.refresh.is_empty()).then_some(tokens)
    }
}

/// Image and content of a plaintext whose first `image_len` bytes are a picture (payloads.md §4, §5).
///
/// # Errors
/// When the plaintext is shorter than the image.
pub fn split_image(plaintext: &[u8], image_len: usize) -> Result<(&[u8], &[u8]), ContentError> {
    let too_long = ContentError::Image { image: image_len, have: plaintext.len() };
    plaintext.split_at_checked(image_len).ok_or(too_long)
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content::{:?}(..)", self.service())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

/// Upstream removes line breaks from the account identifier: Android's base64 wrapping gets into it.
fn account(text: &str) -> String {
    text.chars().filter(|c| !is_line_break(*c)).collect()
}

#[cfg(test)]
mod tests;
