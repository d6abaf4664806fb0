//! A node's and an instance's signing keys (Ed25519), and the X25519 keys that envelopes are sealed to.
//!
//! Signing and sealing keys are never converted into each other. A signature covers its label and each part behind a
//! 32-bit length; it is verified strictly (no small-order keys, one encoding), so that every node gives the same answer.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use rand_core::CryptoRng;
use relaymesh_protocol::ids::{InstanceId, NodeId};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Secret32;
use crate::framing::labelled;

/// Length of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;

/// The signature does not hold, or the signer's id is no sound key. Which of both is no one's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold for this signer")]
pub struct BadSignature;

/// Verifies a signature over label and parts by the Ed25519 key `signer`.
///
/// # Errors
/// When it does not hold.
pub fn verify(signer: &[u8; 32], label: &[u8], parts: &[&[u8]], sig: &[u8; SIGNATURE_LEN]) -> Result<(), BadSignature> {
    verify_bytes(signer, &labelled(label, parts), sig)
}

fn verify_bytes(signer: &[u8; 32], message: &[u8], sig: &[u8; SIGNATURE_LEN]) -> Result<(), BadSignature> {
    VerifyingKey::from_bytes(signer)
        .and_then(|key| key.verify_strict(message, &Signature::from_bytes(sig)))
        .map_err(|_| BadSignature)
}

/// Verifies [`NodeKey::sign_digest`].
pub(crate) fn verify_digest(
    signer: &NodeId,
    label: &[u8],
    digest: &[u8; 32],
    sig: &[u8; SIGNATURE_LEN],
) -> Result<(), BadSignature> {
    verify_bytes(signer.as_bytes(), &[label, digest].concat(), sig)
}

macro_rules! signing_key {
    ($(#[$doc:meta])* $name:ident, $id:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SigningKey);

        impl $name {
            /// A fresh key.
            #[must_use]
            pub fn generate(rng: &mut impl CryptoRng) -> Self {
                Self::from_seed(Secret32::random(rng).danger_bytes())
            }

            /// The key of a stored seed (RFC 8032).
            #[must_use]
            pub fn from_seed(seed: &[u8; 32]) -> Self {
                Self(SigningKey::from_bytes(seed))
            }

            /// The seed in clear, for storing it sealed, and for the transport's own key type.
            #[must_use]
            pub fn danger_to_seed(&self) -> Zeroizing<[u8; 32]> {
                Zeroizing::new(self.0.to_bytes())
            }

            /// The public key, which is the identifier.
            #[must_use]
            pub fn id(&self) -> $id {
                $id(self.0.verifying_key().to_bytes())
            }

            /// Signs the label and each part behind its length.
            #[must_use]
            pub fn sign(&self, label: &[u8], parts: &[&[u8]]) -> [u8; SIGNATURE_LEN] {
                self.0.sign(&labelled(label, parts)).to_bytes()
            }

            /// Verifies what [`Self::sign`] made.
            ///
            /// # Errors
            /// When it does not hold for `id`.
            pub fn verify(id: &$id, label: &[u8], parts: &[&[u8]], sig: &[u8; SIGNATURE_LEN]) -> Result<(), BadSignature> {
                verify(id.as_bytes(), label, parts, sig)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.id()).finish()
            }
        }
    };
}

signing_key!(
    /// A node's Ed25519 key. Wiped on drop.
    NodeKey, NodeId
);
signing_key!(
    /// An instance's Ed25519 key, which endorses node records. Wiped on drop.
    InstanceKey, InstanceId
);

impl NodeKey {
    /// Signs a label and a digest, both of fixed length, without further framing.
    pub(crate) fn sign_digest(&self, label: &[u8], digest: &[u8; 32]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(&[label, digest].concat()).to_bytes()
    }
}

/// First four bytes of the SHA-256 of a sealing key: tells a recipient which of its keys opens an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// The public half of a node's sealing key, as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingPublic(pub [u8; 32]);

