//! A text that a person pastes into the phone.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = relaymesh_phone::Delivery::parse(text);
    let _ = relaymesh_ratchet::PublicKey::from_base64_lenient(text);
    let _ = text.parse::<relaymesh_protocol::ids::E164>();
    let _ = text.parse::<relaymesh_protocol::ids::NodeId>();
    let _ = text.parse::<relaymesh_protocol::ids::MessageId>();
});
