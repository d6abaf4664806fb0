//! Secret settings: in the file, in a file of their own, or in the environment.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use relaymesh_publish::secret::Secret;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::env::Env;

/// Longest secret that is read from a file, in bytes: far above any token, and no device file fills the memory.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// What stands for a secret where the configuration is shown.
const HIDDEN: &str = "(hidden)";

/// Where a secret is written.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretAt {
    /// Here.
    Text(Secret),
    /// In this file, `{ file = "…" }`.
    File(PathBuf),
    /// In this environment variable, `{ env = "…" }`.
    Env(String),
}

/// Why a secret cannot be had. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{} cannot be read ({}); check that it exists and belongs to the user that runs relaymesh", path.display(), source)]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("{} can be read by other users; run: chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The file is too large or not text.
    #[error("{} does not hold one line of text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The variable is not set.
    #[error("the environment variable {0} is not set; set it or write {{ file = \"…\" }}")]
    Unset(String),
    /// Nothing in it.
    #[error("is empty")]
    Empty,
}

impl SecretAt {
    /// The secret itself. Relative paths start at `dir`.
    ///
    /// # Errors
    /// When the file or the variable is missing, readable by others, or empty.
    pub fn resolve(&self, dir: &Path, env: &Env) -> Result<Secret, SecretError> {
        let secret = match self {
            Self::Text(secret) => secret.clone(),
            Self::File(path) => read_text(&dir.join(path))?,
            Self::Env(name) => Secret::new(env.get(name).ok_or_else(|| SecretError::Unset(name.clone()))?),
        };
        if secret.expose().is_empty() { Err(SecretError::Empty) } else { Ok(secret) }
    }
}

/// The bytes of a file that only its owner may read.
///
/// # Errors
/// When it is missing, readable by group or others, or larger than a secret can be.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_unless(path, 0o077)
}

/// The bytes of a systemd credential. It lies in a folder that only the unit's user may enter; systemd lets that user in by
/// an access list, and then the mode shows the list's mask as the group's bits.
///
/// # Errors
/// When it is missing, readable by others, or larger than a secret can be.
pub fn read_credential(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_unless(path, 0o007)
}

fn read_unless(path: &Path, forbidden: u32) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    if has_mode(&file.metadata().map_err(failed)?, forbidden) {
        return Err(SecretError::Open { path: path.to_owned() });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretError::NotText { path: path.to_owned() });
    }
    Ok(bytes)
}

fn read_text(path: &Path) -> Result<Secret, SecretError> {
    let bytes = read_private(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText { path: path.to_owned() })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// Whether group or others may read.
pub fn is_open_to_others(meta: &fs::Metadata) -> bool {
    has_mode(meta, 0o077)
}

/// Whether a file has any of these mode bits.
#[cfg(unix)]
fn has_mode(meta: &fs::Metadata, bits: u32) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    meta.is_file() && meta.permissions().mode() & bits != 0
}

/// Whether a file has any of these mode bits; other systems have no such bits.
#[cfg(not(unix))]
fn has_mode(_: &fs::Metadata, _: u32) -> bool {
    false
}

impl fmt::Debug for SecretAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str(HIDDEN),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
        }
    }
}

impl From<&str> for SecretAt {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// Shows where the secret is, never what it is.
impl Serialize for SecretAt {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        match self {
            Self::Text(_) => map.serialize_entry(HIDDEN, "")?,
            Self::File(path) => map.serialize_entry("file", path)?,
            Self::Env(name) => map.serialize_entry("env", name)?,
        }
        map.end()
    }
}

/// Hand-written, because a derived one would put a secret of the wrong type into its error.
impl<'de> Deserialize<'de> for SecretAt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Forms)
    }
}

struct Forms;

impl Forms {
    fn other<T, E: serde::de::Error>() -> Result<T, E> {
        Err(E::custom("a secret is a text in quotes, { file = \"…\" } or { env = \"…\" }"))
    }
}

impl<'de> Visitor<'de> for Forms {
    type Value = SecretAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes, { file = \"…\" } or { env = \"…\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretAt, E> {
        Ok(text.into())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<SecretAt, E> {
        Self::other()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<SecretAt, E> {
        Self::other()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<SecretAt, E> {
        Self::other()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<SecretAt, E> {
        Self::other()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretAt, A::Error> {
        let Some((form, value)) = map.next_entry::<String, String>()? else { return Self::other() };
        if map.next_key::<String>()?.is_some() {
            return Self::other();
        }
        match form.as_str() {
            "file" => Ok(SecretAt::File(value.into())),
            "env" => Ok(SecretAt::Env(value)),
            _ => Self::other(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        key: SecretAt,
    }

    fn read(text: &str) -> Result<SecretAt, String> {
        toml::from_str::<Holder>(text).map(|h| h.key).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn three_forms_are_read() {
        assert_eq!(read("key = 'hunter2'").unwrap(), "hunter2".into());
        assert_eq!(read("key = { file = 'a' }").unwrap(), SecretAt::File("a".into()));
        assert_eq!(read("key = { env = 'A' }").unwrap(), SecretAt::Env("A".into()));
    }

    #[test]
    fn other_forms_are_refused_without_showing_them() {
        for bad in [
            "key = 31337",
            "key = 3.1337",
            "key = true",
            "key = { fil = '31337' }",
            "key = { file = 'a', env = '31337' }",
            "key = {}",
        ] {
            let told = read(bad).unwrap_err();
            assert!(told.contains("{ file ="), "{bad}: {told}");
            assert!(!told.contains("31337"), "{told}");
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let secret = SecretAt::from("hunter2");
        assert!(!format!("{secret:?}{}", serde_json::to_string(&secret).unwrap()).contains("hunter2"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_read_only_when_it_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let at = SecretAt::File("s".into());
        let told = at.resolve(dir.path(), &Env::default()).unwrap_err().to_string();
        assert!(told.contains("chmod 600"), "{told}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(at.resolve(dir.path(), &Env::default()).unwrap().expose(), "hunter2");
    }
}
