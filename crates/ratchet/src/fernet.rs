//! Fernet tokens, by hand: `0x80 ‖ seconds: u64 BE ‖ iv(16) ‖ AES-128-CBC ciphertext ‖ HMAC-SHA256(32)`, URL-safe base64.
//! The first half of the key signs, the second encrypts (github.com/fernet/spec).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::cipher;
use crate::kdf::hmac_sha256;
use crate::secret::SharedSecret;

const VERSION: u8 = 0x80;

/// What an authentic token holds.
pub(crate) struct Token {
    pub(crate) minted_at_s: u64,
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
}

/// Why a text is no token of this key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FernetError {
    Malformed,
    Forged,
}

pub(crate) fn seal(key: &SharedSecret, now_s: u64, iv: &[u8; 16], plaintext: &[u8]) -> String {
    let ciphertext = cipher::encrypt_128(&halves(key).1, iv, plaintext);
    authenticate(key, [&[VERSION], now_s.to_be_bytes().as_slice(), iv, &ciphertext].concat())
}

/// The text of what stands before a MAC, and that MAC.
pub(crate) fn authenticate(key: &SharedSecret, mut token: Vec<u8>) -> String {
    let (signing, _) = halves(key);
    let mac = hmac_sha256(signing.as_slice(), &[&token]);
    token.extend_from_slice(mac.as_slice());
    URL_SAFE.encode(token)
}

pub(crate) fn open(key: &SharedSecret, text: &str) -> Result<Token, FernetError> {
    let bytes = URL_SAFE.decode(text).map_err(|_| FernetError::Malformed)?;
    let (signed, mac) = bytes.split_last_chunk::<32>().ok_or(FernetError::Malformed)?;
    let (version, rest) = signed.split_first().ok_or(FernetError::Malformed)?;
    let (time, rest) = rest.split_first_chunk::<8>().ok_or(FernetError::Malformed)?;
    let (iv, ciphertext) = rest.split_first_chunk::<16>().ok_or(FernetError::Malformed)?;
    if *version != VERSION {
        return Err(FernetError::Malformed);
    }
    let (signing, encryption) = halves(key);
    if !bool::from(hmac_sha256(signing.as_slice(), &[signed]).ct_eq(mac)) {
        return Err(FernetError::Forged);
    }
    let plaintext = cipher::decrypt_128(&encryption, iv, ciphertext).ok_or(FernetError::Forged)?;
    Ok(Token { minted_at_s: u64::from_be_bytes(*time), plaintext })
}

/// Signing and encryption key.
fn halves(key: &SharedSecret) -> (Zeroizing<[u8; 16]>, Zeroizing<[u8; 16]>) {
    let mut halves = (Zeroizing::new([0; 16]), Zeroizing::new([0; 16]));
    let (signing, encryption) = key.as_bytes().split_at(16);
    halves.0.copy_from_slice(signing);
    halves.1.copy_from_slice(encryption);
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Fernet specification's own vectors (generate.json and verify.json).
    const SPEC_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const SPEC_TOKEN: &str =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    fn spec_key() -> SharedSecret {
        SharedSecret::from(<[u8; 32]>::try_from(URL_SAFE.decode(SPEC_KEY).unwrap()).unwrap())
    }

    #[test]
    fn the_specification_agrees() {
        let iv = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(seal(&spec_key(), 499_162_800, &iv, b"hello"), SPEC_TOKEN);
        let token = open(&spec_key(), SPEC_TOKEN).unwrap();
        assert_eq!((token.minted_at_s, token.plaintext.as_slice()), (499_162_800, b"hello".as_slice()));
    }

    #[test]
    fn damage_is_told_from_forgery() {
        for (token, wanted) in [
            ("", FernetError::Malformed),
            ("gAAA", FernetError::Malformed),
            (&SPEC_TOKEN[..96], FernetError::Forged),
            (&SPEC_TOKEN[..99], FernetError::Malformed),
            (&SPEC_TOKEN.replacen('g', "h", 1), FernetError::Malformed),
            (&SPEC_TOKEN.replacen('V', "W", 1), FernetError::Forged),
        ] {
            assert_eq!(open(&spec_key(), token).err(), Some(wanted), "{token}");
        }
    }
}
