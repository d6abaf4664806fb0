//! How records lie in sled's one tree.
//!
//! ```text
//! 'd' key                         → version u64 BE ‖ length u32 BE ‖ first chunk
//! 'x' key length u16 BE key n u16 → chunk n (from 1) of a longer value
//! 'm'                             → last version u64 BE ‖ number of records u64 BE
//! ```
//! Long values are cut because sled moves big pages into side files that it never syncs.

use crate::{
    engine::{Change, EngineError, Meta},
    limits::{CHUNK_BYTES, MAX_VALUE_BYTES},
    types::{Key, Record, Version},
};

pub(crate) const META_ROW: &[u8] = b"m";
const DATA: u8 = b'd';
const CHUNK: u8 = b'x';
const HEADER_BYTES: usize = 12;

/// The row of a record's head.
pub(crate) fn data_row(key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 1);
    row.push(DATA);
    row.extend_from_slice(key);
    row
}

/// The key of a head row, if it is one.
pub(crate) fn key_of(row: &[u8]) -> Option<&[u8]> {
    match row.split_first() {
        Some((&DATA, key)) => Some(key),
        _ => None,
    }
}

/// The row of chunk `n` of a long value.
pub(crate) fn chunk_row(key: &[u8], n: usize) -> Vec<u8> {
    // Both fit: keys and values are checked against far smaller limits before they come here.
    let (len, n) = (key.len() as u16, n as u16);
    let mut row = Vec::with_capacity(key.len() + 5);
    row.push(CHUNK);
    row.extend_from_slice(&len.to_be_bytes());
    row.extend_from_slice(key);
    row.extend_from_slice(&n.to_be_bytes());
    row
}

/// A head row as read.
pub(crate) struct Head<'a> {
    pub version: Version,
    /// Bytes of the whole value.
    pub len: usize,
    pub first: &'a [u8],
}

/// Reads a head row.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Head<'_>, EngineError> {
    let damaged = || EngineError::Refused("a record's header is damaged".into());
    let (header, first) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(damaged)?;
    let [v0, v1, v2, v3, v4, v5, v6, v7, l0, l1, l2, l3] = *header;
    let version = Version(u64::from_be_bytes([v0, v1, v2, v3, v4, v5, v6, v7]));
    let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if len > MAX_VALUE_BYTES || first.len() != len.min(CHUNK_BYTES) {
        return Err(damaged());
    }
    Ok(Head { version, len, first })
}

/// Chunks beyond the head of a value with this many bytes.
pub(crate) fn extra_chunks(len: usize) -> usize {
    len.div_ceil(CHUNK_BYTES).saturating_sub(1)
}

/// All rows that one change writes (`Some`) and removes (`None`).
pub(crate) fn rows_of(change: &Change) -> Vec<(Key, Option<Vec<u8>>)> {
    let old = change.before.as_ref().map_or(0, |record| extra_chunks(record.value.len()));
    let mut rows = Vec::with_capacity(1);
    let new = match &change.after {
        None => {
            rows.push((data_row(&change.key), None));
            0
        }
        Some(record) => put_rows(&change.key, record, &mut rows),
    };
    rows.extend((new + 1..=old).map(|n| (chunk_row(&change.key, n), None)));
    rows
}

fn put_rows(key: &[u8], record: &Record, rows: &mut Vec<(Key, Option<Vec<u8>>)>) -> usize {
    let mut chunks = record.value.chunks(CHUNK_BYTES);
    let mut head = Vec::with_capacity(HEADER_BYTES + CHUNK_BYTES.min(record.value.len()));
    head.extend_from_slice(&record.version.0.to_be_bytes());
    head.extend_from_slice(&(record.value.len() as u32).to_be_bytes());
    head.extend_from_slice(chunks.next().unwrap_or_default());
    rows.push((data_row(key), Some(head)));
    let mut written = 0;
    for (chunk, n) in chunks.zip(1..) {
        rows.push((chunk_row(key, n), Some(chunk.to_vec())));
        written = n;
    }
    written
}

pub(crate) fn encode_meta(meta: Meta) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&meta.last.0.to_be_bytes());
    bytes[8..].copy_from_slice(&meta.records.to_be_bytes());
    bytes
}

pub(crate) fn parse_meta(bytes: &[u8]) -> Result<Meta, EngineError> {
    let both: Option<(&[u8; 8], &[u8])> = bytes.split_first_chunk();
    let parsed = both.and_then(|(last, rest)| {
        let records = <[u8; 8]>::try_from(rest).ok()?;
        let last = Version(u64::from_be_bytes(*last));
        Some(Meta { last, records: u64::from_be_bytes(records) })
    });
    parsed.ok_or_else(|| EngineError::Refused("the store's counters are damaged".into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parsers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_head(&bytes);
            if let Ok(meta) = parse_meta(&bytes) {
                prop_assert_eq!(encode_meta(meta).to_vec(), bytes);
            }
        }
    }

    #[test]
    fn a_shorter_value_removes_the_chunks_of_the_longer_one() {
        let record = |len| Some(Record { version: Version(1), value: vec![7; len] });
        let cases = [
            (None, record(0), 1, 0),
            (None, record(CHUNK_BYTES), 1, 0),
            (None, record(CHUNK_BYTES + 1), 2, 0),
            (record(3 * CHUNK_BYTES), record(1), 1, 2),
            (record(3 * CHUNK_BYTES), None, 0, 3),
            (record(1), record(3 * CHUNK_BYTES), 3, 0),
            (record(2 * CHUNK_BYTES), record(3 * CHUNK_BYTES), 3, 0),
        ];
        for (before, after, puts, removes) in cases {
            let rows = rows_of(&Change { key: b"k".to_vec(), before, after });
            let put = rows.iter().filter(|(_, value)| value.is_some()).count();
            assert_eq!((put, rows.len() - put), (puts, removes));
        }
    }
}
