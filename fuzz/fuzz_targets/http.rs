//! The JSON of a forwarded SMS.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = relaymesh_api::fuzz::submit(bytes);
});
