//! Files that grow by a line of JSON for everything that happened: the SMS that nodes send to phones, and the posts on the
//! platform.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An SMS on its way to a phone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sms {
    /// The number.
    pub to: String,
    /// The text.
    pub text: String,
}

/// A post on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Post {
    /// Who posted.
    pub account: String,
    /// The text.
    pub status: String,
    /// The post's name.
    pub id: String,
}

/// The reader. It gives each line once, in the order of the file.
pub struct Follow<T> {
    path: PathBuf,
    offset: u64,
    /// Half a line that is being written.
    rest: Vec<u8>,
    lines: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Follow<T> {
    /// Reads from the beginning of the file, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, rest: Vec::new(), lines: PhantomData }
    }

    /// What was added since the last look. Lines that are something else are passed over.
    pub fn look(&mut self) -> Result<Vec<T>> {
        let Ok(mut file) = File::open(&self.path) else { return Ok(Vec::new()) };
        let failed = || format!("{} cannot be read", self.path.display());
        file.seek(SeekFrom::Start(self.offset)).with_context(failed)?;
        let mut new = Vec::new();
        file.read_to_end(&mut new).with_context(failed)?;
        self.offset += new.len() as u64;
        self.rest.extend_from_slice(&new);
        Ok(self.take_lines())
    }

    fn take_lines(&mut self) -> Vec<T> {
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let unfinished = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, unfinished);
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Waits for the next line for which `wanted` has an answer.
    ///
    /// # Errors
    /// When none comes within `patience`.
    pub async fn wait_for<U>(&mut self, patience: Duration, wanted: impl Fn(&T) -> Option<U>) -> Result<U> {
        let search = async {
            loop {
                if let Some(found) = self.look()?.iter().find_map(&wanted) {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(patience, search).await;
        waited.with_context(|| format!("nothing came within {} s", patience.as_secs()))?
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_line_is_given_once_and_half_lines_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sms-outbox.jsonl");
        let mut outbox = Follow::<Sms>::new(path.clone());
        assert_eq!(outbox.look().unwrap(), []);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"{\"to\":\"+2376\",\"text\":\"one\",\"at\":1}\n{\"to\":\"+2377\",").unwrap();
        let texts =
            |outbox: &mut Follow<Sms>| outbox.look().unwrap().into_iter().map(|sms| sms.text).collect::<Vec<_>>();
        assert_eq!(texts(&mut outbox), ["one"]);
        assert!(texts(&mut outbox).is_empty());
        file.write_all(b"\"text\":\"two\",\"at\":2}\nnoise\n").unwrap();
        assert_eq!(texts(&mut outbox), ["two"]);
    }
}
