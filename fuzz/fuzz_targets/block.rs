//! A ciphertext block.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(block) = relaymesh_ratchet::Block::parse(bytes) {
        assert_eq!(block.as_bytes(), bytes);
    }
});
