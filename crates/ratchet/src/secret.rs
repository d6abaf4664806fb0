//! The 32-byte secrets, one type per role, so that the compiler keeps a chain key apart from a message key.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 32-byte secret: wiped on drop, silent in `Debug`, compared in constant time.
/// `Clone` exists because every ratchet step works on a copy.
macro_rules! secret_bytes {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
        #[serde(transparent)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The raw bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

secret_bytes! {
    /// An X25519 private key, raw and unclamped as it was drawn.
    SecretKey
    /// What two X25519 key pairs agree on, after HKDF; never the raw curve point.
    SharedSecret
    /// The root key of a session; each Diffie-Hellman step replaces it.
    RootKey
    /// The head of a sending or receiving chain; each message replaces it.
    ChainKey
    /// The key of one message, from which its [`MessageKeys`](crate::MessageKeys) derive.
    MessageKey
    /// The MAC key of one message. Only a holder of the session can derive it, so showing it proves that the message was opened.
    AuthKey
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_type_name_only() {
        assert_eq!(format!("{:?}", SecretKey::from([0x41; 32])), "SecretKey");
        assert_eq!(format!("{:?}", AuthKey::from([0x41; 32])), "AuthKey");
    }

    #[test]
    fn equality_is_by_content() {
        assert_eq!(ChainKey::from([1; 32]), ChainKey::from([1; 32]));
        assert_ne!(ChainKey::from([1; 32]), ChainKey::from([2; 32]));
    }
}
