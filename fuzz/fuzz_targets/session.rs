//! A stored ratchet session, and a block for it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rand_core::SeedableRng;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (stored, block) = input;
    let Ok(session) = relaymesh_ratchet::Session::decode(stored) else { return };
    let before = session.encode();
    assert_eq!(relaymesh_ratchet::Session::decode(&before).expect("what was written is read").encode(), before);
    let Ok(block) = relaymesh_ratchet::Block::parse(block) else { return };
    let mut rng = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
    let _ = session.decrypt(&block, &[7; 32], 1_800_000_000_000, &mut rng);
    assert_eq!(session.encode(), before, "reading changes nothing");
});
