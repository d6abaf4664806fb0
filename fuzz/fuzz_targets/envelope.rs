//! An envelope, as carriers read its header and as its recipient opens it, and what a member may have sealed into one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::NodeId;
use relaymesh_seal::envelope::{EnvelopeError, Header, open};
use relaymesh_seal::fuzz;
use relaymesh_seal::keys::SealingSecret;

static SECRET: LazyLock<SealingSecret> =
    LazyLock::new(|| SealingSecret::generate(&mut rand_chacha::ChaCha20Rng::from_seed([7; 32])));

fuzz_target!(|bytes: &[u8]| {
    if fuzz::inside(bytes, true).is_ok() {
        assert_eq!(fuzz::inside(bytes, false).err(), Some(EnvelopeError::Signature), "nobody signed it");
    }
    let Ok(header) = Header::parse(bytes) else { return };
    // Addressed to whoever it says, so that the fuzzer need not guess: what is within was sealed by nobody.
    let me: NodeId = header.recipient;
    assert!(open(bytes, &me, |_| Some(&*SECRET)).is_err());
});
