//! A decoded payload: what parses is written again as the same payload.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use relaymesh_protocol::payload::Payload;
    if let Ok(payload) = Payload::parse(bytes) {
        let again = payload.encode().expect("what was parsed can be written");
        assert_eq!(Payload::parse(&again), Ok(payload));
    }
});
