//! The node's secrets in one file: two slots of fixed size, written in turn, so that a torn write leaves the other one, and
//! destroyed keys are really overwritten.
//!
//! The file is sealed under a key-encrypting key that does not lie beside it: a key file elsewhere, a passphrase, or bytes
//! handed over by the environment. The one module of this crate that touches files.

mod kek;
mod ring;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand_core::CryptoRng;
use relaymesh_protocol::ids::NodeId;
use zeroize::Zeroizing;

use crate::Secret32;
use crate::aead::{NONCE_LEN, open_in_place, seal_tail};
use crate::framing::labelled;
use crate::labels;
use crate::password::{Cost, Pepper};

pub use kek::{KekError, KekSource, Passphrase, create_key_file};
pub use ring::Keyring;

use kek::Derivation;

/// First bytes of the file; the last two digits are the format.
const MAGIC: &[u8; 6] = b"RMKEYS";
const FORMAT: &[u8; 2] = b"01";
/// Header: magic, format, derivation, node id.
const HEADER_LEN: usize = 8 + Derivation::LEN + 32;
/// The slots begin here, so that a header never shares a disk block with them.
const SLOTS_AT: u64 = 4096;
/// Room for 255 static keys and all live generations of the others.
const SLOT_LEN: usize = 64 * 1024;
/// Generation, nonce and length in front of a slot's ciphertext.
const SLOT_PREFIX: usize = 8 + NONCE_LEN + 4;

/// Why a key file cannot be made, opened or saved. Names the remedy; holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is there already.
    #[error("{0} exists already and is never overwritten")]
    Exists(String),
    /// It is not there.
    #[error("{0} does not exist; run `relaymesh init` first")]
    Missing(String),
    /// The file system refuses.
    #[error("{path} cannot be used")]
    Io {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not one of ours.
    #[error("{0} is not a keyring of relaymesh")]
    NotOurs(String),
    /// Made by a newer version.
    #[error("{0} was written by a newer relaymesh; upgrade this one")]
    Newer(String),
    /// Neither slot opens.
    #[error("{0} does not open: wrong key or passphrase, or the file is damaged")]
    WrongKey(String),
    /// The keyring outgrew its slot.
    #[error("the keyring does not fit its slot; use fewer static bridge keys")]
    TooLarge,
    /// No key to open it with.
    #[error(transparent)]
    Kek(#[from] KekError),
}

/// An open key file.
#[derive(Debug)]
pub struct KeyFile {
    path: String,
    file: File,
    kek: Secret32,
    node: NodeId,
    generation: u64,
    pepper: Pepper,
}

impl KeyFile {
    /// Makes a file that is not there yet, readable by its owner alone, and seals the keyring into it.
    ///
    /// # Errors
    /// When it exists, the key source cannot be read, or the file system refuses.
    pub fn create(
        path: &Path,
        keyring: &Keyring,
        source: &KekSource,
        cost: Cost,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyFileError> {
        if path.exists() {
            return Err(KeyFileError::Exists(path.display().to_string()));
        }
        let io = |source| KeyFileError::Io { path: path.display().to_string(), source };
        let new = path.with_extension("new");
        let this = Self::draft(&new, path, keyring, source, cost, rng)?;
        // Only a whole file gets the name: a crash before leaves nothing that looks like a keyring.
        std::fs::hard_link(&new, path).map_err(io)?;
        std::fs::remove_file(&new).map_err(io)?;
        sync_dir(path).map_err(io)?;
        Ok(this)
    }

    /// Puts a file under another key in the place of an open one: the new file is whole on the disk before it takes the
    /// name, so that a crash leaves one or the other. Nobody else may have the file open: what they saved would be lost.
    /// The old file is handed back to be [destroyed](Self::destroy).
    ///
    /// # Errors
    /// When the key source cannot be read, or the file system refuses; the old file is in its place then.
    pub fn reseal(
        self,
        path: &Path,
        keyring: &Keyring,
        source: &KekSource,
        cost: Cost,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.display().to_string(), source };
        let new = path.with_extension("new");
        Self::draft(&new, path, keyring, source, cost, rng)?;
        std::fs::rename(&new, path).map_err(io)?;
        sync_dir(path).map_err(io)?;
        Ok(self)
    }

    /// Overwrites a file that has lost its name: its key opens nothing any more. A disk that writes elsewhere (flash,
    /// snapshots) may keep old blocks all the same.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn destroy(mut self) -> Result<(), KeyFileError> {
        let end = slot_at(2);
        let zeros = vec![0; usize::try_from(end).unwrap_or(2 * SLOT_LEN)];
        self.write(0, &zeros)
    }

    /// A whole file under another name.
    fn draft(
        new: &Path,
        path: &Path,
        keyring: &Keyring,
        source: &KekSource,
        cost: Cost,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyFileError> {
        let derivation = source.derivation(cost, rng);
        let kek = source.kek(&derivation)?;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(new);
        let path = path.display().to_string();
        let file = opened.map_err(|source| KeyFileError::Io { path: path.clone(), source })?;
        let (node, pepper) = (keyring.node_id(), keyring.pepper.clone());
        let mut this = Self { path, file, kek, node, generation: 0, pepper };
        this.write_header(&derivation)?;
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        this.save(keyring, nonce)?;
        Ok(this)
    }

    /// Opens a file and reads the newest keyring that is whole.
    ///
    /// # Errors
    /// When it is missing, not ours, newer, or does not open under the key.
    pub fn open(path: &Path, source: &KekSource) -> Result<(Self, Keyring), KeyFileError> {
        let shown = path.display().to_string();
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let mut file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeyFileError::Missing(shown.clone()),
            _ => KeyFileError::Io { path: shown.clone(), source },
        })?;
        let io = |source| KeyFileError::Io { path: shown.clone(), source };
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).map_err(|_| KeyFileError::NotOurs(shown.clone()))?;
        let (derivation, node) = parse_header(&header, &shown)?;
        let kek = source.kek(&derivation)?;
        let mut best: Option<(u64, Keyring)> = None;
        for slot in 0..2 {
            let bytes = read_slot(&mut file, slot).map_err(io)?;
            if let Some((generation, keyring)) = open_slot(&bytes, &kek, &node)
                && best.as_ref().is_none_or(|(other, _)| *other < generation)
            {
                best = Some((generation, keyring));
            }
        }
        let (generation, keyring) = best.ok_or_else(|| KeyFileError::WrongKey(shown.clone()))?;
        let pepper = keyring.pepper.clone();
        Ok((Self { path: shown, file, kek, node, generation, pepper }, keyring))
    }

    /// Seals a keyring into the older slot, waits until it is on the disk, and then overwrites the other slot too, so that
    /// keys which the new keyring no longer holds are gone. The nonce must be random.
    ///
    /// # Errors
    /// When it does not fit, or the file system refuses; one of the slots is whole then.
    pub fn save(&mut self, keyring: &Keyring, nonce: [u8; NONCE_LEN]) -> Result<(), KeyFileError> {
        let mut second = nonce;
        // The nonce is random in 192 bits; its complement is as good for the other copy.
        second.iter_mut().for_each(|byte| *byte = !*byte);
        self.save_slot(keyring, nonce)?;
        self.save_slot(keyring, second)
    }

    fn save_slot(&mut self, keyring: &Keyring, nonce: [u8; NONCE_LEN]) -> Result<(), KeyFileError> {
        let generation = self.generation + 1;
        let plain = keyring.encode();
        let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_LEN));
        slot.extend_from_slice(&generation.to_be_bytes());
        slot.extend_from_slice(&nonce);
        let len = u32::try_from(plain.len() + 16).map_err(|_| KeyFileError::TooLarge)?;
        slot.extend_from_slice(&len.to_be_bytes());
        if SLOT_PREFIX + plain.len() + 16 > SLOT_LEN {
            return Err(KeyFileError::TooLarge);
        }
        slot.extend_from_slice(&plain);
        seal_tail(self.kek.danger_bytes(), &nonce, &aad(&self.node, generation), &mut slot, SLOT_PREFIX);
        slot.resize(SLOT_LEN, 0);
        self.write(slot_at(generation % 2), &slot)?;
        self.generation = generation;
        Ok(())
    }

    /// The pepper of password hashes.
    #[must_use]
    pub fn pepper(&self) -> Pepper {
        self.pepper.clone()
    }

    fn write_header(&mut self, derivation: &Derivation) -> Result<(), KeyFileError> {
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(FORMAT);
        header.extend_from_slice(&derivation.encode());
        header.extend_from_slice(&self.node.0);
        self.write(0, &header)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), KeyFileError> {
        let written = self
            .file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.write_all(bytes))
            .and_then(|()| self.file.sync_all());
        written.map_err(|source| KeyFileError::Io { path: self.path.clone(), source })
    }
}

