//! An entity's key under the wrap key of an epoch.

use relaymesh_protocol::ids::{EntityId, NodeId};
use zeroize::Zeroizing;

use super::{OpenError, UserKey, WrapKey};
use crate::aead::{NONCE_LEN, TAG_LEN, open_in_place, seal_tail};
use crate::labels;

const VERSION: u8 = 1;
const PREFIX_LEN: usize = 1 + NONCE_LEN;
/// Length of a wrapped key.
pub const WRAPPED_LEN: usize = PREFIX_LEN + 32 + TAG_LEN;

/// Wraps an entity's key for one epoch. The nonce must be random.
#[must_use]
pub fn wrap_user_key(
    wrap: &WrapKey,
    epoch: u32,
    shard: &NodeId,
    entity: &EntityId,
    user: &UserKey,
    nonce: [u8; NONCE_LEN],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(WRAPPED_LEN);
    out.push(VERSION);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(user.danger_bytes());
    seal_tail(wrap.danger_bytes(), &nonce, &aad(epoch, shard, entity), &mut out, PREFIX_LEN);
    out
}

/// Unwraps what [`wrap_user_key`] made for the same epoch, node and entity.
///
/// # Errors
/// When version, key, epoch, place or bytes differ.
pub fn unwrap_user_key(
    wrap: &WrapKey,
    epoch: u32,
    shard: &NodeId,
    entity: &EntityId,
    wrapped: &[u8],
) -> Result<UserKey, OpenError> {
    let (version, rest) = wrapped.split_first().ok_or(OpenError::DoesNotOpen)?;
    if *version != VERSION {
        return Err(OpenError::Version(*version));
    }
    let (nonce, ciphertext) = rest.split_first_chunk().ok_or(OpenError::DoesNotOpen)?;
    let mut buf = Zeroizing::new(ciphertext.to_vec());
    let plain = open_in_place(wrap.danger_bytes(), nonce, &aad(epoch, shard, entity), &mut buf);
    let key: &[u8; 32] = plain.and_then(|p| (&*p).try_into().ok()).ok_or(OpenError::DoesNotOpen)?;
    Ok(UserKey::from_bytes(*key))
}

fn aad(epoch: u32, shard: &NodeId, entity: &EntityId) -> Vec<u8> {
    [labels::WRAP_USER, shard.as_bytes(), entity.as_bytes(), &epoch.to_be_bytes()].concat()
}
