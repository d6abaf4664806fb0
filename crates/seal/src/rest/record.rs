//! One record, sealed to its place.

use relaymesh_protocol::ids::{EntityId, NodeId};
use zeroize::Zeroizing;

use super::{DayKey, OpenError, PAD_BLOCK, RecordKey};
use crate::aead::{NONCE_LEN, TAG_LEN, open_in_place, seal_tail};
use crate::framing::lp32;
use crate::labels;
use crate::pad::{pad_to, padded_len, unpadded_len};

const VERSION: u8 = 1;
const PREFIX_LEN: usize = 1 + 8 + NONCE_LEN;

/// The place of an entity's record; each field is authenticated.
#[derive(Clone, Copy, Debug)]
pub struct RecordAad<'a> {
    /// The node whose disk it is on.
    pub shard: NodeId,
    /// Its table.
    pub table: &'a str,
    /// Its entity.
    pub entity: &'a EntityId,
    /// Its key within the table.
    pub record: &'a [u8],
    /// The entity's counter when it was written.
    pub counter: u64,
}

/// The place of a record without an entity; each field is authenticated.
#[derive(Clone, Copy, Debug)]
pub struct DayAad<'a> {
    /// The node whose disk it is on.
    pub shard: NodeId,
    /// Its table.
    pub table: &'a str,
    /// Its key within the table.
    pub record: &'a [u8],
    /// Its version, where the table counts.
    pub counter: u64,
}

/// Seals a value. The nonce must be random.
#[must_use]
pub fn seal_record(key: &RecordKey, aad: RecordAad<'_>, nonce: [u8; NONCE_LEN], value: &[u8]) -> Vec<u8> {
    seal(key.danger_bytes(), &Place::entity(aad), aad.counter, nonce, value)
}

/// Opens a value that was written at exactly this place and counter.
///
/// # Errors
/// When version, key, place, counter or bytes differ.
pub fn open_record(key: &RecordKey, aad: RecordAad<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    exact(aad.counter, open_record_any_counter(key, aad, sealed)?)
}

/// Opens a value that was written at this place, whenever that was: `aad.counter` is ignored, the authenticated one is
/// returned beside the value. The caller compares it with the entity's head.
///
/// # Errors
/// When version, key, place or bytes differ.
pub fn open_record_any_counter(
    key: &RecordKey,
    aad: RecordAad<'_>,
    sealed: &[u8],
) -> Result<(u64, Zeroizing<Vec<u8>>), OpenError> {
    open(key.danger_bytes(), &Place::entity(aad), sealed)
}

/// Seals a value without an entity. The nonce must be random.
#[must_use]
pub fn seal_day_record(key: &DayKey, aad: DayAad<'_>, nonce: [u8; NONCE_LEN], value: &[u8]) -> Vec<u8> {
    seal(key.danger_bytes(), &Place::day(aad), aad.counter, nonce, value)
}

/// [`open_record`] for a record without an entity.
///
/// # Errors
/// When version, key, place, counter or bytes differ.
pub fn open_day_record(key: &DayKey, aad: DayAad<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    exact(aad.counter, open_day_record_any_counter(key, aad, sealed)?)
}

/// [`open_record_any_counter`] for a record without an entity.
///
/// # Errors
/// When version, key, place or bytes differ.
pub fn open_day_record_any_counter(
    key: &DayKey,
    aad: DayAad<'_>,
    sealed: &[u8],
) -> Result<(u64, Zeroizing<Vec<u8>>), OpenError> {
    open(key.danger_bytes(), &Place::day(aad), sealed)
}

struct Place<'a> {
    label: &'static [u8],
    shard: NodeId,
    table: &'a str,
    entity: EntityId,
    record: &'a [u8],
}

impl<'a> Place<'a> {
    fn entity(aad: RecordAad<'a>) -> Self {
        Self { label: labels::REC_AAD, shard: aad.shard, table: aad.table, entity: *aad.entity, record: aad.record }
    }

