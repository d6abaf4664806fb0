//! The backup file: all records, engine-neutral, each with its own check.
//!
//! ```text
//! "RMSTORE\x1a" ‖ format u16 ‖ record* ‖ end
//! record: 1 u8 ‖ key length u16 ‖ value length u32 ‖ key ‖ value ‖ crc u32
//! end:    0 u8 ‖ number of records u64 ‖ crc u32
//! ```
//! Numbers are big-endian; each crc (CRC-32, IEEE 802.3) covers its part from the first byte on;
//! keys ascend. So a cut, a flipped bit, a missing or doubled record and a tail are all seen.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read as _, Seek, SeekFrom, Write as _};

use crate::{
    error::{ExportError, ImportError},
    limits::{ARCHIVE_PAGE, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES},
    shared::View,
    store::Store,
    types::{Batch, Key, Outcome},
};

const MAGIC: &[u8; 8] = b"RMSTORE\x1a";
const FORMAT: u16 = 1;
const RECORD: u8 = 1;
const END: u8 = 0;

pub(crate) fn export(view: &View<'_>, out: &mut dyn io::Write) -> Result<u64, ExportError> {
    let mut out = BufWriter::new(out);
    out.write_all(MAGIC).map_err(ExportError::Io)?;
    out.write_all(&FORMAT.to_be_bytes()).map_err(ExportError::Io)?;
    let (mut count, mut last) = (0_u64, None::<Key>);
    loop {
        let page = view.scan(&[], last.as_deref(), ARCHIVE_PAGE).map_err(ExportError::Store)?;
        for (key, record) in &page {
            write_checked(&mut out, &encode_record(key, &record.value))?;
            count += 1;
        }
        match page.into_iter().next_back() {
            Some((key, _)) => last = Some(key),
            None => break,
        }
    }
    let mut end = vec![END];
    end.extend_from_slice(&count.to_be_bytes());
    write_checked(&mut out, &end)?;
    out.flush().map_err(ExportError::Io)?;
    Ok(count)
}

fn encode_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut part = Vec::with_capacity(7 + key.len() + value.len());
    part.push(RECORD);
    // Stored keys and values are far below these widths.
    part.extend_from_slice(&(key.len() as u16).to_be_bytes());
    part.extend_from_slice(&(value.len() as u32).to_be_bytes());
    part.extend_from_slice(key);
    part.extend_from_slice(value);
    part
}

fn write_checked(out: &mut impl io::Write, part: &[u8]) -> Result<(), ExportError> {
    out.write_all(part).map_err(ExportError::Io)?;
    out.write_all(&crc32(part).to_be_bytes()).map_err(ExportError::Io)
}

/// Reads the file twice: first to check all of it, then to write.
pub(crate) fn import<R: io::Read + Seek>(mut input: R, store: &Store) -> Result<u64, ImportError> {
    let start = input.stream_position().map_err(ImportError::Io)?;
    let mut check = Reader::open(&mut input)?;
    while check.next_record()?.is_some() {}
    input.seek(SeekFrom::Start(start)).map_err(ImportError::Io)?;

    let mut records = Reader::open(&mut input)?;
    let (mut batch, mut imported) = (Batch::new(), 0_u64);
    while let Some((key, value)) = records.next_record()? {
        let bytes = batch.bytes() + key.len() + value.len();
        if batch.writes.len() >= ARCHIVE_PAGE || bytes > MAX_BATCH_BYTES {
            imported += apply(store, std::mem::take(&mut batch), imported)?;
        }
        batch = batch.put(key, value);
    }
    imported += apply(store, batch, imported)?;
    Ok(imported)
}

fn apply(store: &Store, batch: Batch, imported: u64) -> Result<u64, ImportError> {
    let count = batch.writes.len() as u64;
    match store.apply(batch) {
        Outcome::Ok => Ok(count),
        Outcome::Conflict | Outcome::Failed => Err(ImportError::Stopped { imported }),
    }
}

/// Reads records one by one and trusts nothing.
struct Reader<R> {
    input: BufReader<R>,
    last: Option<Key>,
    count: u64,
}

impl<R: io::Read> Reader<R> {
    fn open(input: R) -> Result<Self, ImportError> {
        let mut reader = Self { input: BufReader::new(input), last: None, count: 0 };
        let magic: [u8; 8] = reader.bytes().map_err(not_a_backup)?;
        let format = u16::from_be_bytes(reader.bytes().map_err(not_a_backup)?);
        if &magic != MAGIC || format == 0 {
            return Err(ImportError::NotABackup);
        }
        if format > FORMAT {
            return Err(ImportError::NewerFormat { found: format, supported: FORMAT });
        }
        Ok(reader)
    }

