//! Cryptography that is ours to choose: what nodes seal to each other, sign, keep on disk and look people up by.
//!
//! The phones' own protocol is in `relaymesh-ratchet`. Everything here is a function of its arguments: time and randomness
//! are passed in, and only [`keyfile`] touches a file. Byte order is big-endian; every signature, derivation and
//! associated data starts with a label of [`labels`].

#![forbid(unsafe_code)]

mod aead;
pub mod envelope;
mod framing;
pub mod fuzz;
pub mod keyfile;
pub mod keys;
pub mod labels;
pub mod oblivious;
mod pad;
pub mod password;
pub mod rest;
mod secret;
pub mod tags;

pub use secret::Secret32;
