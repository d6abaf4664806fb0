//! X25519 keys and the agreement that everything else derives from (interop `crypto.md` §1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::secret::{SecretKey, SharedSecret};

/// HKDF info of every agreement; the misspelling is on the wire.
const AGREEMENT_INFO: &[u8] = b"x25591_key_exchange";

/// Most characters looked at in a base64 key, so that a huge field costs nothing: a key needs 44, wrapping adds a few.
const MAX_KEY_TEXT_BYTES: usize = 256;

/// Python ignores the two spare bits behind a 32-byte key, and padding has been dropped before.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// An X25519 public key, 32 raw bytes. Any 32 bytes parse; a point of small order is refused by [`agree`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub [u8; 32]);

/// Why bytes or text are not a public key. Never holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    #[error("public key has {found} bytes, expected 32")]
    Length { found: usize },
    #[error("public key text is longer than {MAX_KEY_TEXT_BYTES} characters, expected base64 of 32 bytes")]
    TextTooLong,
    #[error("public key text is not base64 of 32 bytes")]
    Base64,
}

impl PublicKey {
    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key from base64 as phones send it: every character outside the standard alphabet is dropped (Android appends a
    /// line feed and may wrap), then exactly 32 bytes must remain.
    ///
    /// # Errors
    /// [`ParseKeyError`] if the text is too long or is not 32 bytes.
    pub fn from_base64_lenient(text: &str) -> Result<Self, ParseKeyError> {
        if text.len() > MAX_KEY_TEXT_BYTES {
            return Err(ParseKeyError::TextTooLong);
        }
        let kept: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
        let bytes = LENIENT.decode(kept).map_err(|_| ParseKeyError::Base64)?;
        Self::try_from(bytes.as_slice())
    }

    /// Plain padded base64 on one line, as we answer.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = ParseKeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseKeyError> {
        let exact = <[u8; 32]>::try_from(bytes).map_err(|_| ParseKeyError::Length { found: bytes.len() })?;
        Ok(Self(exact))
    }
}

/// Prints no byte: a public key tells one person from another.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey")
    }
}

impl SecretKey {
    /// The public key that belongs to this private key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let secret = StaticSecret::from(*self.as_bytes());
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

/// A private key with its public key. Serialized as the private key alone, so the two can never disagree.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SecretKey", into = "SecretKey")]
pub struct KeyPair {
    secret: SecretKey,
    public: PublicKey,
}

impl KeyPair {
    /// A fresh pair; draws exactly 32 bytes in one call.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self::from_secret(*bytes)
    }

    /// The pair of a known private key.
    #[must_use]
    pub fn from_secret(bytes: [u8; 32]) -> Self {
        SecretKey::from(bytes).into()
    }

    /// The private half.
    #[must_use]
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> Self {
        let public = secret.public();
        Self { secret, public }
    }
}

impl From<KeyPair> for SecretKey {
    fn from(pair: KeyPair) -> Self {
        pair.secret
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair")
    }
}

/// Why two keys cannot agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreeError {
    /// The other side's point has small order, so the secret would be known to everybody.
    #[error("public key contributes nothing to the agreement (all-zero result), the other side must draw a new key")]
    NotContributory,
}

/// The agreement of our private with their public key: X25519, then HKDF-SHA256 without salt.
///
/// # Errors
/// [`AgreeError::NotContributory`] if the raw result is all zero.
pub fn agree(secret: &SecretKey, public: &PublicKey) -> Result<SharedSecret, AgreeError> {
    let raw = StaticSecret::from(*secret.as_bytes()).diffie_hellman(&public.0.into());
    if !raw.was_contributory() {
        return Err(AgreeError::NotContributory);
    }
    let mut shared = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, raw.as_bytes())
        .expand(AGREEMENT_INFO, shared.as_mut())
        .expect("32 bytes are within what HKDF-SHA256 expands to");
    Ok(SharedSecret::from(*shared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Points of order 1, 2, 4 and 8 and their non-canonical twins (RFC 7748 §6.1).
    const SMALL_ORDER: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    #[test]
    fn small_order_points_are_refused() {
        let secret = SecretKey::from([7; 32]);
        for point in SMALL_ORDER {
            let public = PublicKey::try_from(hex::decode(point).unwrap().as_slice()).unwrap();
            assert_eq!(agree(&secret, &public), Err(AgreeError::NotContributory), "{point}");
        }
    }

    #[test]
    fn keys_parse_as_phones_send_them() {
        let key = KeyPair::from_secret([9; 32]).public();
        let text = key.to_base64();
        assert_eq!(text.len(), 44);
        let (head, tail) = text.split_at(20);
        for sent in [text.clone(), format!("{text}\n"), format!("{head}\r\n{tail}\n"), text.replace('=', "")] {
            assert_eq!(PublicKey::from_base64_lenient(&sent), Ok(key), "{sent:?}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert_eq!(PublicKey::try_from([0; 31].as_slice()), Err(ParseKeyError::Length { found: 31 }));
        assert_eq!(PublicKey::try_from([0; 33].as_slice()), Err(ParseKeyError::Length { found: 33 }));
        let long = STANDARD.encode([0; 33]);
        assert_eq!(PublicKey::from_base64_lenient(&long), Err(ParseKeyError::Length { found: 33 }));
        assert_eq!(PublicKey::from_base64_lenient("A"), Err(ParseKeyError::Base64));
        assert_eq!(PublicKey::from_base64_lenient(&"A".repeat(257)), Err(ParseKeyError::TextTooLong));
    }

    #[test]
    fn a_pair_is_stored_as_its_private_key() {
        let pair = KeyPair::from_secret([3; 32]);
        let bytes = postcard::to_stdvec(&pair).unwrap();
        assert_eq!(bytes, [3; 32]);
        assert_eq!(postcard::from_bytes::<KeyPair>(&bytes).unwrap(), pair);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_a_key_or_an_error(text in "\\PC{0,300}") {
            let _ = PublicKey::from_base64_lenient(&text);
        }

        #[test]
        fn base64_round_trips(bytes: [u8; 32]) {
            let key = PublicKey(bytes);
            prop_assert_eq!(PublicKey::from_base64_lenient(&key.to_base64()), Ok(key));
        }
    }
}
