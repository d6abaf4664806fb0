//! What is stored for an entity, one type per table.

use std::fmt;

use relaymesh_protocol::ids::{DeviceId, E164, Language, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Stored;
use crate::command::MessageOutcome;

/// Table byte of [`Account`]; one record, key empty.
pub const ACCOUNT: u8 = 1;
/// Table byte of the vault's [`Session`]; one record, key empty.
pub const SESSION: u8 = 2;
/// Table byte of the bridge's [`Session`]; one record, key empty.
pub const BRIDGE: u8 = 3;
/// Table byte of [`Token`]; key = [`token_key`].
pub const TOKEN: u8 = 4;
/// Table byte of [`Seen`]; key = first 16 bytes of SHA-256(block).
pub const SEEN: u8 = 5;
/// Table byte of [`Position`]; key = first 16 bytes of SHA-256(AD ‖ header.dh ‖ n).
pub const POSITION: u8 = 6;
/// Table byte under which jobs are sealed (they lie in a table of their own).
pub const JOB: u8 = 7;
/// Table byte of the entity's notice book-keeping; one record, key empty.
pub const NOTICES: u8 = 8;

/// Who the entity is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// Its number, if it signed up with one or wrote by one.
    pub phone: Option<E164>,
    /// Its e-mail address; wins over the number as identifier.
    pub email: Option<String>,
    /// Public id in hex, as long-lived tokens name it.
    pub eid: String,
    /// ISO 3166 alpha-2.
    pub country: Option<String>,
    /// Encoded Argon2id hash; none for who came by the bridge and never signed up.
    pub password: Option<String>,
    /// Of the last message.
    pub language: Language,
    /// The phone in use.
    pub device: Option<Device>,
    /// Device IDs before it, and when they were retired.
    pub retired: Vec<(DeviceId, Timestamp)>,
    /// Wrong passwords.
    pub limiter: PasswordLimiter,
    /// When it was made.
    pub created: Timestamp,
}

impl Stored for Account {}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}

impl Account {
    /// What device ID and limiters are computed from: the e-mail address if there is one, else the number.
    #[must_use]
    pub fn identifier(&self) -> String {
        match (&self.email, &self.phone) {
            (Some(email), _) => email.clone(),
            (None, Some(phone)) => phone.reveal().to_owned(),
            (None, None) => String::new(),
        }
    }
}

/// The phone in use.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Device {
    /// As payloads carry it.
    #[zeroize(skip)]
    pub id: DeviceId,
    /// The agreed secret that keys device ID and long-lived token.
    pub shared: [u8; 32],
}

/// Wrong passwords since the last right one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordLimiter {
    /// How many.
    pub attempts: u32,
    /// No further try before this moment.
    pub blocked_until: Timestamp,
}

/// A ratchet session and what its messages are bound to.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Session {
    /// As `relaymesh-ratchet` encodes it.
    pub ratchet: Vec<u8>,
    /// Associated data of messages from the phone: the server's publish public key.
    pub ad: [u8; 32],
    /// Associated data of messages to the phone: the phone's publish public key.
    pub client: [u8; 32],
    /// Static key id, for bridge sessions.
    pub kid: Option<u8>,
}

impl Stored for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// A connected platform account.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Token {
    /// Platform name.
    pub platform: String,
    /// Account identifier.
    pub account: String,
    /// Token JSON as the platform gave it.
    pub json: String,
}

impl Stored for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Record key of a token: platform and account, so that storing again overwrites.
#[must_use]
pub fn token_key(platform: &str, account: &str) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update([u8::try_from(platform.len()).unwrap_or(u8::MAX)]);
    hash.update(platform.as_bytes());
    hash.update(account.trim().as_bytes());
    hash.finalize()[..16].to_vec()
}

/// A consumed block: its result and its proof, for whoever hands it in again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// MAC key of the message.
    pub auth_key: [u8; 32],
    /// Associated data it was made with.
    pub ad: [u8; 32],
    /// When it was consumed.
    pub at: Timestamp,
    /// Where publication stands.
    pub outcome: MessageOutcome,
}

impl Stored for Seen {}

/// A consumed ratchet position, and by which block: another block there is refused before decryption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// First 16 bytes of SHA-256(block).
    pub block: [u8; 16],
}

impl Stored for Position {}
