//! What the integration tests share: a source of recorded keys and a mirror of the stored session.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::VecDeque;
use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use relaymesh_ratchet::Session;
use serde::{Deserialize, Serialize};

/// A "random" source that gives recorded private keys and panics when asked for one more.
pub struct Recorded(VecDeque<[u8; 32]>);

impl Recorded {
    pub fn keys(keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// For calls that must not draw at all.
    pub fn nothing() -> Self {
        Self::keys([])
    }

    pub fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("a private key is drawn as 32 bytes at once")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("a private key is drawn as 32 bytes at once")
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.copy_from_slice(&self.0.pop_front().expect("a key was drawn where none may be"));
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

/// The stored form of version 1, written down a second time: a change of the format must show up here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateV1 {
    pub our_secret: [u8; 32],
    pub our_public: [u8; 32],
    pub their_public: Option<[u8; 32]>,
    pub root: [u8; 32],
    pub sending: Option<[u8; 32]>,
    pub receiving: Option<[u8; 32]>,
    pub sent: u32,
    pub received: u32,
    pub previous: u32,
    pub skipped: Vec<SkippedV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedV1 {
    pub dh: [u8; 32],
    pub n: u32,
    pub key: [u8; 32],
    pub stored_at_ms: u64,
}

impl StateV1 {
    pub fn of(session: &Session) -> Self {
        let bytes = session.encode();
        let (version, body) = bytes.split_first().unwrap();
        assert_eq!(*version, 1);
        postcard::from_bytes(body).unwrap()
    }

    pub fn encode(&self) -> Vec<u8> {
        [vec![1], postcard::to_stdvec(self).unwrap()].concat()
    }
}
