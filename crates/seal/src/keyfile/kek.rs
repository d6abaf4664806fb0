//! Where the key-encrypting key comes from.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Version};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Secret32;
use crate::labels;
use crate::password::Cost;

/// Longest key file that is read: 64 hex digits and a line end.
const KEY_FILE_LEN_MAX: u64 = 128;
const SALT_LEN: usize = 16;

/// Where the key-encrypting key comes from.
#[derive(Clone, Debug)]
pub enum KekSource {
    /// A file with 64 hex digits, readable by its owner alone.
    KeyFile(PathBuf),
    /// A passphrase, through Argon2id.
    Passphrase(Passphrase),
    /// 32 bytes handed over (systemd credential, environment).
    Bytes(Secret32),
}

/// A passphrase; never printed.
#[derive(Clone)]
pub struct Passphrase(pub Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Why there is no key-encrypting key.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The file system refuses.
    #[error("the key {path} cannot be read")]
    Io {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could read it.
    #[error("the key {path} can be read by others; run: chmod 600 {path}")]
    Permissions {
        /// Where.
        path: String,
    },
    /// Not 64 hex digits.
    #[error("the key {path} is not 64 hex digits")]
    Malformed {
        /// Where.
        path: String,
    },
    /// The keyring wants a passphrase, or does not.
    #[error("the keyring was made with {made}, but the configuration names {given}")]
    OtherKind {
        /// How it was made.
        made: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// Argon2 could not run.
    #[error("the passphrase cannot be hashed: not enough memory, or its costs are out of bounds")]
    Argon2,
}

/// How the key-encrypting key is derived, as the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Derivation {
    Key,
    Passphrase { cost: (u32, u32, u32), salt: [u8; SALT_LEN] },
}

impl Derivation {
    /// Kind, three costs, salt.
    pub const LEN: usize = 1 + 12 + SALT_LEN;

    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        if let Self::Passphrase { cost, salt } = self {
            out[0] = 1;
            out[1..5].copy_from_slice(&cost.0.to_be_bytes());
            out[5..9].copy_from_slice(&cost.1.to_be_bytes());
            out[9..13].copy_from_slice(&cost.2.to_be_bytes());
            out[13..].copy_from_slice(salt);
        }
        out
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let mut numbers = rest.chunks_exact(4).map(|c| c.try_into().map(u32::from_be_bytes).unwrap_or(0));
        let cost = (numbers.next()?, numbers.next()?, numbers.next()?);
        let salt = rest.get(12..)?.try_into().ok()?;
        match kind {
            0 => Some(Self::Key),
            1 => Some(Self::Passphrase { cost, salt }),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Key => "a key",
            Self::Passphrase { .. } => "a passphrase",
        }
    }
}

impl KekSource {
    pub(super) fn derivation(&self, cost: Cost, rng: &mut impl CryptoRng) -> Derivation {
        match self {
            Self::Passphrase(_) => {
                let mut salt = [0; SALT_LEN];
                rng.fill_bytes(&mut salt);
                Derivation::Passphrase { cost: (cost.memory_kib, cost.passes, cost.lanes), salt }
            }
            Self::KeyFile(_) | Self::Bytes(_) => Derivation::Key,
        }
    }

    pub(super) fn kek(&self, derivation: &Derivation) -> Result<Secret32, KekError> {
        match (self, derivation) {
            (Self::KeyFile(path), Derivation::Key) => read_key_file(path),
            (Self::Bytes(bytes), Derivation::Key) => Ok(bytes.clone()),
            (Self::Passphrase(text), Derivation::Passphrase { cost, salt }) => stretch(&text.0, *cost, salt),
            (Self::Passphrase(_), other) => Err(KekError::OtherKind { made: other.kind(), given: "a passphrase" }),
            (_, other) => Err(KekError::OtherKind { made: other.kind(), given: "a key" }),
        }
    }
}

fn stretch(text: &str, (memory_kib, passes, lanes): (u32, u32, u32), salt: &[u8]) -> Result<Secret32, KekError> {
    let params = Cost { memory_kib, passes, lanes }.params().map_err(|_| KekError::Argon2)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Zeroizing::new([0; 32]);
    argon.hash_password_into(text.as_bytes(), salt, key.as_mut()).map_err(|_| KekError::Argon2)?;
    let mut kek = Zeroizing::new([0; 32]);
    let derived = Hkdf::<Sha256>::new(None, key.as_slice()).expand(labels::KEK_PASS, kek.as_mut());
    derived.expect("32 bytes are within HKDF's reach");
    Ok(Secret32::from_bytes(*kek))
}

fn read_key_file(path: &Path) -> Result<Secret32, KekError> {
    let shown = path.display().to_string();
    let io = |source| KekError::Io { path: shown.clone(), source };
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode();
    if mode & 0o077 != 0 {
        return Err(KekError::Permissions { path: shown });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_FILE_LEN_MAX).read_to_string(&mut text).map_err(io)?;
    let digits = text.trim().as_bytes();
    let key = data_encoding::HEXLOWER_PERMISSIVE.decode(digits).map(Zeroizing::new).ok();
    let key = key.and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok());
    key.map(Secret32::from_bytes).ok_or(KekError::Malformed { path: shown })
}

/// Makes a key file that is not there yet: 64 hex digits, readable by its owner alone.
///
/// # Errors
/// When it exists or the file system refuses.
pub fn create_key_file(path: &Path, rng: &mut impl CryptoRng) -> Result<(), KekError> {
    let io = |source| KekError::Io { path: path.display().to_string(), source };
    let key = Secret32::random(rng);
    let text = Zeroizing::new(data_encoding::HEXLOWER.encode(key.danger_bytes()) + "\n");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
}
