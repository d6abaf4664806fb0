//! A membership fact.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = relaymesh_core::fuzz::fact(bytes);
});
