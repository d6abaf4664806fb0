//! A set filter: hostile descriptors must be refused before they are used.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = relaymesh_core::fuzz::filter(bytes);
});
