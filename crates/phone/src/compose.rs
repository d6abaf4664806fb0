//! What the app sends to platforms.

use std::fmt;
use std::time::Duration;

use relaymesh_protocol::content::{Content, EncodeError as ContentError, PlatformContent, Tokens};
use relaymesh_protocol::gsm7;
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::payload::{EncodeError as PayloadError, Payload, PlatformPayload, PlatformVersion};
use relaymesh_protocol::platform::Platform;
use relaymesh_protocol::segment::SplitError;
use relaymesh_ratchet::{AgreeError, EncryptError};
use zeroize::Zeroizing;

use crate::phone::Phone;
use crate::text::{Announced, Style};

/// What the app waits between two segments of an image, so that the network keeps them apart.
pub const SEGMENT_PAUSE: Duration = Duration::from_secs(5);

/// A message for a platform. Letter and content are not compared, so that a tester can send what no app would.
#[derive(Clone)]
pub struct Compose {
    /// The platform's letter, see [`Platform`].
    pub shortcode: u8,
    /// Which layout.
    pub version: PlatformVersion,
    /// What to publish.
    pub content: Content,
    /// Sent along by a phone that keeps its own; see [`crate::Account::tokens`].
    pub tokens: Option<Tokens>,
    /// Whether the payload names its sender; always does after a login by mail address.
    pub with_device_id: bool,
    /// Language of answers; version 0 has no place for it.
    pub language: Option<Language>,
    /// A WebP picture, in front of a version 2 content.
    pub image: Option<Vec<u8>>,
    /// Whose base64.
    pub style: Style,
}

/// A message ready to leave, once the phone is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Composed {
    /// One text, or the segments of an image message in order ([`SEGMENT_PAUSE`] apart).
    pub sms: Vec<String>,
    /// How many SMS the texts cost in the GSM 7-bit alphabet: 160 letters, or 153 each.
    pub segments_count: usize,
    /// The bytes in those texts.
    pub payload: Vec<u8>,
    /// Its number in [`Phone::sent`].
    pub ordinal: u32,
}

