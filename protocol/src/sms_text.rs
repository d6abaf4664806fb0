//! Texts of SMS that a node sends to people (payloads.md §6.2, §6.3), and what they may answer.
//!
//! What tells of a message begins with the marker of the app's language, which is what the app looks for when such a text is
//! pasted into it. The rest is French or English. Letters are of the GSM 7-bit alphabet, since all others double the
//! price of an SMS: hence no `ç` and no circumflex in French.

mod keyword;
mod notice;
mod time;

use std::fmt;

use zeroize::Zeroize;

pub use keyword::Keyword;
pub use notice::Notice;
pub use time::utc;

use crate::base64text;
use crate::ids::Language;

/// Longest platform or account name that goes into a text.
const NAME_CHARS_MAX: usize = 32;
/// Digits that the app expects.
const OTP_DIGITS: usize = 6;
/// Where the app looks for a refreshed token: counted from 0.
pub const TOKEN_LINE: usize = 3;

/// What the app of each language looks for in a pasted delivery text.
const MARKERS: [(&[u8; 2], &str); 12] = [
    (b"en", "RelaySMS Delivery:"),
    (b"fr", "Livraison RelaySMS :"),
    (b"es", "Entrega de RelaySMS:"),
    (b"de", "RelaySMS-Zustellung:"),
    (b"tr", "RelaySMS Teslimatı:"),
    (b"sw", "Uwasilishaji wa RelaySMS:"),
    (b"sn", "Kusvitswa kweRelaySMS:"),
    (b"ar", "تسليم RelaySMS:"),
    (b"fa", "تحویل RelaySMS:"),
    (b"hi", "RelaySMS डिलीवरी:"),
    (b"ko", "RelaySMS 배달:"),
    (b"zh", "RelaySMS 投递："),
];

/// A refreshed token for a phone that keeps its own, as the line that its app reads.
#[derive(Clone, PartialEq, Eq, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct TokenLine(String);

/// A one-time code of six digits.
#[derive(Clone, PartialEq, Eq, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct OtpCode(String);

/// Why something cannot go into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The app splits the line at its colons.
    #[error("{field} holds a colon, at which the app would cut the token line")]
    Colon {
        /// Which part.
        field: &'static str,
    },
    /// Not six digits.
    #[error("one-time code is not made of {OTP_DIGITS} digits")]
    Otp,
}

/// The marker of a language; English for those that the app does not have.
#[must_use]
pub fn marker(language: Language) -> &'static str {
    let of = |code: &[u8; 2]| MARKERS.iter().find(|(known, _)| *known == code).map(|(_, marker)| *marker);
    of(&language.0).or_else(|| of(b"en")).unwrap_or_default()
}

impl TokenLine {
    /// The line for an account and its new refresh token.
    ///
    /// # Errors
    /// When one of them holds a colon: the app would store something else.
    pub fn new(account: &str, refresh_token: &str) -> Result<Self, TextError> {
        for (field, text) in [("account", account), ("refresh token", refresh_token)] {
            if text.contains(':') {
                return Err(TextError::Colon { field });
            }
        }
        let mut line = format!("{account}:{refresh_token}");
        let encoded = base64text::encode(line.as_bytes());
        line.zeroize();
        Ok(Self(encoded))
    }

    /// Reads a pasted delivery text as the app of that language does: account and refresh token, or nothing.
    #[must_use]
    pub fn read(text: &str, language: Language) -> Option<(String, String)> {
        if !text.contains(marker(language)) {
            return None;
        }
        let line = String::from_utf8(base64text::decode(text.lines().nth(TOKEN_LINE)?).ok()?).ok()?;
        let (account, token) = line.split_once(':')?;
        Some((account.to_owned(), token.split(':').next()?.to_owned()))
    }
}

impl OtpCode {
    /// A code of six digits.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn new(code: &str) -> Result<Self, TextError> {
        let sound = code.len() == OTP_DIGITS && code.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| Self(code.to_owned())).ok_or(TextError::Otp)
    }
}

impl fmt::Debug for TokenLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenLine(..)")
    }
}

impl fmt::Debug for OtpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpCode(..)")
    }
}

/// A name on one line and of bounded length.
fn name(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
