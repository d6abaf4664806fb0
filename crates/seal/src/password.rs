//! Passwords and one-time codes as a home keeps them.
//!
//! A password is hashed with Argon2id under a salt of its own and the node's pepper, which is Argon2's own secret input:
//! who has the rows without the key file cannot even begin to guess. One-time codes are short, so they are kept as a MAC.

mod cost;

use std::fmt::Write as _;

use argon2::{Algorithm, Argon2, Version};
use data_encoding::BASE64_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::framing::labelled;
use crate::labels;
use crate::secret::secret_key;

pub use cost::{Cost, CostError};

/// Length of a password's salt.
pub const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
/// Longest text that is read as a stored hash; ours have about 100 bytes.
const ENCODED_LEN_MAX: usize = 256;

secret_key!(
    /// Argon2's secret input, one per node.
    Pepper
);
secret_key!(
    /// Keys the MAC of one-time codes.
    OtpKey
);

/// Why a password is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Another password, or another pepper.
    #[error("the password does not match")]
    Mismatch,
    /// The stored text is not one of ours.
    #[error("the stored password hash is malformed")]
    Malformed,
    /// The stored costs are beyond what we compute.
    #[error("the stored password hash cannot be computed")]
    Cost(#[from] CostError),
}

/// Hashes a password into `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, which records its costs.
///
/// # Errors
/// When the costs are out of bounds, or there is not enough memory.
pub fn hash(password: &[u8], salt: &[u8; SALT_LEN], pepper: &Pepper, cost: Cost) -> Result<String, CostError> {
    let digest = digest(password, salt, pepper.danger_bytes(), cost)?;
    let Cost { memory_kib, passes, lanes } = cost;
    let mut out = String::with_capacity(ENCODED_LEN_MAX);
    write!(out, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}$").expect("a String takes any text");
    BASE64_NOPAD.encode_append(salt, &mut out);
    out.push('$');
    BASE64_NOPAD.encode_append(digest.as_slice(), &mut out);
    Ok(out)
}

/// Checks a password against what [`hash`] made, in time that does not depend on where they differ.
///
/// # Errors
/// When it does not match, or the stored text is malformed or too costly.
pub fn verify(password: &[u8], pepper: &Pepper, encoded: &str) -> Result<(), VerifyError> {
    let stored = Stored::parse(encoded).ok_or(VerifyError::Malformed)?;
    let digest = digest(password, &stored.salt, pepper.danger_bytes(), stored.cost)?;
    if digest.ct_eq(&stored.hash).into() { Ok(()) } else { Err(VerifyError::Mismatch) }
}

/// The costs that a stored hash records, to hash again at login when ours have risen. `None` when it is malformed.
#[must_use]
pub fn cost_of(encoded: &str) -> Option<Cost> {
    Stored::parse(encoded).map(|stored| stored.cost)
}

/// A one-time code as stored, bound to what it is for and whom.
#[must_use]
pub fn otp_mac(key: &OtpKey, purpose: &str, identifier: &str, code: &str) -> [u8; 32] {
    let message = labelled(labels::OTP_MAC, &[purpose.as_bytes(), identifier.as_bytes(), code.as_bytes()]);
    let mac = Hmac::<Sha256>::new_from_slice(key.danger_bytes()).expect("HMAC takes a key of any length");
    mac.chain_update(Zeroizing::new(message)).finalize().into_bytes().into()
}

/// Whether two MACs are equal, in constant time.
#[must_use]
pub fn macs_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

/// Raw Argon2id (version 0x13).
pub(crate) fn digest(
    password: &[u8],
    salt: &[u8; SALT_LEN],
    secret: &[u8],
    cost: Cost,
) -> Result<Zeroizing<[u8; HASH_LEN]>, CostError> {
    let params = cost.params()?;
    let argon =
        Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params).map_err(|_| CostError::Memory)?;
    let mut out = Zeroizing::new([0; HASH_LEN]);
    argon.hash_password_into(password, salt, out.as_mut_slice()).map_err(|_| CostError::Memory)?;
    Ok(out)
}

struct Stored {
    cost: Cost,
    salt: [u8; SALT_LEN],
    hash: [u8; HASH_LEN],
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > ENCODED_LEN_MAX {
            return None;
        }
        let mut fields = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let cost = parse_cost(fields.next()?)?;
        let salt = BASE64_NOPAD.decode(fields.next()?.as_bytes()).ok()?.try_into().ok()?;
        let hash = BASE64_NOPAD.decode(fields.next()?.as_bytes()).ok()?.try_into().ok()?;
        fields.next().is_none().then_some(Self { cost, salt, hash })
    }
}

fn parse_cost(text: &str) -> Option<Cost> {
    let mut fields = text.split(',');
    let mut number = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    let cost = Cost { memory_kib: number("m")?, passes: number("t")?, lanes: number("p")? };
    fields.next().is_none().then_some(cost)
}

#[cfg(test)]
mod tests;
