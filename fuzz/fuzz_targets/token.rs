//! A long-lived token as presented.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = relaymesh_ratchet::llt::split_eid(text);
    let _ = relaymesh_ratchet::llt::verify(&[7; 32].into(), text, 1_800_000_000);
    let _ = relaymesh_ratchet::llt::open(&[7; 32].into(), text);
});
