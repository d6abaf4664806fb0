//! The plaintext of a bridge payload, every version.

#![no_main]

#[path = "../../protocol/tests/decoders/mod.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::bridge_content(bytes));
