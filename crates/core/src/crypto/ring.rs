//! What the core takes out of a keyring. The only place that knows how one is laid out, beside the conversation that
//! turns its keys over.

use relaymesh_ratchet::KeyPair;
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::{KeyId, SealingSecret};
use relaymesh_seal::oblivious;
use zeroize::Zeroizing;

use super::{Crypto, Publics};

/// The key of a day's records; none when that day's key was destroyed.
pub(crate) fn day_key(keys: &Keyring, day: u32) -> Option<Zeroizing<[u8; 32]>> {
    keys.days.iter().find(|(at, _)| *at == day).map(|(_, key)| Zeroizing::new(*key.danger_bytes()))
}

/// Today's key for records, as far as the daily work has made one, and its day.
pub(crate) fn newest_day_key(keys: &Keyring) -> Option<(u32, Zeroizing<[u8; 32]>)> {
    keys.days.iter().max_by_key(|(day, _)| *day).map(|(day, key)| (*day, Zeroizing::new(*key.danger_bytes())))
}

/// The key of the node's lasting records.
pub(crate) fn table_root(keys: &Keyring) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(*keys.root.danger_bytes())
}

/// The key that wraps entities' keys in an epoch; none when it was destroyed.
pub(crate) fn wrap_key(keys: &Keyring, epoch: u32) -> Option<Zeroizing<[u8; 32]>> {
    keys.wraps.iter().find(|(at, _)| *at == epoch).map(|(_, key)| Zeroizing::new(*key.danger_bytes()))
}

/// The newest epoch and its key.
pub(crate) fn newest_wrap_key(keys: &Keyring) -> Option<(u32, Zeroizing<[u8; 32]>)> {
    keys.wraps.iter().max_by_key(|(epoch, _)| *epoch).map(|(epoch, key)| (*epoch, Zeroizing::new(*key.danger_bytes())))
}

/// The private sealing key that an envelope names.
pub(super) fn sealing(keys: &Keyring, id: KeyId) -> Option<&SealingSecret> {
    keys.sealing.iter().map(|(secret, _)| secret).find(|secret| secret.public().key_id() == id)
}

/// What a node's record announces of a keyring under a port.
#[must_use]
pub fn publics(crypto: &dyn Crypto, keys: &Keyring) -> Publics {
    let mut sealing: Vec<_> = keys.sealing.iter().map(|(secret, created)| (secret.public().0, *created)).collect();
    sealing.sort_by_key(|(key, created)| (std::cmp::Reverse(*created), *key));
    let mut dated: Vec<_> = keys.oblivious.iter().collect();
    dated.sort_by_key(|(_, created)| std::cmp::Reverse(*created));
    let public = |seed: &[u8; 32]| crypto.oblivious_public(seed);
    let oblivious =
        dated.iter().map(|(seed, _)| public(seed.danger_bytes())).map(|key| (oblivious::key_id(&key), key)).collect();
    let statics = keys
        .statics
        .iter()
        .map(|(kid, secret)| (*kid, *KeyPair::from_secret(*secret.danger_bytes()).public().as_bytes()))
        .collect();
    Publics { sealing, oblivious, statics }
}
