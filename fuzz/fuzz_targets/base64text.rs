//! A pasted or forwarded text in base64, with what people and networks put into it.

#![no_main]

#[path = "../../protocol/tests/decoders/mod.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::base64(bytes));
