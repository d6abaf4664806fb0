//! Records on disk: a random key per entity under a random wrap key per epoch, a derived key per table, and every value
//! bound to its place.
//!
//! Wrap keys and day keys are random, never derived, so that destroying one destroys what it wraps: overwritten bytes
//! survive in a log-structured store. Nonces are random too, since a store can be rolled back, and come from the caller.
//!
//! ```text
//! record   version 1 ‖ counter u64 ‖ nonce 24 ‖ XChaCha20-Poly1305(table key, pad64(value))
//! aad      "RM1/rec-aad\0" or "RM1/day-aad\0" ‖ shard 32 ‖ LP32(table) ‖ entity 16 ‖ LP32(record id) ‖ counter u64
//! wrapped  version 1 ‖ nonce 24 ‖ XChaCha20-Poly1305(wrap key, user key)
//! aad      "RM1/wrap-user\0" ‖ shard 32 ‖ entity 16 ‖ epoch u32
//! ```

mod record;
mod wrap;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::framing::lp32;
use crate::labels;
use crate::secret::secret_key;

pub use crate::aead::NONCE_LEN;
pub use record::{
    DayAad, RecordAad, open_day_record, open_day_record_any_counter, open_record, open_record_any_counter,
    seal_day_record, seal_record,
};
pub use wrap::{WRAPPED_LEN, unwrap_user_key, wrap_user_key};

/// Values are padded to a multiple of this, so that a length does not tell how many keys a session skipped.
pub const PAD_BLOCK: usize = 64;

/// Why something at rest does not open. What exactly differs is no one's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer release.
    #[error("record version {0} is newer than this program, update it")]
    Version(u8),
    /// Damaged, of another place, of another time, or under another key.
    #[error("the record does not open: it is damaged, or belongs to another place or key")]
    DoesNotOpen,
}

secret_key!(
    /// Wraps user keys for one epoch. Random; destroyed when its epoch is over.
    WrapKey
);
secret_key!(
    /// One entity's key. Random; deleting it deletes the entity.
    UserKey
);
secret_key!(
    /// Seals records without an entity for one day. Random; destroyed after their longest life.
    DayKey
);
secret_key!(
    /// Seals one table of one entity.
    RecordKey
);
secret_key!(
    /// Hashes identifiers into index rows.
    IndexKey
);

impl RecordKey {
    /// The key of `table` under an entity's key: HKDF-SHA256, info `"RM1/user-sub\0" ‖ LP32(table)`.
    #[must_use]
    pub fn derive(user: &UserKey, table: &str) -> Self {
        let mut info = labels::USER_SUB.to_vec();
        lp32(&mut info, table.as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, user.danger_bytes())
            .expand(&info, key.as_mut_slice())
            .expect("32 bytes are within what HKDF gives");
        Self::from_bytes(*key)
    }
}

impl IndexKey {
    /// Where the index row of an identifier lies: HMAC-SHA256 over label, kind and value, first 16 bytes.
    #[must_use]
    pub fn index(&self, kind: u8, value: &[u8]) -> [u8; 16] {
        let mac = Hmac::<Sha256>::new_from_slice(self.danger_bytes())
            .expect("HMAC takes a key of any length")
            .chain_update(labels::INDEX)
            .chain_update([kind])
            .chain_update(value);
        *mac.finalize().into_bytes().first_chunk().expect("SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests;
