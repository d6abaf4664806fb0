//! Heads of entities: an entity's counter and its key, sealed together, so that neither changes without the other.

use std::fmt;

use relaymesh_protocol::ids::EntityId;
use relaymesh_seal::keyfile::Keyring;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key;
use super::sealed::{Scope, Stored};
use crate::crypto::{self, RecordAad};
use crate::node::Node;

/// Head of an entity: changed only with its counter, in the batch of every other change.
///
/// The entity's key is sealed under its epoch's wrap key, and the seal binds entity, epoch and counter. A record may carry
/// no later counter than its head, so a head that could be flipped upwards would let records of another time in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Which epoch's key wraps the entity's key.
    pub epoch: u32,
    /// Counter and key, sealed.
    sealed: Vec<u8>,
    /// The counter of a head of version 1, which stood beside the seal. Such a head is written anew with the entity's next
    /// change, or by the next pass over all heads.
    #[serde(skip)]
    loose: Option<u64>,
}

impl Stored for Head {
    const VERSION: u8 = 2;
    const SCOPE: Scope = Scope::Public;

    fn migrate(version: u8, bytes: &[u8]) -> Option<Self> {
        if version != 1 {
            return None;
        }
        let ((counter, epoch, sealed), left) = postcard::take_from_bytes::<(u64, u32, Vec<u8>)>(bytes).ok()?;
        left.is_empty().then_some(Self { epoch, sealed, loose: Some(counter) })
    }
}

/// What a head tells who has its epoch's key.
pub(crate) struct OpenedHead {
    /// Batches so far.
    pub counter: u64,
    /// The entity's key.
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for OpenedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedHead")
    }
}

impl Head {
    /// Seals an entity's head under the key of `epoch`; none if that key is not there.
    pub(crate) fn seal(
        node: &Node,
        id: &EntityId,
        epoch: u32,
        OpenedHead { counter, key }: &OpenedHead,
        nonce: [u8; 24],
    ) -> Option<Self> {
        let wrap = crypto::wrap_key(node.keys(), epoch)?;
        let epoch_id = epoch.to_be_bytes();
        let sealed = node.crypto().seal_record(&wrap, place(node, id, &epoch_id, *counter), nonce, key.as_slice());
        Some(Self { epoch, sealed, loose: None })
    }

    /// Opens an entity's head with the keys of `keys`; none if anything about it was changed, or its key is gone.
    pub(crate) fn open(&self, node: &Node, keys: &Keyring, id: &EntityId) -> Option<OpenedHead> {
        let wrap = crypto::wrap_key(keys, self.epoch)?;
        let epoch_id = self.epoch.to_be_bytes();
        let aad = match self.loose {
            None => place(node, id, &epoch_id, 0),
            Some(_) => place(node, id, b"", 0),
        };
        let (bound, key) = node.crypto().open_record(&wrap, aad, &self.sealed).ok()?;
        let counter = match self.loose {
            None => bound,
            Some(counter) if bound == u64::from(self.epoch) => counter,
            Some(_) => return None,
        };
        Some(OpenedHead { counter, key: Zeroizing::new(key.as_slice().try_into().ok()?) })
    }

    /// Whether it is of a version that is no longer written.
    pub(crate) fn is_old(&self) -> bool {
        self.loose.is_some()
    }
}

fn place<'a>(node: &Node, id: &EntityId, epoch: &'a [u8], counter: u64) -> RecordAad<'a> {
    RecordAad { shard: node.id(), table: key::HEAD, entity: *id, record: epoch, counter }
}
