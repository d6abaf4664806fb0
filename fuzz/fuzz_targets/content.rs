//! The plaintext of a platform payload, every version and service.

#![no_main]

#[path = "../../protocol/tests/decoders/mod.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::content(bytes));
