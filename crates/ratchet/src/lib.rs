//! What RelaySMS phones and their server say to each other in secret: the plain double ratchet, device IDs and long-lived
//! tokens, byte for byte as the deployed apps have them.
//!
//! The wire is theirs, the handling is ours: nothing changes before the MAC is proven, every step works on a copy, what can
//! pile up has a cap, and keys are wiped when dropped. No clock and no randomness is read here; both are passed in.
//! Payload formats around a [`Block`] belong to the `relaymesh-protocol` crate, storage and locking to the callers.
//!
//! * [`agree`] – X25519 agreement, the source of every other key
//! * [`Block`], [`Header`] – one framed message as it lies inside a payload
//! * [`Session`] – the ratchet of one phone with one server key
//! * [`device_id`], [`llt`] – how a phone is recognised and how it stays logged in

#![forbid(unsafe_code)]

mod block;
mod cipher;
mod device;
mod fernet;
#[doc(hidden)]
pub mod fuzz;
mod jwt;
pub mod kdf;
mod keys;
pub mod llt;
mod message;
mod secret;
mod session;
mod skipped;
mod stored;

pub use block::{Block, BlockError, HEADER_BYTES, Header, HeaderError, MIN_BLOCK_BYTES, Position};
pub use device::device_id;
pub use keys::{AgreeError, KeyPair, ParseKeyError, PublicKey, agree};
pub use message::{MessageKeys, derive_message_keys, verify_auth};
pub use secret::{AuthKey, ChainKey, MessageKey, RootKey, SecretKey, SharedSecret};
pub use session::{DecryptError, EncryptError, MAX_SKIP, Opened, Session};
pub use skipped::{MAX_SKIPPED_KEYS, SKIPPED_KEY_TTL_MS};
pub use stored::{DecodeError, MAX_SESSION_BYTES};