    fn next_record(&mut self) -> Result<Option<(Key, Vec<u8>)>, ImportError> {
        match self.bytes()? {
            [RECORD] => self.record().map(Some),
            [END] => self.end().map(|()| None),
            _ => Err(self.damaged("unknown kind of entry")),
        }
    }

    fn record(&mut self) -> Result<(Key, Vec<u8>), ImportError> {
        let key_len = usize::from(u16::from_be_bytes(self.bytes()?));
        let value_len = u32::from_be_bytes(self.bytes()?) as usize;
        if key_len == 0 || key_len > MAX_KEY_BYTES || value_len > MAX_VALUE_BYTES {
            return Err(self.damaged("impossible length"));
        }
        let (mut key, mut value) = (vec![0; key_len], vec![0; value_len]);
        self.fill(&mut key)?;
        self.fill(&mut value)?;
        self.check(&encode_record(&key, &value))?;
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(self.damaged("records out of order"));
        }
        self.last = Some(key.clone());
        self.count += 1;
        Ok((key, value))
    }

    fn end(&mut self) -> Result<(), ImportError> {
        let count: [u8; 8] = self.bytes()?;
        let mut part = vec![END];
        part.extend_from_slice(&count);
        self.check(&part)?;
        if u64::from_be_bytes(count) != self.count {
            return Err(self.damaged("records are missing"));
        }
        match self.input.read(&mut [0]).map_err(ImportError::Io)? {
            0 => Ok(()),
            _ => Err(self.damaged("bytes after the end")),
        }
    }

    fn check(&mut self, part: &[u8]) -> Result<(), ImportError> {
        if u32::from_be_bytes(self.bytes()?) == crc32(part) {
            return Ok(());
        }
        Err(self.damaged("checksum does not match"))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ImportError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.damaged("the file ends too early"),
            _ => ImportError::Io(error),
        })
    }

    fn damaged(&self, why: &'static str) -> ImportError {
        ImportError::Damaged { record: self.count, why }
    }
}

fn not_a_backup(error: ImportError) -> ImportError {
    match error {
        ImportError::Damaged { .. } => ImportError::NotABackup,
        other => other,
    }
}

/// CRC-32 as in IEEE 802.3, bit by bit: backups are bounded by the disk, not by this.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{memory_engine::MemoryDisk, types::Discard};

    fn drain(bytes: &[u8]) -> Result<u64, ImportError> {
        let mut reader = Reader::open(bytes)?;
        while reader.next_record()?.is_some() {}
        Ok(reader.count)
    }

    fn backup(records: u8) -> Vec<u8> {
        let store = Store::memory(&MemoryDisk::new(), Discard).unwrap();
        let batch = (0..records).fold(Batch::new(), |b, n| b.put(vec![n], vec![n; n.into()]));
        assert_eq!(store.apply(batch), Outcome::Ok);
        let mut file = Vec::new();
        assert_eq!(store.export(&mut file).unwrap(), u64::from(records));
        file
    }

    #[test]
    fn crc_matches_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_cut_every_flip_and_every_tail_is_seen() {
        let good = backup(9);
        assert_eq!(drain(&good).unwrap(), 9);
        for cut in 0..good.len() {
            assert!(drain(&good[..cut]).is_err(), "cut at {cut}");
            let mut flipped = good.clone();
            flipped[cut] ^= 0x10;
            assert!(drain(&flipped).is_err(), "flip at {cut}");
        }
        let mut tail = good;
        tail.push(0);
        assert!(matches!(drain(&tail), Err(ImportError::Damaged { record: 9, .. })));
    }

    #[test]
    fn a_damaged_file_imports_nothing() {
        let mut file = backup(9);
        let last = file.len() - 1;
        file[last] ^= 1;
        let store = Store::memory(&MemoryDisk::new(), Discard).unwrap();
        let error = store.import(io::Cursor::new(file)).unwrap_err();
        assert!(error.to_string().contains("nothing was imported"), "{error}");
        assert_eq!(store.stats().unwrap().records_estimate, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn garbage_is_refused(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(matches!(drain(&tail), Err(ImportError::NotABackup)));
            let mut marked = MAGIC.to_vec();
            marked.extend_from_slice(&FORMAT.to_be_bytes());
            marked.extend_from_slice(&tail);
            prop_assert!(drain(&marked).is_err());
        }
    }
}
