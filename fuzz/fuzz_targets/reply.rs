//! A reply SMS as the app reads it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = relaymesh_protocol::reply::Reply::from_sms(text);
});
