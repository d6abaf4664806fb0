//! A reply or delivery SMS as the app reads it.

#![no_main]

#[path = "../../protocol/tests/decoders/mod.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::reply(bytes));
