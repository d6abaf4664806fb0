//! The embedded engine: sled 0.34.7, one tree.

use std::fs::File;

use crate::{
    engine::{Change, Engine, EngineError, Hidden, Lookup, Meta},
    mark::Mark,
    sled_rows::{META_ROW, chunk_row, data_row, encode_meta, extra_chunks, key_of, parse_head, parse_meta, rows_of},
    types::{Key, Record},
};

/// An open sled database.
pub(crate) struct SledEngine {
    pub db: sled::Db,
    /// The data file, for our own fsync (which covers the inode, whoever wrote to it). Open as long
    /// as the database, because the kernel reports a failed write-back only to who was there.
    pub file: File,
    pub mark: Mark,
}

impl SledEngine {
    fn record(&self, key: &[u8], head: &[u8]) -> Result<Record, EngineError> {
        let head = parse_head(head)?;
        let mut value = Vec::with_capacity(head.len);
        value.extend_from_slice(head.first);
        for n in 1..=extra_chunks(head.len) {
            let chunk = self.db.get(chunk_row(key, n)).map_err(|e| reading(&e))?;
            value.extend_from_slice(&chunk.ok_or_else(torn)?);
        }
        if value.len() != head.len {
            return Err(torn());
        }
        Ok(Record { version: head.version, value })
    }
}

impl Lookup for SledEngine {
    fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        match self.db.get(data_row(key)).map_err(|e| reading(&e))? {
            Some(head) => self.record(key, &head).map(Some),
            None => Ok(None),
        }
    }
}

impl Engine for SledEngine {
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        hidden: &Hidden,
    ) -> Result<Vec<(Key, Record)>, EngineError> {
        let mut found = Vec::new();
        let mut start = data_row(prefix);
        if let Some(after) = after.filter(|after| *after >= prefix) {
            start = data_row(after);
            start.push(0); // the least key above `after`
        }
        for row in self.db.range(start..).take(limit) {
            let (row, head) = row.map_err(|e| reading(&e))?;
            let Some(key) = key_of(&row).filter(|key| key.starts_with(prefix)) else {
                break;
            };
            // Its parts lie in rows of their own, which the commit on its way may have reached already.
            if !hidden.contains_key(key) {
                found.push((key.to_vec(), self.record(key, &head)?));
            }
        }
        Ok(found)
    }

    fn meta(&self) -> Result<Meta, EngineError> {
        match self.db.get(META_ROW).map_err(|e| reading(&e))? {
            Some(bytes) => parse_meta(&bytes),
            None => Ok(Meta::default()),
        }
    }

    fn write(&self, changes: &[Change], meta: Meta) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (row, value) in changes.iter().flat_map(rows_of) {
            match value {
                Some(value) => batch.insert(row, value),
                None => batch.remove(row),
            }
        }
        batch.insert(META_ROW, &encode_meta(meta));
        self.db.apply_batch(batch).map_err(|e| writing(&e))?;
        self.mark.written(meta.last);
        Ok(())
    }

    /// sled's flush on Linux stops at `sync_file_range`: it writes neither the file's length nor
    /// the drive's cache, so an fsync of our own follows.
    fn sync(&self) -> Result<(), EngineError> {
        self.db.flush().map_err(|e| writing(&e))?;
        self.file.sync_all().map_err(|e| EngineError::writing(&e))?;
        self.mark.synced().map_err(|e| EngineError::writing(&e))
    }

    fn bytes_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

fn torn() -> EngineError {
    EngineError::Refused("a long record lacks a part".into())
}

fn reading(error: &sled::Error) -> EngineError {
    EngineError::Refused(error.to_string())
}

fn writing(error: &sled::Error) -> EngineError {
    match error {
        sled::Error::Io(source) => EngineError::writing(source),
        other => EngineError::CacheInDoubt(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{CacheTrust, Opener as _},
        limits::CHUNK_BYTES,
        sled_files::SledOpener,
        types::Version,
    };

    #[test]
    fn a_half_written_record_is_not_read_while_its_commit_is_on_its_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let long = Record { version: Version(1), value: vec![7; 3 * CHUNK_BYTES] };
        let change = |key: &[u8]| Change { key: key.to_vec(), before: None, after: Some(long.clone()) };
        let changes = [change(b"a"), change(b"b"), change(b"c")];
        let engine = SledOpener { path: path.clone(), cache_bytes: 1 << 20, may_create: true }
            .open(CacheTrust::Trusted)
            .unwrap();
        engine.write(&changes, Meta::default()).unwrap();
        engine.sync().unwrap();
        drop(engine);
        let db = sled::Config::new().path(path).open().unwrap();
        let (file, mark) = (File::open(dir.path()).unwrap(), Mark::new(dir.path()));
        let torn = SledEngine { db, file, mark };
        torn.db.remove(chunk_row(b"b", 1)).unwrap();
        let keys = |hidden: &Hidden| {
            let rows = torn.scan(b"", None, 3, hidden).map_err(|error| error.to_string())?;
            Ok::<_, String>(rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>())
        };
        assert!(keys(&Hidden::new()).is_err(), "it is torn");
        let hidden = Hidden::from([(b"b".to_vec(), Some(long.clone()))]);
        assert_eq!(keys(&hidden), Ok(vec![b"a".to_vec(), b"c".to_vec()]));
    }
}
