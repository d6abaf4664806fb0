//! A phone's file: XChaCha20-Poly1305 under a passphrase (Argon2id) or a key of 32 bytes. Bytes in, bytes out; the file is the
//! caller's.
//!
//! ```text
//! "RMPH" ‖ version 1 ‖ kind ‖ [salt 16 ‖ memory KiB u32 ‖ passes u32 ‖ lanes u32] ‖ body length u32      big endian
//! ‖ nonce 24 ‖ tag 16        proves the key over all of the above, so that a wrong passphrase is told from damage
//! ‖ nonce 24 ‖ body ‖ tag 16 over all of the above
//! ```

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

const MAGIC: [u8; 4] = *b"RMPH";
const VERSION: u8 = 1;
const KIND_KEY: u8 = 0;
const KIND_PASSPHRASE: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
/// Largest body: four times what a phone encodes to at most.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A file may not make us use more than this: a gigabyte is all that a small machine has.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// At a gigabyte, that many passes are already half a minute.
const PASSES_MAX: u32 = 16;
/// Nothing here computes lanes in parallel.
const LANES_MAX: u32 = 4;

/// What opens and closes a file.
#[derive(Clone, Copy)]
pub enum Lock<'a> {
    /// 32 bytes from a key file.
    Key(&'a [u8; 32]),
    /// What a person types. The cost counts when sealing; a sealed file has its own.
    Passphrase {
        /// The text.
        text: &'a str,
        /// How hard guessing is.
        cost: Cost,
    },
}

/// Argon2id's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// 64 MiB, 3 passes: a quarter of a second on a small machine.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
}

/// Why a state was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Over what is read back.
    #[error("state of {len} bytes is too large for a sealed file, at most {BODY_BYTES_MAX} fit")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// Argon2 refused.
    #[error(transparent)]
    Cost(#[from] CostError),
}

/// Why a file was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another kind of file.
    #[error("not a sealed phone file: it does not begin with RMPH")]
    NotSealed,
    /// From a later program.
    #[error("sealed phone file has version {found}, this program knows up to {VERSION}; use a newer one")]
    Version {
        /// Its version.
        found: u8,
    },
    /// A byte that means nothing.
    #[error("sealed phone file is damaged: lock kind {found} is unknown")]
    Kind {
        /// The byte.
        found: u8,
    },
    /// A key was given.
    #[error("sealed phone file is locked with a passphrase, not with a key")]
    NeedsPassphrase,
    /// A passphrase was given.
    #[error("sealed phone file is locked with a key, not with a passphrase")]
    NeedsKey,
    /// Ends too early.
    #[error("sealed phone file is truncated: {have} of {need} bytes are there")]
    Truncated {
        /// Its bytes.
        have: usize,
        /// Bytes it should have, as far as is known.
        need: usize,
    },
    /// Ends too late.
    #[error("sealed phone file is damaged: {extra} bytes follow its end")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// Its announced length.
    #[error("sealed phone file is damaged: it announces {len} bytes, at most {BODY_BYTES_MAX} are read")]
    Length {
        /// What it announces.
        len: usize,
    },
    /// Its Argon2 costs.
    #[error("sealed phone file cannot be unlocked")]
    Cost(#[from] CostError),
    /// The key check fails.
    #[error("wrong passphrase or key, or the beginning of the sealed phone file is damaged")]
    WrongKey,
    /// The key is right, the body is not.
    #[error("sealed phone file is damaged behind its beginning; restore a copy")]
    Damaged,
}

/// Why Argon2 was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// Out of bounds.
    #[error("Argon2 costs are out of bounds: at most {MEMORY_KIB_MAX} KiB, {PASSES_MAX} passes and {LANES_MAX} lanes")]
    Bounds,
    /// The system has not enough memory now.
    #[error("not enough memory for Argon2; free some")]
    Memory,
}

/// Seals a state. Draws salt (passphrase only) and both nonces.
///
/// # Errors
/// [`SealError`]
pub fn seal<R: CryptoRng + ?Sized>(state: &[u8], lock: Lock<'_>, rng: &mut R) -> Result<Vec<u8>, SealError> {
    let too_long = SealError::TooLong { len: state.len() };
    let len = u32::try_from(state.len()).ok().filter(|_| state.len() <= BODY_BYTES_MAX).ok_or(too_long)?;
    let mut out = [MAGIC.as_slice(), &[VERSION]].concat();
    let key = match lock {
        Lock::Key(key) => {
            out.push(KIND_KEY);
            Zeroizing::new(*key)
        }
        Lock::Passphrase { text, cost } => {
            let salt: [u8; SALT_BYTES] = random(rng);
            out.push(KIND_PASSPHRASE);
            out.extend(salt);
            out.extend([cost.memory_kib, cost.passes, cost.lanes].into_iter().flat_map(u32::to_be_bytes));
            derive(text, &salt, cost)?
        }
    };
    out.extend(len.to_be_bytes());
    push_sealed(&mut out, &key, &[], rng);
    push_sealed(&mut out, &key, state, rng);
    Ok(out)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`OpenError`] tells a wrong passphrase from a damaged, cut or newer file.
