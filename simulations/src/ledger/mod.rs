//! The knowledge ledger: who holds which secret of whom, in which form, and since when; and what a seizure or a coercion
//! opens of it.
//!
//! | where | what of a person | form on the disk |
//! |---|---|---|
//! | home | number, platform token, ratchet session | sealed, the key in the key file |
//! | home | texts whose publication is owed or in doubt | sealed, the key in the key file |
//! | ingress | number or device ID of who wrote through it, while the row is kept | sealed, the key in the key file |
//! | custodian | envelopes | ciphertext; the key is the recipient's |
//!
//! A disk without its key opens nothing. A disk with its key, or a running node, opens all of it. The session opens more
//! than the disk: whoever also records SMS reads every message that its home had not consumed by then, and all that the
//! person writes later, until a new login. That the seizer records SMS is assumed, because carriers can be told to.
//!
//! Not in it: what carriers know of everybody (who sends SMS to which gateway number, and when), what a gateway client
//! sees, and what the platform shows.

pub mod closed;
mod holdings;

pub use closed::Hypergeometric;
pub use holdings::{Holdings, Ledger, Opened};
