//! The keys of messages that were overtaken by later ones. Upstream keeps them for ever and without limit; here both the
//! number and the age are bounded, since each key kept is a message that a thief of the state can read.

use serde::{Deserialize, Serialize};

use crate::block::Position;
use crate::secret::MessageKey;
use crate::session::MAX_SKIP;

/// Most skipped keys a session keeps; the oldest go first. Two full jumps each way, and about 30 KB of the record.
pub const MAX_SKIPPED_KEYS: usize = 400;

/// How long a skipped key is kept, in milliseconds: 30 days. An SMS that late is a new message to its sender.
pub const SKIPPED_KEY_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Room for what one message can add (old and new chain), so that the list never moves and leaves key bytes behind.
const HEADROOM: usize = 2 * MAX_SKIP as usize;

#[derive(Clone, Serialize, Deserialize)]
struct SkippedKey {
    at: Position,
    key: MessageKey,
    stored_at_ms: u64,
}

/// Skipped keys in the order in which they were stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SkippedKeys(Vec<SkippedKey>);

impl SkippedKeys {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|skipped| skipped.at)
    }

    pub(crate) fn push(&mut self, at: Position, key: MessageKey, stored_at_ms: u64) {
        self.0.push(SkippedKey { at, key, stored_at_ms });
    }

    /// Removes and returns the key of `at`.
    pub(crate) fn take(&mut self, at: Position) -> Option<MessageKey> {
        let key = self.0.iter().find(|skipped| skipped.at == at)?.key.clone();
        self.keep(|_, skipped| skipped.at != at);
        Some(key)
    }

    /// Drops what is older than 30 days. A clock that went back drops nothing.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        let fresh = |key: &SkippedKey| now_ms.saturating_sub(key.stored_at_ms) < SKIPPED_KEY_TTL_MS;
        if !self.0.iter().all(fresh) {
            self.keep(|_, key| fresh(key));
        }
    }

    /// Drops the oldest beyond the cap.
    pub(crate) fn evict(&mut self) {
        let excess = self.0.len().saturating_sub(MAX_SKIPPED_KEYS);
        if excess > 0 {
            self.keep(|index, _| index >= excess);
        }
    }

    /// Builds the list anew: removing in place would shift keys and leave the last ones, unwiped, behind the end.
    fn keep(&mut self, keep: impl Fn(usize, &SkippedKey) -> bool) {
        let mut kept = Vec::with_capacity(self.0.len() + HEADROOM);
        kept.extend(self.0.iter().enumerate().filter(|(index, key)| keep(*index, key)).map(|(_, key)| key.clone()));
        self.0 = kept;
    }
}

impl Clone for SkippedKeys {
    fn clone(&self) -> Self {
        let mut copy = Vec::with_capacity(self.0.len() + HEADROOM);
        copy.extend_from_slice(&self.0);
        Self(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PublicKey;

    fn at(n: u32) -> Position {
        Position { dh: PublicKey([1; 32]), n }
    }

    fn keys(count: u32) -> SkippedKeys {
        let mut keys = SkippedKeys::default();
        for n in 0..count {
            keys.push(at(n), MessageKey::from([2; 32]), u64::from(n));
        }
        keys
    }

    #[test]
    fn a_key_is_taken_once() {
        let mut keys = keys(3);
        assert!(keys.take(at(1)).is_some());
        assert!(keys.take(at(1)).is_none());
        assert_eq!(keys.positions().map(|p| p.n).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn the_oldest_go_first() {
        let mut keys = keys(405);
        keys.evict();
        assert_eq!(keys.len(), MAX_SKIPPED_KEYS);
        assert_eq!(keys.positions().next(), Some(at(5)));
    }

    #[test]
    fn a_key_lives_thirty_days() {
        let mut keys = keys(3);
        keys.expire(SKIPPED_KEY_TTL_MS - 1);
        assert_eq!(keys.len(), 3);
        keys.expire(SKIPPED_KEY_TTL_MS + 1);
        assert_eq!(keys.positions().map(|p| p.n).collect::<Vec<_>>(), [2]);
        keys.expire(0);
        assert_eq!(keys.len(), 1);
    }
}
