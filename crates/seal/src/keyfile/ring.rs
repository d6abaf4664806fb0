//! All secrets of a node.

use rand_core::CryptoRng;
use relaymesh_protocol::ids::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Secret32;
use crate::keys::{InstanceKey, NodeKey, SealingSecret};
use crate::password::{OtpKey, Pepper};
use crate::rest::{DayKey, IndexKey, WrapKey};

/// Version of the stored form.
const VERSION: u8 = 1;

/// All secrets of a node. Wiped on drop, never printed.
#[derive(Clone)]
pub struct Keyring {
    /// Identity in the mesh.
    pub node: NodeKey,
    /// Endorses the instance's nodes.
    pub instance: InstanceKey,
    /// Open envelopes; each with the moment it was made.
    pub sealing: Vec<(SealingSecret, Timestamp)>,
    /// Wrap entities' keys; by epoch.
    pub wraps: Vec<(u32, WrapKey)>,
    /// Seal records without an entity; by day.
    pub days: Vec<(u32, DayKey)>,
    /// Seals the node's lasting records.
    pub root: Secret32,
    /// Keys the index.
    pub index: IndexKey,
    /// Keys the MAC of one-time codes.
    pub otp: OtpKey,
    /// Argon2's secret input.
    pub pepper: Pepper,
    /// Seeds of oblivious keys; each with the moment it was made.
    pub oblivious: Vec<(Secret32, Timestamp)>,
    /// Static bridge keys, by key id.
    pub statics: Vec<(u8, Secret32)>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(…)")
    }
}

/// The stored form: bytes only.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Stored {
    node: [u8; 32],
    instance: [u8; 32],
    sealing: Vec<([u8; 32], u64)>,
    wraps: Vec<(u32, [u8; 32])>,
    days: Vec<(u32, [u8; 32])>,
    root: [u8; 32],
    index: [u8; 32],
    otp: [u8; 32],
    pepper: [u8; 32],
    oblivious: Vec<([u8; 32], u64)>,
    statics: Vec<(u8, [u8; 32])>,
}

impl Keyring {
    /// A fresh keyring.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng, now: Timestamp) -> Self {
        let day = u32::try_from(now.day()).unwrap_or(u32::MAX);
        Self {
            node: NodeKey::generate(rng),
            instance: InstanceKey::generate(rng),
            sealing: vec![(SealingSecret::generate(rng), now)],
            wraps: vec![(day, WrapKey::random(rng))],
            days: vec![(day, DayKey::random(rng))],
            root: Secret32::random(rng),
            index: IndexKey::random(rng),
            otp: OtpKey::random(rng),
            pepper: Pepper::random(rng),
            oblivious: vec![(Secret32::random(rng), now)],
            statics: Vec::new(),
        }
    }

    /// Identity in the mesh.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node.id()
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = Stored {
            node: *self.node.danger_to_seed(),
            instance: *self.instance.danger_to_seed(),
            sealing: self.sealing.iter().map(|(key, at)| (*key.danger_to_seed(), at.0)).collect(),
            wraps: self.wraps.iter().map(|(epoch, key)| (*epoch, *key.danger_bytes())).collect(),
            days: self.days.iter().map(|(day, key)| (*day, *key.danger_bytes())).collect(),
            root: *self.root.danger_bytes(),
            index: *self.index.danger_bytes(),
            otp: *self.otp.danger_bytes(),
            pepper: *self.pepper.danger_bytes(),
            oblivious: self.oblivious.iter().map(|(key, at)| (*key.danger_bytes(), at.0)).collect(),
            statics: self.statics.iter().map(|(kid, key)| (*kid, *key.danger_bytes())).collect(),
        };
        // One allocation, so that no half-grown copy stays behind.
        let mut bytes = Vec::with_capacity(super::SLOT_LEN);
        bytes.push(VERSION);
        Zeroizing::new(postcard::to_extend(&stored, bytes).expect("writing to memory cannot fail"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (stored, left) = postcard::take_from_bytes::<Stored>(rest).ok()?;
        left.is_empty().then(|| Self {
            node: NodeKey::from_seed(&stored.node),
            instance: InstanceKey::from_seed(&stored.instance),
            sealing: stored.sealing.iter().map(|(key, at)| (SealingSecret::from_seed(*key), Timestamp(*at))).collect(),
            wraps: stored.wraps.iter().map(|(epoch, key)| (*epoch, WrapKey::from_bytes(*key))).collect(),
            days: stored.days.iter().map(|(day, key)| (*day, DayKey::from_bytes(*key))).collect(),
            root: Secret32::from_bytes(stored.root),
            index: IndexKey::from_bytes(stored.index),
            otp: OtpKey::from_bytes(stored.otp),
            pepper: Pepper::from_bytes(stored.pepper),
            oblivious: stored.oblivious.iter().map(|(key, at)| (Secret32::from_bytes(*key), Timestamp(*at))).collect(),
            statics: stored.statics.iter().map(|(kid, key)| (*kid, Secret32::from_bytes(*key))).collect(),
        })
    }
}
