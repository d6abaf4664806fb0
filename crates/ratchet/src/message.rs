//! How one message is encrypted and proven (interop `crypto.md` §4–5).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::block::{Block, Header};
use crate::secret::{AuthKey, MessageKey};
use crate::{cipher, kdf};

/// The keys of one message: AES-256-CBC key and IV, and the MAC key. The IV is derived, never sent.
pub struct MessageKeys {
    enc_key: Zeroizing<[u8; 32]>,
    auth_key: AuthKey,
    iv: Zeroizing<[u8; 16]>,
}

/// The keys that belong to a message key.
#[must_use]
pub fn derive_message_keys(key: &MessageKey) -> MessageKeys {
    let (enc_key, auth_key, iv) = kdf::message(key);
    MessageKeys { enc_key, auth_key, iv }
}

impl MessageKeys {
    /// The AES-256 key.
    #[must_use]
    pub fn enc_key(&self) -> &[u8; 32] {
        &self.enc_key
    }

    /// The MAC key.
    #[must_use]
    pub fn auth_key(&self) -> &AuthKey {
        &self.auth_key
    }

    /// The CBC initialisation vector.
    #[must_use]
    pub fn iv(&self) -> &[u8; 16] {
        &self.iv
    }

    /// Encrypts and authenticates `plaintext` under the associated data and header.
    #[must_use]
    pub fn seal(&self, ad: &[u8; 32], header: &Header, plaintext: &[u8]) -> Block {
        let ciphertext = cipher::encrypt_256(&self.enc_key, &self.iv, plaintext);
        let mac = kdf::hmac_sha256(self.auth_key.as_bytes(), &[ad, &header.encode(), &ciphertext]);
        Block::assemble(header, &ciphertext, &mac)
    }

    /// The plaintext of `block`, or `None` if the MAC or the padding is wrong: one answer for both, MAC first.
    #[must_use]
    pub fn open(&self, ad: &[u8; 32], block: &Block) -> Option<Zeroizing<Vec<u8>>> {
        if !verify_auth(self.auth_key.as_bytes(), ad, block) {
            return None;
        }
        cipher::decrypt_256(&self.enc_key, &self.iv, block.ciphertext())
    }
}

impl fmt::Debug for MessageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKeys")
    }
}

/// Whether `auth_key` is the MAC key of `block` under `ad`, in constant time. This is how an acceptance is proven to somebody
/// who holds nothing but the block.
#[must_use]
pub fn verify_auth(auth_key: &[u8; 32], ad: &[u8; 32], block: &Block) -> bool {
    let mac = kdf::hmac_sha256(auth_key, &[ad, block.authenticated()]);
    mac.ct_eq(block.mac()).into()
}
