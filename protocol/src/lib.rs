//! Bytes: what travels by SMS, between nodes and to phones, and the identifiers and units that every other crate speaks in.
//!
//! Nothing here decides anything, keeps state or knows a key: a decision belongs in `relaymesh-core`, cryptography in
//! `relaymesh-ratchet` and `relaymesh-seal`.

pub mod base64text;
pub mod bridge_content;
pub mod content;
pub mod detect;
pub mod frame;
pub mod gsm7;
pub mod ids;
pub mod payload;
pub mod platform;
pub mod reply;
pub mod segment;
pub mod sms_text;
pub mod wire;
