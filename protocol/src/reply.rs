//! Bridge mail on its way back to the phone: one SMS that its owner pastes into the app (payloads.md §6.1).
//!
//! The app reads the lengths as signed bytes and counts UTF-16 units, so names and subject end at 127 units, and body
//! and block at 32,767.

use std::fmt;

use zeroize::Zeroize;

use crate::base64text::{self, Base64Error};
use crate::ids::Language;
use crate::payload::{BLOCK_OVERHEAD_BYTES, BlockError, CIPHER_BLOCK_BYTES, check_block};
use crate::platform::BRIDGE_EMAIL_LETTER;
use crate::wire::{Reader, Truncated};

/// Most UTF-16 units of alias, sender, cc, bcc and subject each.
pub const NAME_UNITS_MAX: usize = 127;
/// Most UTF-16 units of a body, and bytes of a block.
pub const BODY_UNITS_MAX: usize = 32_767;
/// Most plaintext bytes whose block is within [`BODY_UNITS_MAX`] bytes: padding takes at least one.
pub const PLAINTEXT_BYTES_MAX: usize =
    (BODY_UNITS_MAX - BLOCK_OVERHEAD_BYTES) / CIPHER_BLOCK_BYTES * CIPHER_BLOCK_BYTES - 1;

const PROMPT_EN: &str = "RelaySMS Reply: Please paste this entire message in your RelaySMS app";
const PROMPT_FR: &str = "Réponse de RelaySMS: Veuillez coller ce message entier dans votre application RelaySMS";

/// A mail for a phone. Sender and copies are `Name <address>` or an address, comma-joined.
#[derive(Clone, Default, PartialEq, Eq, Zeroize)]
pub struct ReplyMail {
    /// The alias it was sent to.
    pub alias: String,
    /// Who sent it.
    pub sender: String,
    /// Carbon copies.
    pub cc: String,
    /// Blind copies.
    pub bcc: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub body: String,
}

/// Lengths of a mail's fields in UTF-16 units, as they stand in front of the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyLengths {
    /// alias, sender, cc, bcc, subject.
    pub names: [u8; 5],
    /// Body.
    pub body: u16,
}

/// An encrypted mail for a phone.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// Lengths of the plaintext's fields.
    pub lengths: ReplyLengths,
    /// Ciphertext block of the plaintext.
    pub block: Vec<u8>,
}

/// Why a reply cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The app could not read it back; [`ReplyMail::trimmed`] cuts it.
    #[error("reply {field} is {len} long, at most {max} fit")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its UTF-16 units, or bytes of the block.
        len: usize,
        /// Most of them.
        max: usize,
    },
    /// The ciphertext block is none.
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// Why a pasted text is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Fewer than three lines.
    #[error("reply has {have} lines, expected a prompt, the mail and its time")]
    Lines {
        /// Its lines.
        have: usize,
    },
    /// The second line.
    #[error(transparent)]
    Base64(#[from] Base64Error),
    /// Ends inside a field.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Goes on after the block.
    #[error("reply is {extra} bytes longer than its lengths say")]
    TooMuch {
        /// Bytes behind the block.
        extra: usize,
    },
    /// Not from a bridge that we know.
    #[error("reply is from bridge {letter:#04x}, expected e-mail")]
    Letter {
        /// The byte.
        letter: u8,
    },
    /// The ciphertext block is none.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The third line.
    #[error("the reply's time is no number of seconds")]
    Time,
    /// The plaintext is not as long as the lengths in front of the block say, or no UTF-8.
    #[error("the reply's text is not as long as its lengths say")]
    Plaintext,
}

impl ReplyMail {
    /// The same, cut to what the app can read: names at 127 units, the body so that all is within `plaintext_max`
    /// bytes (and never over [`PLAINTEXT_BYTES_MAX`]).
    #[must_use]
    pub fn trimmed(&self, plaintext_max: usize) -> Self {
        let cut = |text: &str| cut_units(text, NAME_UNITS_MAX).to_owned();
        let mut mail = Self {
            alias: cut(&self.alias),
            sender: cut(&self.sender),
            cc: cut(&self.cc),
            bcc: cut(&self.bcc),
            subject: cut(&self.subject),
            body: String::new(),
        };
        let room = plaintext_max.min(PLAINTEXT_BYTES_MAX).saturating_sub(mail.plaintext().len());
        let body = cut_units(&self.body, BODY_UNITS_MAX);
        body.get(..body.floor_char_boundary(room)).unwrap_or_default().clone_into(&mut mail.body);
        mail
    }

    /// All fields in a row: what the block encrypts.
    #[must_use]
    pub fn plaintext(&self) -> Vec<u8> {
        [&self.alias, &self.sender, &self.cc, &self.bcc, &self.subject, &self.body]
            .map(String::as_str)
            .concat()
            .into_bytes()
    }

