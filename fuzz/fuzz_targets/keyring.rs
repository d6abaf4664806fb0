//! The header and the opened slot of a key file, and sealed records.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = relaymesh_seal::fuzz::key_file_header(bytes);
    let _ = relaymesh_seal::fuzz::keyring(bytes);
    assert!(!relaymesh_seal::fuzz::record(bytes), "a record that nobody sealed");
});
