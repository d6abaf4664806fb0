//! An invite code.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = relaymesh_core::fuzz::invite(text);
});