    fn day(aad: DayAad<'a>) -> Self {
        Self {
            label: labels::DAY_AAD,
            shard: aad.shard,
            table: aad.table,
            entity: EntityId([0; 16]),
            record: aad.record,
        }
    }

    fn encode(&self, counter: u64) -> Vec<u8> {
        let mut out = self.label.to_vec();
        out.extend_from_slice(self.shard.as_bytes());
        lp32(&mut out, self.table.as_bytes());
        out.extend_from_slice(self.entity.as_bytes());
        lp32(&mut out, self.record);
        out.extend_from_slice(&counter.to_be_bytes());
        out
    }
}

fn seal(key: &[u8; 32], place: &Place<'_>, counter: u64, nonce: [u8; NONCE_LEN], value: &[u8]) -> Vec<u8> {
    let end = PREFIX_LEN + padded_len(value.len(), PAD_BLOCK);
    let mut out = Vec::with_capacity(end + TAG_LEN);
    out.push(VERSION);
    out.extend_from_slice(&counter.to_be_bytes());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(value);
    pad_to(&mut out, end);
    seal_tail(key, &nonce, &place.encode(counter), &mut out, PREFIX_LEN);
    out
}

fn open(key: &[u8; 32], place: &Place<'_>, sealed: &[u8]) -> Result<(u64, Zeroizing<Vec<u8>>), OpenError> {
    let (version, rest) = sealed.split_first().ok_or(OpenError::DoesNotOpen)?;
    if *version != VERSION {
        return Err(OpenError::Version(*version));
    }
    unseal(key, place, rest).ok_or(OpenError::DoesNotOpen)
}

fn unseal(key: &[u8; 32], place: &Place<'_>, rest: &[u8]) -> Option<(u64, Zeroizing<Vec<u8>>)> {
    let (counter, rest) = rest.split_first_chunk()?;
    let counter = u64::from_be_bytes(*counter);
    let (nonce, ciphertext) = rest.split_first_chunk()?;
    let mut buf = Zeroizing::new(ciphertext.to_vec());
    let plain = open_in_place(key, nonce, &place.encode(counter), &mut buf)?;
    if !plain.len().is_multiple_of(PAD_BLOCK) {
        return None;
    }
    let len = unpadded_len(plain, PAD_BLOCK)?;
    buf.truncate(len);
    Some((counter, buf))
}

fn exact(expected: u64, (stored, value): (u64, Zeroizing<Vec<u8>>)) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    if stored == expected { Ok(value) } else { Err(OpenError::DoesNotOpen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals a plaintext as it stands, to see what the reader says to a padding that the writer never makes.
    fn with_padding(plain: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let aad = DayAad { shard: NodeId([1; 32]), table: "t", record: b"r", counter: 0 };
        let mut out = vec![VERSION];
        out.extend_from_slice(&[0; 8 + NONCE_LEN]);
        out.extend_from_slice(plain);
        seal_tail(&[2; 32], &[0; NONCE_LEN], &Place::day(aad).encode(0), &mut out, PREFIX_LEN);
        open_day_record(&DayKey::from_bytes([2; 32]), aad, &out)
    }

    #[test]
    fn only_the_writers_padding_is_read() {
        let block = |mark: usize| {
            let mut plain = vec![0; 128];
            plain[mark] = 0x80;
            plain
        };
        assert_eq!(with_padding(&block(64)).unwrap().len(), 64);
        assert_eq!(with_padding(&block(127)).unwrap().len(), 127);
        assert!(with_padding(&block(63)).is_err(), "a whole block of padding too much");
        assert!(with_padding(&[0; 64]).is_err(), "no mark");
        assert!(with_padding(&[0x80; 63]).is_err(), "not a multiple of the block");
        assert!(with_padding(&[]).is_err(), "empty");
    }
}
