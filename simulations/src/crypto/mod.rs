//! What the nodes and the phones of a world encrypt with: the real thing, or stand-ins of the same sizes that decide alike. Phones
//! and the homes' ratchets are real in both: they are cheap, and they are what decides.

mod null;
mod phone;

use std::sync::Arc;

use relaymesh_core::crypto::{Crypto, RealCrypto};

pub use null::NullCrypto;
pub use phone::{Draft, Phone};

use crate::scenario::CryptoKind;

/// The nodes' cryptography.
#[must_use]
pub fn port(kind: CryptoKind) -> Arc<dyn Crypto> {
    match kind {
        CryptoKind::Real => Arc::new(RealCrypto),
        CryptoKind::Null => Arc::new(NullCrypto),
    }
}
