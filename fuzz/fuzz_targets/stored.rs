//! A stored record of every type, of this version and the one before.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = relaymesh_core::fuzz::stored(bytes);
});
