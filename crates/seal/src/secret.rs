//! 32 secret bytes, and the typed keys made of them.

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes: wiped on drop, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// Fresh from the caller's generator.
    #[must_use]
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Takes bytes that were stored or derived.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes in clear, for storing them sealed or handing them to another crate's cipher.
    #[must_use]
    pub fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(…)")
    }
}

/// Declares a key type over [`Secret32`], so that the compiler keeps keys of different use apart.
macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name($crate::Secret32);

        impl $name {
            /// Fresh from the caller's generator.
            #[must_use]
            pub fn random(rng: &mut impl rand_core::CryptoRng) -> Self {
                Self($crate::Secret32::random(rng))
            }

            /// Takes bytes that were stored or derived.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self($crate::Secret32::from_bytes(bytes))
            }

            /// The bytes in clear, for storing them sealed.
            #[must_use]
            pub fn danger_bytes(&self) -> &[u8; 32] {
                self.0.danger_bytes()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

pub(crate) use secret_key;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Secret32::from_bytes([7; 32])), "Secret32(…)");
    }
}
