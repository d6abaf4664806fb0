//! An SMS text as a gateway client hands it in.

#![no_main]

#[path = "../../protocol/tests/decoders/mod.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::detection(bytes));