    /// The lengths that go in front of the block.
    ///
    /// # Errors
    /// When a field is longer than the app can read.
    pub fn lengths(&self) -> Result<ReplyLengths, EncodeError> {
        let mut names = [0; 5];
        let fields = [
            ("alias", &self.alias),
            ("sender", &self.sender),
            ("cc", &self.cc),
            ("bcc", &self.bcc),
            ("subject", &self.subject),
        ];
        for (slot, (field, text)) in names.iter_mut().zip(fields) {
            let len = units(text);
            let fits = u8::try_from(len).ok().filter(|_| len <= NAME_UNITS_MAX);
            *slot = fits.ok_or(EncodeError::TooLong { field, len, max: NAME_UNITS_MAX })?;
        }
        let len = units(&self.body);
        let fits = u16::try_from(len).ok().filter(|_| len <= BODY_UNITS_MAX);
        let body = fits.ok_or(EncodeError::TooLong { field: "body", len, max: BODY_UNITS_MAX })?;
        Ok(ReplyLengths { names, body })
    }

    /// The mail of a decrypted block, as the app cuts it: by UTF-16 units.
    ///
    /// # Errors
    /// When the plaintext is no UTF-8, or the lengths do not sum to it.
    pub fn from_plaintext(lengths: ReplyLengths, plaintext: &[u8]) -> Result<Self, ReplyError> {
        let text = str::from_utf8(plaintext).map_err(|_| ReplyError::Plaintext)?;
        let mut rest: Vec<u16> = text.encode_utf16().collect();
        let mut next = |len: usize| {
            let tail = (len <= rest.len()).then(|| rest.split_off(len)).ok_or(ReplyError::Plaintext)?;
            let field = std::mem::replace(&mut rest, tail);
            String::from_utf16(&field).map_err(|_| ReplyError::Plaintext)
        };
        let [alias, sender, cc, bcc, subject] = lengths.names.map(|len| next(len.into()));
        let body = next(lengths.body.into());
        let mail = Self { alias: alias?, sender: sender?, cc: cc?, bcc: bcc?, subject: subject?, body: body? };
        if rest.is_empty() { Ok(mail) } else { Err(ReplyError::Plaintext) }
    }
}

impl Reply {
    /// The bytes on the second line.
    ///
    /// # Errors
    /// When the block is none, or longer than the app can read.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        check_block(&self.block)?;
        let len = self.block.len();
        let fits = u16::try_from(len).ok().filter(|_| len <= BODY_UNITS_MAX);
        let block_len = fits.ok_or(EncodeError::TooLong { field: "block", len, max: BODY_UNITS_MAX })?;
        let mut bytes = self.lengths.names.to_vec();
        bytes.extend(self.lengths.body.to_le_bytes());
        bytes.extend(block_len.to_le_bytes());
        bytes.push(BRIDGE_EMAIL_LETTER);
        bytes.extend_from_slice(&self.block);
        Ok(bytes)
    }

    /// Reads the bytes of the second line.
    ///
    /// # Errors
    /// When any length does not fit exactly.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReplyError> {
        let mut reader = Reader::new(bytes);
        let names = reader.array("reply lengths")?;
        let body = reader.u16("reply lengths")?;
        let block_len = reader.u16("reply lengths")?.into();
        match reader.u8("bridge letter")? {
            BRIDGE_EMAIL_LETTER => {}
            letter => return Err(ReplyError::Letter { letter }),
        }
        let block = reader.take(block_len, "ciphertext block")?;
        check_block(block)?;
        match reader.left() {
            0 => Ok(Self { lengths: ReplyLengths { names, body }, block: block.to_vec() }),
            extra => Err(ReplyError::TooMuch { extra }),
        }
    }

    /// The whole SMS; `seconds` is the mail's time since the epoch.
    ///
    /// # Errors
    /// As [`Reply::encode`].
    pub fn to_sms(&self, language: Language, seconds: u64) -> Result<String, EncodeError> {
        let prompt = if language == Language::FR { PROMPT_FR } else { PROMPT_EN };
        Ok(format!("{prompt}\n{}\n{seconds}.0", base64text::encode(&self.encode()?)))
    }

    /// Reads a pasted SMS as the app does: any prompt, the mail, its time in seconds up to a dot.
    ///
    /// # Errors
    /// When one of the three lines is missing or damaged.
    pub fn from_sms(text: &str) -> Result<(Self, u64), ReplyError> {
        let lines: Vec<&str> = text.lines().collect();
        let [_, mail, time, ..] = lines[..] else {
            return Err(ReplyError::Lines { have: lines.len() });
        };
        let reply = Self::parse(&base64text::decode(mail)?)?;
        let whole = time.split('.').next().unwrap_or_default().trim();
        Ok((reply, whole.parse().map_err(|_| ReplyError::Time)?))
    }
}

impl fmt::Debug for ReplyMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyMail(..)")
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("lengths", &self.lengths).field("block_bytes", &self.block.len()).finish()
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The longest beginning of at most `max` UTF-16 units that cuts no letter.
fn cut_units(text: &str, max: usize) -> &str {
    let mut count = 0;
    for (at, c) in text.char_indices() {
        count += c.len_utf16();
        if count > max {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests;
