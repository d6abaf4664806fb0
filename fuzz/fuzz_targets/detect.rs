//! An SMS text as a gateway client hands it in.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = relaymesh_protocol::detect::detect(text);
    let _ = relaymesh_protocol::sms_text::Keyword::parse(text);
});
