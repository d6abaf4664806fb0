//! Golden vectors made with the existing clients' and servers' code: what we read, and that we write the same bytes.
//! Where we differ on purpose, the test's name says how.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use relaymesh_protocol::base64text;
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::{Content, PlatformContent, ServiceType, Tokens};
use relaymesh_protocol::detect::{DetectError, Detected, Message, detect, parse_text};
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::payload::{BridgePayload, BridgeVersion, Payload, PayloadError, PlatformVersion};
use relaymesh_protocol::platform::Platform;
use relaymesh_protocol::reply::{Reply, ReplyMail};
use relaymesh_protocol::segment::assembly::{Progress, Set};
use relaymesh_protocol::segment::{Segment, split};
use relaymesh_protocol::sms_text::{Notice, TokenLine};
use serde_json::Value;

fn vectors() -> Value {
    let path = std::env::var("RELAYMESH_VECTORS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/ratchet/tests/vectors/relaysms.json").to_owned()
    });
    let text = std::fs::read_to_string(path).expect("vectors; set RELAYMESH_VECTORS to their path");
    serde_json::from_str(&text).expect("vectors are JSON")
}

fn list(name: &str, expected: usize) -> Vec<Value> {
    let all = vectors()[name].as_array().expect("a list").clone();
    assert_eq!(all.len(), expected, "{name}");
    all
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("hex")).expect("hex")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn language(value: &Value) -> Option<Language> {
    value.as_str().map(|l| Language(l.as_bytes().try_into().expect("two letters")))
}

fn service(value: &Value) -> ServiceType {
    let all = [ServiceType::Email, ServiceType::Text, ServiceType::Message, ServiceType::Test];
    all.into_iter().find(|s| s.as_str() == value).expect("a service")
}

fn platform_version(number: u64) -> PlatformVersion {
    [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3]
        [usize::try_from(number).unwrap()]
}

fn bridge_version(marker: u64) -> BridgeVersion {
    match marker {
        10 => BridgeVersion::V1,
        2 => BridgeVersion::V2,
        3 => BridgeVersion::V3,
        other => panic!("marker {other}"),
    }
}

fn message(sms: &str) -> Message {
    match detect(sms) {
        Ok(Detected::Message(message)) => message,
        other => panic!("no message: {other:?}"),
    }
}

fn content_of(case: &Value) -> PlatformContent {
    let fields = &case["fields"];
    let get = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    let content = match service(&case["service_type"]) {
        ServiceType::Email => Content::Email {
            from: get("from"),
            to: get("to"),
            cc: get("cc"),
            bcc: get("bcc"),
            subject: get("subject"),
            body: get("body"),
        },
        ServiceType::Text => Content::Text { from: get("from"), body: get("body") },
        ServiceType::Message => Content::Message { from: get("from"), to: get("to"), body: get("body") },
        ServiceType::Test => Content::Test { id: get("from") },
    };
    PlatformContent { content, tokens: Tokens::both(get("access_token"), get("refresh_token")) }
}

/// Upstream cuts a version 0 body at its first colon and takes the rest for tokens; the fields as sent come out here.
#[test]
fn platform_content_with_whole_bodies_in_version_0() {
    let mut cut_upstream = 0;
    for case in list("platform_content", 24) {
        let version = platform_version(text(&case["version"])[1..].parse().unwrap());
        let plaintext = bytes(&case["content"]);
        let expected = content_of(&case);
        let read = PlatformContent::parse(version, expected.content.service(), &plaintext);
        assert_eq!(read.as_ref(), Ok(&expected), "{} {}", case["version"], case["service_type"]);
        assert_eq!(expected.encode(version), Ok(plaintext));
        if let Content::Email { body, .. } = &expected.content {
            cut_upstream += usize::from(case["upstream_parse"][5] == "Body" && body != "Body");
        }
    }
    assert_eq!(cut_upstream, 2, "the vectors hold bodies that upstream cuts");
}

/// Upstream fails on version 3, which is documented; it is read here.
#[test]
fn platform_payload_including_version_3() {
    for case in list("platform_payload", 32) {
        let sms = text(&case["sms_text"]);
        let message = message(&sms);
        assert_eq!(message.bytes, bytes(&case["payload"]));
        let Payload::Platform(payload) = &message.payload else { panic!("a bridge payload") };
        assert_eq!(payload.version, platform_version(number(&case["payload_version"])));
        assert_eq!(vec![payload.shortcode], text(&case["shortcode_text"]).into_bytes());
        let platform = Platform::by_shortcode(payload.shortcode).expect("a known platform");
        assert_eq!(platform.service, service(&case["service_type"]));
        assert_eq!(payload.block, bytes(&case["ciphertext_block"]));
        let device_id = payload.device_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        assert_eq!(device_id, bytes(&case["device_id"]));
        assert_eq!(payload.language, language(&case["language"]));
        assert_eq!(message.payload.encode().as_ref(), Ok(&message.bytes));
        assert_eq!(base64text::encode(&message.bytes), sms);
    }
}

