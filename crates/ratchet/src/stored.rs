//! The stored form of a session: one version byte, then the state in postcard. The store seals it; here it only has to be
//! exact, small and honest about its version.

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

use crate::block::MAX_COUNTER;
use crate::session::{Session, State};
use crate::skipped::MAX_SKIPPED_KEYS;

/// The version that [`Session::encode`] writes, and the only one there is so far.
const VERSION: u8 = 1;

/// Most bytes a stored session takes, so that 400 skipped keys and all the rest fit one record.
pub const MAX_SESSION_BYTES: usize = 40 * 1024;

/// Bytes of everything but skipped keys, at most: six keys with their option bytes and three counters.
const FIXED_BYTES: usize = 6 * 33 + 3 * 5 + 5;

/// Bytes of one skipped key, at most: 32 + 5 for its place, 32 for the key, 10 for the time.
const SKIPPED_BYTES: usize = 79;

const _: () = assert!(1 + FIXED_BYTES + MAX_SKIPPED_KEYS * SKIPPED_BYTES <= MAX_SESSION_BYTES);

/// Why bytes are not a stored session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("stored session is empty")]
    Empty,
    #[error("stored session has version {found}, this program knows up to {VERSION}")]
    Version { found: u8 },
    #[error("stored session is longer than {MAX_SESSION_BYTES} bytes")]
    TooLong,
    #[error("stored session is truncated or malformed")]
    Malformed,
    #[error("{count} bytes follow the stored session")]
    Trailing { count: usize },
    #[error("stored session contradicts itself: {what}")]
    Inconsistent { what: &'static str },
}

impl Session {
    /// The bytes to store; at most [`MAX_SESSION_BYTES`]. They hold private keys: seal them.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Sized up front: a buffer that grows leaves unwiped copies behind.
        let room = 1 + FIXED_BYTES + self.skipped_len() * SKIPPED_BYTES;
        let mut bytes = Zeroizing::new(vec![0; room]);
        bytes[0] = VERSION;
        let used = postcard::to_slice(&self.state, &mut bytes[1..]).expect("the buffer holds the largest state").len();
        bytes.truncate(1 + used);
        bytes
    }

    /// Reads what [`Session::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for another version, damage, bytes too many, or a state that no session can be in.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_SESSION_BYTES {
            return Err(DecodeError::TooLong);
        }
        let (version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if *version != VERSION {
            return Err(DecodeError::Version { found: *version });
        }
        let (state, rest) = postcard::take_from_bytes::<State>(body).map_err(|_| DecodeError::Malformed)?;
        if !rest.is_empty() {
            return Err(DecodeError::Trailing { count: rest.len() });
        }
        check(&state)?;
        Ok(Self { state })
    }
}

fn check(state: &State) -> Result<(), DecodeError> {
    let sound = [
        (state.skipped.len() <= MAX_SKIPPED_KEYS, "more skipped keys than a session keeps"),
        (state.skipped.positions().all(|at| at.n <= MAX_COUNTER), "a skipped number no header can carry"),
        (state.sent <= MAX_COUNTER && state.previous <= MAX_COUNTER, "a sending count no header can carry"),
        (state.received <= MAX_COUNTER + 1, "a receiving count no header can reach"),
        (
            state.their_public.is_some() || (state.sending.is_none() && state.receiving.is_none()),
            "a chain without their key",
        ),
        (state.receiving.is_some() || state.received == 0, "a receiving count without a chain"),
        (state.sending.is_some() || state.sent == 0, "a sending count without a chain"),
    ];
    sound.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(DecodeError::Inconsistent { what }))
}

/// As the bytes of [`Session::encode`], version byte included.
impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(SessionVisitor)
    }
}

struct SessionVisitor;

impl Visitor<'_> for SessionVisitor {
    type Value = Session;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a stored session")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Session, E> {
        Session::decode(bytes).map_err(E::custom)
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Session, E> {
        Session::decode(&Zeroizing::new(bytes)).map_err(E::custom)
    }
}
