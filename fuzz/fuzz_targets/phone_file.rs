//! The file in which the command line keeps a phone, sealed and opened.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use relaymesh_phone::{Phone, sealed};
    let lock = sealed::Lock::Key(&[7; 32]);
    assert!(sealed::open(bytes, lock).is_err(), "a file that nobody sealed");
    if let Ok(phone) = Phone::decode(bytes) {
        let again = phone.encode();
        assert_eq!(Phone::decode(&again).expect("what was written is read").encode(), again);
    }
});