/// Upstream reads a truncated payload as one with empty fields; it is refused here, unless only the language is lost.
#[test]
fn truncated_payloads_are_refused_unlike_upstream() {
    let cases = list("platform_payload", 32);
    let bridge = list("bridge_payload", 12);
    for case in cases.iter().chain(&bridge) {
        let whole = message(&text(&case["sms_text"]));
        let language = usize::from(!case["language"].is_null()) * 2;
        let device_id = whole.payload.device_id().map_or(0, |_| 32);
        for lost in 1..=40.min(whole.bytes.len()) {
            let cut = &whole.bytes[..whole.bytes.len() - lost];
            let version_0 = case["payload_version"] == 0;
            let acceptable = lost == language || (version_0 && lost == device_id);
            assert_eq!(Payload::parse(cut).is_ok(), acceptable, "{lost} bytes lost");
        }
    }
}

#[test]
fn android_wrapped_base64() {
    let case = &vectors()["android_wrapped_base64"];
    let sms = text(&case["sms_text_as_sent"]);
    let message = message(&sms);
    assert_eq!(message.bytes, bytes(&case["payload"]));
    assert_eq!(base64text::encode_wrapped(&message.bytes), sms);
    let through_hops = sms.replace('\n', " \r\n");
    assert_eq!(detect(&through_hops), Ok(Detected::Message(message)));
}

/// Upstream's dispatcher forgot bridge version 3; it is read here.
#[test]
fn bridge_content_including_version_3() {
    for case in list("bridge_content", 6) {
        let version = match case["version"].as_str() {
            Some("v0") => BridgeVersion::V1,
            Some("v2") => BridgeVersion::V2,
            _ => BridgeVersion::V3,
        };
        let plaintext = bytes(&case["content"]);
        let mail = BridgeContent::parse(version, &plaintext).unwrap();
        let upstream = &case["upstream_parse"];
        let of = |name: &str, at: usize| text(if upstream.is_array() { &upstream[at] } else { &upstream[name] });
        assert_eq!(mail.to, of("to", 0));
        assert_eq!(mail.cc, of("cc", 1));
        assert_eq!(mail.bcc, of("bcc", 2));
        assert_eq!(mail.subject, of("subject", 3));
        assert_eq!(mail.body, of("body", 4));
        assert_eq!(mail.encode(version), Ok(plaintext));
    }
}

#[test]
fn bridge_payload() {
    for case in list("bridge_payload", 12) {
        let sms = text(&case["sms_text"]);
        let message = message(&sms);
        let inner = bytes(&case["inner"]);
        assert_eq!(message.bytes, [&[0][..], &inner].concat());
        let Payload::Bridge(payload) = &message.payload else { panic!("a platform payload") };
        assert_eq!(payload.version, bridge_version(number(&case["marker"])));
        assert_eq!(payload.letter, b'e');
        assert_eq!(payload.block, bytes(&case["ciphertext_block"]));
        assert_eq!(payload.language, language(&case["language"]));
        assert_eq!(payload.key_exchange.is_some(), case["switch"] == 0);
        if let Some(key) = &payload.key_exchange {
            assert_eq!(u64::from(key.kid), number(&case["kid"]));
            assert_eq!(key.client_public.to_vec(), bytes(&case["session"]["client_publish_pub"]));
        }
        assert_eq!(payload.encode().as_ref(), Ok(&inner));
        assert_eq!(base64text::encode(&message.bytes), sms);
    }
}

#[test]
fn bridge_payload_v0_is_rejected_as_upstream_does() {
    for case in list("bridge_payload_v0_rejected_upstream", 2) {
        let inner = bytes(&case["inner"]);
        let version = inner[0];
        assert_eq!(text(&case["upstream_error"]), format!("Unsupported version marker: {version}"));
        let unknown = PayloadError::UnknownVersion { kind: "bridge", version };
        assert_eq!(BridgePayload::parse(&inner), Err(unknown));
        assert!(detect(&base64text::encode(&[&[0][..], &inner].concat())).is_err());
    }
}

#[test]
fn image_text_in_any_order_with_copies() {
    for case in list("image_text", 2) {
        let sent: Vec<String> = case["segments_text"].as_array().unwrap().iter().map(text).collect();
        for turn in 0..sent.len() {
            let mut set = Set::default();
            let mut order: Vec<usize> = (0..sent.len()).collect();
            order.rotate_left(turn);
            for n in order.iter().chain(&order[..2]) {
                let Ok(Detected::Segment(segment)) = detect(&sent[*n]) else { panic!("no segment") };
                assert_eq!(
                    (usize::from(segment.number()), u64::from(segment.session)),
                    (*n, number(&case["itp_session_id"]))
                );
                set.insert(segment, Timestamp(0));
            }
            check_image(&case, &set);
        }
    }
}

