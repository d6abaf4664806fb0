//! A stored record, read as each type that is stored, of this version and the older ones; what is read is written again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = relaymesh_core::fuzz::stored(bytes);
});
