//! Searches all files below a directory for known secrets, in the forms in which programs tend to write them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes of a binary state that are a find together: chance does not make them.
const WINDOW: usize = 16;
/// Different bytes in such a window at least; fewer are padding, lengths or text.
const VARIETY: usize = 12;

/// What is searched for.
#[derive(Default)]
pub struct Scanner {
    /// By their first two bytes: name, form and bytes.
    needles: HashMap<[u8; 2], Vec<Needle>>,
    windows: HashMap<[u8; WINDOW], String>,
}

struct Needle {
    name: String,
    bytes: Vec<u8>,
    /// Digits: a longer number that has them is another one.
    whole: bool,
}

impl Scanner {
    /// Adds a secret in all its forms.
    pub fn plant(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= 6, "{name} is too short to search for");
        let digits = secret.iter().all(u8::is_ascii_digit);
        self.add(format!("{name}, as it is"), secret.to_vec(), digits);
        self.add(format!("{name}, hex"), hex::encode(secret).into_bytes(), false);
        self.add(format!("{name}, HEX"), hex::encode_upper(secret).into_bytes(), false);
        let wide = secret.iter().flat_map(|byte| [*byte, 0]).collect();
        self.add(format!("{name}, UTF-16"), wide, false);
        for before in 0..3 {
            let shifted = [&[0; 2][..before], secret].concat();
            // The letters at both ends depend on the bytes beside.
            let (from, whole) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
            for (alphabet, text) in
                [("base64", STANDARD_NO_PAD.encode(&shifted)), ("base64url", URL_SAFE_NO_PAD.encode(&shifted))]
            {
                self.add(format!("{name}, {alphabet} at {before}"), text.as_bytes()[from..whole].to_vec(), false);
            }
        }
    }

    /// Adds a binary state: any piece of it counts, unless it is text or padding.
    pub fn state(&mut self, name: &str, state: &[u8]) {
        for (at, window) in state.windows(WINDOW).enumerate() {
            let variety = window.iter().collect::<BTreeSet<_>>().len();
            if variety >= VARIETY && !window.is_ascii() {
                let window = window.try_into().expect("windows have that length");
                self.windows.insert(window, format!("{name}, from byte {at}"));
            }
        }
    }

    fn add(&mut self, name: String, bytes: Vec<u8>, whole: bool) {
        let first = [bytes[0], bytes[1]];
        self.needles.entry(first).or_default().push(Needle { name, bytes, whole });
    }

    /// Each secret that is in a file, or in a file's name, below `dir`: once for each file.
    pub fn scan(&self, dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let mut finds = self.search(name.as_bytes());
            if path.is_dir() {
                found.extend(self.scan(&path));
            } else if path.is_file() {
                finds.extend(self.search(&fs::read(&path).unwrap()));
            }
            found.extend(finds.into_iter().map(|find| format!("{find}, in {}", path.display())));
        }
        found
    }

    fn search(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, two) in bytes.array_windows::<2>().enumerate() {
            for needle in self.needles.get(two).into_iter().flatten() {
                if bytes[at..].starts_with(&needle.bytes) && !(needle.whole && is_inside(bytes, at, needle.bytes.len()))
                {
                    found.insert(needle.name.as_str());
                }
            }
        }
        if let Some(name) = bytes.array_windows::<WINDOW>().find_map(|window| self.windows.get(window)) {
            found.insert(name);
        }
        found
    }
}

/// Whether digits are a part of a longer number or of the fraction of a second.
fn is_inside(bytes: &[u8], at: usize, len: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(at + len);
    before.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') || after.is_some_and(u8::is_ascii_digit)
}