fn check_image(case: &Value, set: &Set) {
    let Progress::Complete(whole) = set.progress() else { panic!("not complete") };
    let text_of = text(&case["assembled_text"]);
    assert_eq!(whole.text, base64text::letters(&text_of));
    assert_eq!(u64::from(whole.image_len), number(&case["image_length"]));
    assert_eq!(u64::from(whole.text_len), number(&case["text_length"]));
    let message = parse_text(&whole.text).unwrap();
    assert_eq!(message.bytes, bytes(&case["assembled_payload"]));
    assert_eq!(message.payload.encode().as_ref(), Ok(&message.bytes));
    let plaintext = bytes(&case["plaintext"]);
    let (mail, image) = BridgeContent::parse_with_image(BridgeVersion::V2, &plaintext, whole.image_len.into()).unwrap();
    assert_eq!(image, bytes(&case["image"]));
    assert_eq!(mail.encode(BridgeVersion::V2), Ok(bytes(&case["text_content"])));
}

/// Android puts a line break behind the first header and counts those of its wrapped base64; ours has neither, and so
/// never exceeds 153 characters.
#[test]
fn image_text_is_split_without_line_breaks() {
    for case in list("image_text", 2) {
        let whole = base64text::encode(&bytes(&case["assembled_payload"]));
        let lengths = ["image_length", "text_length"].map(|l| u16::try_from(number(&case[l])).unwrap());
        let session = u8::try_from(number(&case["itp_session_id"])).unwrap();
        let ours = split(&whole, session, lengths[0], lengths[1]).unwrap();
        assert!(ours.iter().all(|sms| sms.len() <= 153 && Segment::parse(sms).is_ok()));
        let theirs: Vec<String> = case["segments_text"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(ours == theirs, case["style"] == "clean");
        assert_eq!(ours[0][..12], theirs[0][..12]);
    }
}

#[test]
fn reply() {
    for case in list("reply", 2) {
        let sms = text(&case["sms_text"]);
        let (reply, seconds) = Reply::from_sms(&sms).unwrap();
        assert_eq!(format!("{seconds}.0"), text(&case["timestamp_text"]));
        assert_eq!(reply.block, bytes(&case["ciphertext_block"]));
        assert_eq!(reply.encode(), Ok(bytes(&case["reply_data"])));
        assert_eq!(reply.to_sms(language(&case["language"]).unwrap(), seconds), Ok(sms));
        let fields = &case["fields_text"];
        let mail = ReplyMail {
            alias: text(&fields["alias"]),
            sender: text(&fields["sender"]),
            cc: text(&fields["cc"]),
            bcc: text(&fields["bcc"]),
            subject: text(&fields["subject"]),
            body: text(&fields["body"]),
        };
        assert_eq!(mail.plaintext(), bytes(&case["plaintext"]));
        assert_eq!(mail.lengths(), Ok(reply.lengths));
        assert_eq!(ReplyMail::from_plaintext(reply.lengths, &mail.plaintext()), Ok(mail));
    }
}

/// The same text as upstream's, and the message's number behind its time.
#[test]
fn refresh_token_sms_with_the_number_of_the_message() {
    let case = &vectors()["refresh_token_sms"];
    let (account, token) = (text(&case["account_text"]), text(&case["new_refresh_token_text"]));
    let outcome = Notice::Published { platform: "twitter".to_owned(), at: Timestamp(1_748_383_802_000), number: 12 };
    let notice =
        Notice::TokenRefreshed { outcome: Box::new(outcome), token: TokenLine::new(&account, &token).unwrap() };
    let upstream = text(&case["sms_text"]);
    let ours = notice.text(Language::EN);
    assert_eq!(ours, upstream.replace("(UTC).", "(UTC). #12"));
    for sms in [ours, upstream] {
        assert_eq!(sms.lines().nth(3), case["base64_line"].as_str());
        assert_eq!(TokenLine::read(&sms, Language::EN), Some((account.clone(), token.clone())));
    }
}

/// The bit-packed model has no block, no user and first bytes that collide with the deployed ones: it is not ours.
#[test]
fn bitpacked_is_rejected() {
    for case in list("bitpacked", 3) {
        let sms = base64text::encode(&bytes(&case["transport"]));
        assert_eq!(detect(&sms), Err(DetectError::NotOurs));
        assert!(Payload::parse(&bytes(&case["transport"])).is_err());
    }
}