/// The name of a file is on the disk when its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn slot_at(slot: u64) -> u64 {
    SLOTS_AT + slot * SLOT_LEN as u64
}

fn aad(node: &NodeId, generation: u64) -> Vec<u8> {
    labelled(labels::KEYFILE, &[&node.0, &generation.to_be_bytes()])
}

fn parse_header(header: &[u8; HEADER_LEN], shown: &str) -> Result<(Derivation, NodeId), KeyFileError> {
    let not_ours = || KeyFileError::NotOurs(shown.to_owned());
    let rest = header.strip_prefix(MAGIC).ok_or_else(not_ours)?;
    let rest = match rest.split_first_chunk::<2>() {
        Some((format, rest)) if format == FORMAT => rest,
        Some((format, _)) if format.iter().all(u8::is_ascii_digit) => {
            return Err(KeyFileError::Newer(shown.to_owned()));
        }
        _ => return Err(not_ours()),
    };
    let (derivation, node) = rest.split_at_checked(Derivation::LEN).ok_or_else(not_ours)?;
    let derivation = Derivation::parse(derivation).ok_or_else(not_ours)?;
    Ok((derivation, NodeId::try_from(node).map_err(|_| not_ours())?))
}

/// Whether a file that begins like this is read on.
pub(crate) fn reads_header(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|header| parse_header(header, "").is_ok())
}

fn read_slot(file: &mut File, slot: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    file.seek(SeekFrom::Start(slot_at(slot)))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(SLOT_LEN));
    file.take(SLOT_LEN as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a slot; a torn or empty one is `None`.
fn open_slot(slot: &[u8], kek: &Secret32, node: &NodeId) -> Option<(u64, Keyring)> {
    let (generation, rest) = slot.split_first_chunk::<8>()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let generation = u64::from_be_bytes(*generation);
    let sealed = rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    let mut buf = Zeroizing::new(sealed.to_vec());
    let plain = open_in_place(kek.danger_bytes(), nonce, &aad(node, generation), &mut buf)?;
    Some((generation, Keyring::decode(plain)?))
}

#[cfg(test)]
mod tests;
