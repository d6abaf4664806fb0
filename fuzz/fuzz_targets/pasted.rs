//! A text that a person pastes into the phone, and a number as whoever forwards an SMS writes it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaymesh_protocol::ids::E164;

fuzz_target!(|text: &str| {
    let _ = relaymesh_phone::Delivery::parse(text);
    let _ = relaymesh_ratchet::PublicKey::from_base64_lenient(text);
    let _ = text.parse::<E164>();
    let _ = text.parse::<relaymesh_protocol::ids::NodeId>();
    let _ = text.parse::<relaymesh_protocol::ids::MessageId>();
    // The first two letters may be the country whose way of writing numbers the rest follows.
    let (country, national) = text.split_at_checked(2).unzip();
    for (number, country) in [(Some(text), None), (national, country)] {
        let Some(Ok(number)) = number.map(|number| E164::normalise(number, country)) else { continue };
        assert!(number.reveal().parse().as_ref() == Ok(&number), "it is E.164");
        assert!(E164::normalise(number.reveal(), country).as_ref() == Ok(&number), "and stays it");
        let _ = number.country();
    }
});
