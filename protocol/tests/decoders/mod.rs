//! The decoders of what travels by SMS, each with what must hold of its answers: replayed by `corpus.rs`, and run by the
//! fuzz targets of the same names.

use std::error::Error;

use relaymesh_protocol::base64text;
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::{PlatformContent, ServiceType};
use relaymesh_protocol::detect;
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::payload::{BridgeVersion, Payload, PlatformVersion};
use relaymesh_protocol::reply::{Reply, ReplyLengths, ReplyMail};
use relaymesh_protocol::segment::Segment;
use relaymesh_protocol::segment::assembly::{ASSEMBLIES_MAX, SET_LETTERS_MAX, Set};
use relaymesh_protocol::sms_text::TokenLine;

/// A decoder, with what must hold of its answers.
pub type Decode = fn(&[u8]);

pub const DECODERS: [(&str, Decode); 8] = [
    ("base64text", base64),
    ("payload", payload),
    ("detect", detection),
    ("content", content),
    ("bridge_content", bridge_content),
    ("segment", segment),
    ("assembly", assembly),
    ("reply", reply),
];

/// Takes a result; an error must say something.
fn named<T, E: Error>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|e| assert!(!e.to_string().is_empty())).ok()
}

pub fn base64(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(bytes) = named(base64text::decode(&text)) {
        assert_eq!(base64text::decode(&base64text::encode_wrapped(&bytes)), Ok(bytes));
    }
}

pub fn payload(input: &[u8]) {
    if let Some(payload) = named(Payload::parse(input)) {
        let bytes = payload.encode().unwrap();
        assert_eq!(Payload::parse(&bytes), Ok(payload));
        assert_eq!(bytes.len(), input.len());
    }
}

pub fn detection(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    named(detect::detect(&text));
    named(detect::parse_text(&text));
    named(detect::parse_message(input.to_vec()));
    let _ = relaymesh_protocol::sms_text::Keyword::parse(&text);
}

pub fn content(input: &[u8]) {
    for version in [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3] {
        for service in [ServiceType::Email, ServiceType::Text, ServiceType::Message, ServiceType::Test] {
            if let Some(read) = named(PlatformContent::parse(version, service, input)) {
                let again = read.encode(version).unwrap();
                assert_eq!(PlatformContent::parse(version, service, &again), Ok(read));
            }
        }
    }
}

pub fn bridge_content(input: &[u8]) {
    for version in [BridgeVersion::V1, BridgeVersion::V2, BridgeVersion::V3] {
        if let Some(mail) = named(BridgeContent::parse(version, input)) {
            let again = mail.encode(version).unwrap();
            assert_eq!(BridgeContent::parse(version, &again), Ok(mail));
        }
        for image_len in [1, 7, input.len(), usize::MAX] {
            named(BridgeContent::parse_with_image(version, input, image_len));
        }
    }
}

pub fn segment(input: &[u8]) {
    if let Some(segment) = named(Segment::parse(&String::from_utf8_lossy(input))) {
        assert_eq!(Segment::parse(&segment.encode()), Ok(segment));
    }
}

/// One segment a line, a minute apart; or, where it reads as one, a set from another node.
pub fn assembly(input: &[u8]) {
    let now = Timestamp(1_750_000_000_000);
    let mut set = Set::default();
    for (minute, line) in (0..).zip(String::from_utf8_lossy(input).lines()) {
        if let Some(segment) = named(Segment::parse(line)) {
            set.insert(segment, Timestamp(now.0 + 60_000 * minute));
        }
    }
    if let Some(theirs) = named(postcard::from_bytes::<Set>(input)) {
        let _ = theirs.progress();
        let _ = theirs.assemblies().count();
        set.merge(theirs, now);
    }
    assert!(set.assemblies().count() <= ASSEMBLIES_MAX);
    assert!(set.letters() <= SET_LETTERS_MAX);
    let _ = set.progress();
}

pub fn reply(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some((reply, seconds)) = named(Reply::from_sms(&text)) {
        let sms = reply.to_sms(Language::EN, seconds).unwrap();
        assert_eq!(Reply::from_sms(&sms), Ok((reply, seconds)));
    }
    named(Reply::parse(input));
    named(ReplyMail::from_plaintext(ReplyLengths { names: [1, 2, 3, 4, 5], body: 6 }, input));
    let _ = TokenLine::read(&text, Language::EN);
}