impl SealingPublic {
    /// What envelopes name this key by.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId(*Sha256::digest(self.0).first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

/// The private half of a node's sealing key. Wiped on drop.
#[derive(Clone)]
pub struct SealingSecret {
    seed: Secret32,
    public: SealingPublic,
}

impl SealingSecret {
    /// A fresh key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_seed(*Secret32::random(rng).danger_bytes())
    }

    /// The key of 32 stored bytes (clamped when used, RFC 7748).
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Secret32::from_bytes(seed);
        let public = X25519HkdfSha256::sk_to_pk(&private_key(&seed));
        Self { public: SealingPublic(public.to_bytes().into()), seed }
    }

    /// The private bytes in clear, for storing them sealed.
    #[must_use]
    pub fn danger_to_seed(&self) -> &[u8; 32] {
        self.seed.danger_bytes()
    }

    /// The half to publish.
    #[must_use]
    pub fn public(&self) -> SealingPublic {
        self.public
    }

    pub(crate) fn private_key(&self) -> <X25519HkdfSha256 as Kem>::PrivateKey {
        private_key(&self.seed)
    }
}

fn private_key(seed: &Secret32) -> <X25519HkdfSha256 as Kem>::PrivateKey {
    <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(seed.danger_bytes()).expect("any 32 bytes clamp to a private key")
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingSecret").field(&self.public.key_id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_label_parts_and_their_borders() {
        let key = NodeKey::from_seed(&[3; 32]);
        let sig = key.sign(b"RM1/a\0", &[b"ab", b"c"]);
        assert_eq!(NodeKey::verify(&key.id(), b"RM1/a\0", &[b"ab", b"c"], &sig), Ok(()));
        let tampered: [(&[u8], &[&[u8]]); 4] = [
            (b"RM1/b\0", &[b"ab", b"c"]),
            (b"RM1/a\0", &[b"a", b"bc"]),
            (b"RM1/a\0", &[b"abc"]),
            (b"RM1/a\0", &[b"ab"]),
        ];
        for (label, parts) in tampered {
            assert_eq!(NodeKey::verify(&key.id(), label, parts, &sig), Err(BadSignature));
        }
        assert!(NodeKey::verify(&NodeKey::from_seed(&[4; 32]).id(), b"RM1/a\0", &[b"ab", b"c"], &sig).is_err());
        for bit in 0..SIGNATURE_LEN * 8 {
            let mut bad = sig;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(NodeKey::verify(&key.id(), b"RM1/a\0", &[b"ab", b"c"], &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_small_order_signer_is_refused() {
        // The identity point verifies the all-zero signature of anything under the lenient rules.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut sig = [0; 64];
        sig[0] = 1;
        assert_eq!(verify(&identity, b"RM1/a\0", &[b"x"], &sig), Err(BadSignature));
    }

    #[test]
    fn rfc_8032_test_1_key() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = NodeKey::from_seed(&seed.try_into().unwrap());
        assert_eq!(key.id().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    }

    #[test]
    fn a_recorded_x25519_pair() {
        // First key pair of the golden vectors.
        let seed = hex::decode("015c0bdb42e28198a5d01bcc7ff9abee091482f966263c982a5d4596b6be22c0").unwrap();
        let secret = SealingSecret::from_seed(seed.clone().try_into().unwrap());
        assert_eq!(secret.danger_to_seed()[..], seed[..]);
        assert_eq!(hex::encode(secret.public().0), "263dd8e40f504ff3252fb8bae9ccdc7f12a2c6df878ad97e317a4769ea027820");
    }

    #[test]
    fn debug_shows_only_public_halves() {
        let node = NodeKey::from_seed(&[0xAB; 32]);
        let sealing = SealingSecret::from_seed([0xAB; 32]);
        let shown = format!("{node:?} {sealing:?} {:?}", InstanceKey::from_seed(&[0xAB; 32]));
        assert!(!shown.contains("abababab") && !shown.contains("171, 171"), "{shown}");
    }
}
