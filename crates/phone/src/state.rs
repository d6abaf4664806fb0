//! The stored form of a phone: one version byte, then the state in postcard. It holds private keys and tokens: seal it.

use relaymesh_ratchet::Session;
use zeroize::Zeroizing;

use crate::bridge::BRIDGE_SESSIONS_MAX;
use crate::phone::{ACCOUNTS_MAX, Phone, SENT_MAX};
use crate::read::READ_REPLIES_MAX;

/// The version that [`Phone::encode`] writes, and the only one there is so far.
const VERSION: u8 = 1;

/// Most bytes read as a stored phone: 256 accounts with two tokens of 8 KiB each are the largest part of it.
pub const STATE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why bytes are not a stored phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No byte.
    #[error("stored phone is empty")]
    Empty,
    /// Over [`STATE_BYTES_MAX`].
    #[error("stored phone has {len} bytes, at most {STATE_BYTES_MAX} are read")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// From another program version.
    #[error("stored phone has version {found}, this program knows up to {VERSION}; use a newer one")]
    Version {
        /// Its version byte.
        found: u8,
    },
    /// Damaged.
    #[error("stored phone is truncated or malformed")]
    Malformed,
    /// Too long behind its end.
    #[error("{count} bytes follow the stored phone")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A list that no phone of ours has.
    #[error("stored phone has more {what} than a phone keeps")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
}

impl Phone {
    /// The bytes to store. They hold private keys: seal them.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Measured first: a buffer that grows leaves unwiped copies behind.
        let size = postcard::serialize_with_flavor(self, postcard::ser_flavors::Size::default())
            .expect("counting bytes has no way to fail");
        let mut bytes = Zeroizing::new(vec![VERSION; 1 + size]);
        postcard::to_slice(self, &mut bytes[1..]).expect("the buffer has the measured size");
        bytes
    }

    /// Reads what [`Phone::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for another version, damage, bytes too many, or lists that no phone has.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > STATE_BYTES_MAX {
            return Err(DecodeError::TooLong { len: bytes.len() });
        }
        let (version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if *version != VERSION {
            return Err(DecodeError::Version { found: *version });
        }
        let (phone, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| DecodeError::Malformed)?;
        if !rest.is_empty() {
            return Err(DecodeError::Trailing { count: rest.len() });
        }
        check(&phone)?;
        Ok(phone)
    }
}

fn check(phone: &Phone) -> Result<(), DecodeError> {
    let lists = [
        ("bridge sessions", phone.bridges.len(), BRIDGE_SESSIONS_MAX),
        ("accounts", phone.accounts.len(), ACCOUNTS_MAX),
        ("sent messages", phone.sent.len(), SENT_MAX),
        ("read replies", phone.read.len(), READ_REPLIES_MAX),
    ];
    match lists.into_iter().find(|(_, len, max)| len > max) {
        Some((what, ..)) => Err(DecodeError::TooMany { what }),
        None => Ok(()),
    }
}

/// A session as the bytes that it encodes to itself, with its own version.
pub(crate) mod session {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{Session, Zeroizing};

    pub(crate) fn serialize<S: Serializer>(session: &Session, serializer: S) -> Result<S::Ok, S::Error> {
        session.encode().as_slice().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Session, D::Error> {
        let bytes = Zeroizing::new(Vec::<u8>::deserialize(deserializer)?);
        Session::decode(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use relaymesh_protocol::ids::Timestamp;

    use super::*;
    use crate::phone::Sent;

    #[test]
    fn lists_beyond_their_bounds_are_refused() {
        let phone = || Phone::new("+237650123456".parse().unwrap());
        let decode = |phone: &Phone| Phone::decode(&phone.encode()).map(|_| ());
        let mut read = phone();
        read.read = vec![[0; 32]; READ_REPLIES_MAX];
        assert_eq!(decode(&read), Ok(()));
        read.read.push([0; 32]);
        assert_eq!(decode(&read), Err(DecodeError::TooMany { what: "read replies" }));
        let mut sent = phone();
        let entry = Sent { ordinal: 1, platform: "gmail".to_owned(), at: Timestamp(0) };
        sent.sent = vec![entry; SENT_MAX + 1];
        assert_eq!(decode(&sent), Err(DecodeError::TooMany { what: "sent messages" }));
    }
}
