//! The file port: what would be sent is one JSON line, for development and the demo.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use crate::{Accepted, SendError, Sms};

#[derive(Serialize)]
struct Line<'a> {
    to: &'a str,
    text: &'a str,
    at: u64,
}

/// Appends each SMS as `{"to","text","at"}`, `at` in milliseconds since the Unix epoch.
pub struct FilePort {
    file: Mutex<File>,
}

impl fmt::Debug for FilePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilePort")
    }
}

impl FilePort {
    /// Opens the file for appending, making it if it is not there (readable by its owner only).
    pub async fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        options.mode(0o600);
        Ok(Self { file: Mutex::new(options.open(path).await?) })
    }

    /// Appends one line and flushes it. A write that fails may have left half a line.
    pub(crate) async fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        let line = Line { to: sms.to, text: sms.text, at: sms.at_ms };
        let mut bytes =
            serde_json::to_vec(&line).map_err(|_| SendError::Invalid("the sms cannot be written as json"))?;
        bytes.push(b'\n');
        let mut file = self.file.lock().await;
        file.write_all(&bytes).await.map_err(|_| SendError::Unknown)?;
        file.flush().await.map_err(|_| SendError::Unknown)?;
        Ok(Accepted)
    }
}
