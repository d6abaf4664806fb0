//! Long-lived tokens, by which a phone stays logged in (interop `crypto.md` §8.2).
//!
//! The server answers a login with base64 of a Fernet token of `eid:jwt`; the phone opens it and from then on presents the
//! plaintext. All keys are the device secret, so a new device key ends every older token.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::fernet::{self, FernetError};
use crate::jwt::{self, JwtError};
use crate::secret::SharedSecret;

/// Most characters of a token we look at. Real ones have about 620 in base64, 280 as presented.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// An entity identifier: 16 bytes that clients carry as 32 lower-case hex digits without dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Eid([u8; 16]);

/// The text is not an entity identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entity identifier is not 32 lower-case hex digits")]
pub struct ParseEidError;

impl Eid {
    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Eid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Eid {
    type Err = ParseEidError;

    fn from_str(text: &str) -> Result<Self, ParseEidError> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseEidError);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| ParseEidError)
    }
}

impl fmt::Display for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Prints nothing of the person.
impl fmt::Debug for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eid")
    }
}

/// What a phone finds in the token of a login.
pub struct OpenedToken {
    /// The entity it names.
    pub eid: Eid,
    /// `eid:jwt`, to be presented from now on.
    pub plaintext: Zeroizing<String>,
    /// Seconds since the Unix epoch at which it was minted. Android accepts only 60 s around its own clock.
    pub minted_at_s: u64,
}

impl fmt::Debug for OpenedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedToken")
    }
}

/// Why a login's token cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("long-lived token is longer than {MAX_TOKEN_BYTES} characters")]
    TooLong,
    #[error("long-lived token is not base64 of a Fernet token")]
    Malformed,
    #[error("long-lived token is not from this device secret")]
    Forged,
    #[error("long-lived token holds no identifier and JWT")]
    Content,
}

/// Why a presented token has no two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("presented token is longer than {MAX_TOKEN_BYTES} characters")]
    TooLong,
    #[error("presented token has no colon, expected entity identifier and JWT")]
    NoColon,
    #[error("presented token does not start with an entity identifier")]
    Eid(#[from] ParseEidError),
}

/// Why a presented token does not count; the phone must log in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("presented token cannot be split")]
    Split(#[from] SplitError),
    #[error("presented token holds no well-formed JWT")]
    Malformed,
    #[error("presented token is not signed with HS256")]
    Algorithm,
    #[error("presented token is not signed with this device secret")]
    Forged,
    #[error("presented token has expired")]
    Expired,
    #[error("presented token was issued to another entity")]
    OtherEntity,
}

/// The `long_lived_token` of a login's answer. `now_s` is the Unix time at which the answer leaves, `iv` fresh randomness.
#[must_use]
pub fn mint(shared: &SharedSecret, eid: &Eid, now_s: u64, iv: &[u8; 16]) -> String {
    let eid = eid.to_string();
    let plaintext = Zeroizing::new(format!("{eid}:{}", *jwt::sign(shared, &eid, now_s)));
    STANDARD.encode(fernet::seal(shared, now_s, iv, plaintext.as_bytes()))
}

/// Opens the token of a login's answer, as the phone does. Its age is the caller's business.
///
/// # Errors
/// [`OpenError`]
pub fn open(shared: &SharedSecret, token_b64: &str) -> Result<OpenedToken, OpenError> {
    if token_b64.len() > MAX_TOKEN_BYTES {
        return Err(OpenError::TooLong);
    }
    let text = STANDARD.decode(token_b64).map_err(|_| OpenError::Malformed)?;
    let text = std::str::from_utf8(&text).map_err(|_| OpenError::Malformed)?;
    let token = fernet::open(shared, text).map_err(|error| match error {
        FernetError::Malformed => OpenError::Malformed,
        FernetError::Forged => OpenError::Forged,
    })?;
    let plaintext = std::str::from_utf8(&token.plaintext).map_err(|_| OpenError::Content)?;
    let (eid, _) = split_eid(plaintext).map_err(|_| OpenError::Content)?;
    Ok(OpenedToken { eid, plaintext: Zeroizing::new(plaintext.to_owned()), minted_at_s: token.minted_at_s })
}

/// Entity identifier and JWT of a presented `eid:jwt`, split at the first colon. Proves nothing: it tells whose device secret
/// to call [`verify`] with.
///
/// # Errors
/// [`SplitError`]
pub fn split_eid(presented: &str) -> Result<(Eid, &str), SplitError> {
    if presented.len() > MAX_TOKEN_BYTES {
        return Err(SplitError::TooLong);
    }
    let (eid, jwt) = presented.split_once(':').ok_or(SplitError::NoColon)?;
    Ok((eid.parse()?, jwt))
}

/// The entity that presents `eid:jwt`, once signature, expiry and the equality of both identifiers are proven.
///
/// # Errors
/// [`VerifyError`]
pub fn verify(shared: &SharedSecret, presented: &str, now_s: u64) -> Result<Eid, VerifyError> {
    let (eid, jwt) = split_eid(presented)?;
    let claimed = jwt::verify(shared, jwt, now_s).map_err(|error| match error {
        JwtError::Malformed => VerifyError::Malformed,
        JwtError::Algorithm => VerifyError::Algorithm,
        JwtError::Forged => VerifyError::Forged,
        JwtError::Expired => VerifyError::Expired,
    })?;
    if !bool::from(claimed.as_bytes().ct_eq(eid.to_string().as_bytes())) {
        return Err(VerifyError::OtherEntity);
    }
    Ok(eid)
}