pub fn open(file: &[u8], lock: Lock<'_>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut cursor = Cursor { file, at: 0 };
    if cursor.array::<4>().map_err(|_| OpenError::NotSealed)? != MAGIC {
        return Err(OpenError::NotSealed);
    }
    match cursor.array()? {
        [VERSION] => {}
        [found] => return Err(OpenError::Version { found }),
    }
    let [kind] = cursor.array()?;
    let recipe = recipe(&mut cursor, kind, lock)?;
    cursor.finish(recipe)
}

/// What the header says the key is made of; computed only after the file's length was found right.
enum Recipe<'a> {
    Key(&'a [u8; 32]),
    Passphrase { text: &'a str, salt: [u8; SALT_BYTES], cost: Cost },
}

fn recipe<'a>(cursor: &mut Cursor<'_>, kind: u8, lock: Lock<'a>) -> Result<Recipe<'a>, OpenError> {
    match (kind, lock) {
        (KIND_KEY, Lock::Key(key)) => Ok(Recipe::Key(key)),
        (KIND_KEY, Lock::Passphrase { .. }) => Err(OpenError::NeedsKey),
        (KIND_PASSPHRASE, Lock::Key(_)) => Err(OpenError::NeedsPassphrase),
        (KIND_PASSPHRASE, Lock::Passphrase { text, .. }) => {
            let salt = cursor.array()?;
            let [memory_kib, passes, lanes] = [cursor.u32()?, cursor.u32()?, cursor.u32()?];
            Ok(Recipe::Passphrase { text, salt, cost: Cost { memory_kib, passes, lanes } })
        }
        (found, _) => Err(OpenError::Kind { found }),
    }
}

struct Cursor<'f> {
    file: &'f [u8],
    at: usize,
}

impl<'f> Cursor<'f> {
    fn take(&mut self, len: usize) -> Result<&'f [u8], OpenError> {
        let need = self.at.saturating_add(len);
        let part = self.file.get(self.at..need).ok_or(OpenError::Truncated { have: self.file.len(), need })?;
        self.at = need;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let need = self.at.saturating_add(N);
        let part = self.take(N)?;
        part.try_into().map_err(|_| OpenError::Truncated { have: self.file.len(), need })
    }

    fn u32(&mut self) -> Result<u32, OpenError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Everything read so far: what the next tag covers.
    fn passed(&self) -> &'f [u8] {
        self.file.get(..self.at).unwrap_or_default()
    }

    fn finish(mut self, recipe: Recipe<'_>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let announced = self.u32()?;
        let len = usize::try_from(announced).unwrap_or(usize::MAX);
        if len > BODY_BYTES_MAX {
            return Err(OpenError::Length { len });
        }
        let need = self.at + 2 * (NONCE_BYTES + TAG_BYTES) + len;
        let have = self.file.len();
        if have < need {
            return Err(OpenError::Truncated { have, need });
        }
        if have > need {
            return Err(OpenError::Trailing { extra: have - need });
        }
        let key = match recipe {
            Recipe::Key(key) => Zeroizing::new(*key),
            Recipe::Passphrase { text, salt, cost } => derive(text, &salt, cost)?,
        };
        self.sealed(&key, 0)?.ok_or(OpenError::WrongKey)?;
        self.sealed(&key, len)?.ok_or(OpenError::Damaged)
    }

    fn sealed(&mut self, key: &[u8; 32], len: usize) -> Result<Option<Zeroizing<Vec<u8>>>, OpenError> {
        let aad = self.passed();
        let nonce: [u8; NONCE_BYTES] = self.array()?;
        let mut body = Zeroizing::new(self.take(len)?.to_vec());
        let tag: [u8; TAG_BYTES] = self.array()?;
        let opened = XChaCha20Poly1305::new(key.into()).decrypt_inout_detached(
            (&nonce).into(),
            aad,
            body.as_mut_slice().into(),
            (&tag).into(),
        );
        Ok(opened.is_ok().then_some(body))
    }
}

fn push_sealed<R: CryptoRng + ?Sized>(out: &mut Vec<u8>, key: &[u8; 32], plain: &[u8], rng: &mut R) {
    let nonce: [u8; NONCE_BYTES] = random(rng);
    let mut body = Zeroizing::new(plain.to_vec());
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached((&nonce).into(), out.as_slice(), body.as_mut_slice().into())
        .expect("a state is far below the cipher's 256 GiB");
    out.extend(nonce);
    out.extend_from_slice(&body);
    out.extend_from_slice(&tag);
}

fn random<const N: usize, R: CryptoRng + ?Sized>(rng: &mut R) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn derive(text: &str, salt: &[u8; SALT_BYTES], cost: Cost) -> Result<Zeroizing<[u8; 32]>, CostError> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
        return Err(CostError::Bounds);
    }
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| CostError::Bounds)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(text.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| CostError::Memory)?;
    Ok(key)
}

impl std::fmt::Debug for Lock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Lock::Key(..)",
            Self::Passphrase { .. } => "Lock::Passphrase(..)",
        })
    }
}