/// Why a message was not composed. The phone is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// Platforms need a login.
    #[error("this phone is not logged in")]
    LoggedOut,
    /// Nothing was sent to that key before.
    #[error("no session with this static key is kept; send a key exchange first")]
    NoBridgeSession,
    /// A static key of small order.
    #[error("the server's static key cannot be used")]
    BadStaticKey(#[source] AgreeError),
    /// The content does not fit its version.
    #[error("content cannot be written")]
    Content(#[source] ContentError),
    /// The session cannot send.
    #[error("message cannot be encrypted")]
    Encrypt(#[source] EncryptError),
    /// The payload does not fit its version.
    #[error("payload cannot be written")]
    Payload(#[source] PayloadError),
    /// Only version 2 has images.
    #[error("only version 2 carries an image")]
    ImageVersion,
    /// No bytes, or too many for the announcing field.
    #[error("{field} of an image message is {len} bytes long, from 1 to 65535 can be announced")]
    ImageLength {
        /// Image or content.
        field: &'static str,
        /// Its bytes.
        len: usize,
    },
    /// Too many segments.
    #[error("image message cannot be cut into SMS; make the image smaller")]
    Split(#[source] SplitError),
}

impl Compose {
    /// A message as the app of that version sends it: with device ID, in English where there is a language, version 2
    /// wrapped like Android.
    #[must_use]
    pub fn new(shortcode: u8, version: PlatformVersion, content: Content) -> Self {
        Self {
            shortcode,
            version,
            content,
            tokens: None,
            with_device_id: true,
            language: (version != PlatformVersion::V0).then_some(Language::EN),
            image: None,
            style: if version == PlatformVersion::V2 { Style::Android } else { Style::Plain },
        }
    }
}

impl Phone {
    /// Encrypts a message and moves the session on. Nothing is drawn: the app answers with a new key only when it reads.
    ///
    /// # Errors
    /// [`ComposeError`]; the phone is unchanged.
    pub fn compose(&mut self, message: Compose, now: Timestamp) -> Result<Composed, ComposeError> {
        let login = self.login.as_ref().ok_or(ComposeError::LoggedOut)?;
        let Compose { shortcode, version, content, tokens, with_device_id, language, image, style } = message;
        if image.is_some() && version != PlatformVersion::V2 {
            return Err(ComposeError::ImageVersion);
        }
        let whole = PlatformContent { content, tokens };
        let content = Zeroizing::new(whole.encode(version).map_err(ComposeError::Content)?);
        let plaintext = Plaintext::new(image.as_deref(), &content)?;

        let mut session = login.session.clone();
        let block =
            session.encrypt(&plaintext.bytes, login.server_publish.as_bytes()).map_err(ComposeError::Encrypt)?;
        let named = with_device_id || self.identity.needs_device_id();
        let payload = Payload::Platform(PlatformPayload {
            version,
            shortcode,
            block: block.into(),
            device_id: named.then_some(login.device_id),
            language,
        });
        let payload = payload.encode().map_err(ComposeError::Payload)?;
        let sms = self.texts(&payload, &plaintext, style, style)?;

        if let Some(login) = &mut self.login {
            login.session = session;
        }
        Ok(self.composed(sms, payload, plaintext.image_len, platform_name(shortcode), now))
    }

    /// The texts of a payload: segments where there is an image, one text otherwise.
    pub(crate) fn texts(
        &self,
        payload: &[u8],
        plaintext: &Plaintext,
        single: Style,
        segmented: Style,
    ) -> Result<Vec<String>, ComposeError> {
        let Some(image_len) = plaintext.image_len else {
            return Ok(vec![single.base64(payload)]);
        };
        let head = Announced { session: self.next_image_session, image_len, text_len: plaintext.text_len };
        segmented.segments(payload, head).map_err(ComposeError::Split)
    }

    /// The last step, after which nothing can fail: counts and logs.
    pub(crate) fn composed(
        &mut self,
        sms: Vec<String>,
        payload: Vec<u8>,
        image_len: Option<u16>,
        platform: String,
        now: Timestamp,
    ) -> Composed {
        if image_len.is_some() {
            self.next_image_session = self.next_image_session.wrapping_add(1);
        }
        let segments_count = sms.iter().map(|text| gsm7::segments(text)).sum();
        Composed { sms, segments_count, payload, ordinal: self.log_sent(platform, now) }
    }
}

/// `image ‖ content`, wiped on drop. Lengths are known to be announceable only where there is an image.
pub(crate) struct Plaintext {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) image_len: Option<u16>,
    text_len: u16,
}

impl Plaintext {
    pub(crate) fn new(image: Option<&[u8]>, content: &[u8]) -> Result<Self, ComposeError> {
        let Some(image) = image else {
            return Ok(Self { bytes: Zeroizing::new(content.to_vec()), image_len: None, text_len: 0 });
        };
        Ok(Self {
            image_len: Some(announceable("image", image.len())?),
            text_len: announceable("content", content.len())?,
            bytes: Zeroizing::new([image, content].concat()),
        })
    }
}

fn announceable(field: &'static str, len: usize) -> Result<u16, ComposeError> {
    u16::try_from(len).ok().filter(|len| *len > 0).ok_or(ComposeError::ImageLength { field, len })
}

fn platform_name(shortcode: u8) -> String {
    Platform::by_shortcode(shortcode).map_or_else(|| char::from(shortcode).to_string(), |p| p.name.to_owned())
}

impl fmt::Debug for Compose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compose")
            .field("shortcode", &char::from(self.shortcode))
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Composed")
            .field("texts", &self.sms.len())
            .field("segments_count", &self.segments_count)
            .field("payload_bytes", &self.payload.len())
            .field("ordinal", &self.ordinal)
            .finish()
    }
}
