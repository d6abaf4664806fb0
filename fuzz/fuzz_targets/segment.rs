//! A segment text.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = relaymesh_protocol::segment::Segment::parse(text);
});
