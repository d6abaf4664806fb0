//! The phone writes the bytes that upstream's own code wrote, and reads what upstream's server wrote.
//! `RELAYMESH_VECTORS` names another file than the copy in the ratchet crate.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::LazyLock;

use common::{NOW, NUMBER, Recorded, ServerKeys};
use relaymesh_phone::api::EntityAnswer;
use relaymesh_phone::{
    AgeCheck, Compose, ComposeBridge, Composed, Incoming, Kind, Phone, StaticKey, Style, Switch, Via,
};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::{PlatformContent, ServiceType};
use relaymesh_protocol::ids::Language;
use relaymesh_protocol::payload::{BridgeVersion, Payload, PlatformVersion};
use relaymesh_protocol::reply::ReplyMail;
use relaymesh_ratchet::{Block, KeyPair, PublicKey};
use serde_json::Value;

static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    let path = std::env::var("RELAYMESH_VECTORS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../ratchet/tests/vectors/relaysms.json").to_owned());
    let text = std::fs::read_to_string(path).expect("vectors; set RELAYMESH_VECTORS to their path");
    serde_json::from_str(&text).expect("vectors are JSON")
});

const SERVICES: [ServiceType; 4] = [ServiceType::Email, ServiceType::Text, ServiceType::Message, ServiceType::Test];
const VERSIONS: [PlatformVersion; 4] =
    [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3];

fn records(group: &str, count: usize) -> &'static [Value] {
    let records = VECTORS[group].as_array().unwrap();
    assert_eq!(records.len(), count, "records in {group}");
    records
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn key(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn language(value: &Value) -> Option<Language> {
    value.as_str().map(|l| Language(l.as_bytes().try_into().unwrap()))
}

/// The private key that upstream drew for the ratchet key in a block.
fn drawn(block: &[u8]) -> [u8; 32] {
    let wanted = hex::encode(Block::parse(block).unwrap().header().dh.0);
    let all = records("all_generated_private_keys_in_order", 228);
    key(&all.iter().find(|record| text(&record["pub"]) == wanted).unwrap()["priv"])
}

/// A phone whose publish and ratchet keys are the recorded ones, logged in at a server with the recorded publish key.
fn phone(session: &Value, block: &[u8]) -> Phone {
    let keys = ServerKeys { publish: KeyPair::from_secret(key(&session["server_publish_priv"])), ..ServerKeys::new(1) };
    let mut rng = Recorded::keys([key(&session["client_publish_priv"]), [5; 32], drawn(block)]);
    let pending = Phone::begin(Kind::LogIn, NUMBER.parse().unwrap(), &mut rng);
    let answer = keys.answer(&pending, NOW.seconds());
    pending.finish(&answer, NOW.seconds(), AgeCheck::Android, &mut rng).unwrap()
}

/// A logged-out phone with a bridge session of recorded keys, in which nothing was sent yet.
fn bridge_phone(session: &Value, block: &[u8], kid: u8) -> (Phone, StaticKey) {
    let key_of_server = StaticKey { kid, public: PublicKey(key(&session["server_publish_pub"])) };
    let mut phone = Phone::new(NUMBER.parse().unwrap());
    let mut rng = Recorded::keys([key(&session["client_publish_priv"]), drawn(block)]);
    phone.open_bridge(key_of_server, &mut rng).unwrap();
    (phone, key_of_server)
}

#[test]
fn platform_payload() {
    for record in records("platform_payload", 32) {
        let version = VERSIONS[usize::try_from(record["payload_version"].as_u64().unwrap()).unwrap()];
        let service = *SERVICES.iter().find(|s| s.as_str() == text(&record["service_type"])).unwrap();
        let whole = PlatformContent::parse(version, service, &bytes(&record["content"])).unwrap();
        let block = bytes(&record["ciphertext_block"]);
        let device_id = bytes(&record["device_id"]);
        let mut phone = phone(&record["session"], &block);
        let message = Compose {
            tokens: whole.tokens,
            with_device_id: !device_id.is_empty(),
            language: language(&record["language"]),
            style: Style::Plain,
            ..Compose::new(text(&record["shortcode_text"]).as_bytes()[0], version, whole.content)
        };
        let composed = phone.compose(message, NOW).unwrap();
        let Ok(Payload::Platform(mut written)) = Payload::parse(&composed.payload) else { panic!("no payload") };
        assert_eq!(written.block, block);
        if device_id.is_empty() {
            assert_eq!(composed.payload, bytes(&record["payload"]));
            assert_eq!(composed.sms, [text(&record["sms_text"])]);
        } else {
            // The recorded device ID is random; everything around it is compared.
            assert_eq!(written.device_id, phone.device_id());
            written.device_id = Some(device_id.as_slice().try_into().unwrap());
            assert_eq!(Payload::Platform(written).encode().unwrap(), bytes(&record["payload"]));
        }
    }
}

#[test]
fn android_wrapped_base64() {
    let record = &VECTORS["android_wrapped_base64"];
    let Ok(Payload::Platform(recorded)) = Payload::parse(&bytes(&record["payload"])) else { panic!("no payload") };
    let whole = PlatformContent::parse(recorded.version, ServiceType::Email, &bytes(&record["content"])).unwrap();
    let mut phone = phone(&record["session"], &recorded.block);
    let message = Compose { language: recorded.language, ..Compose::new(b'g', recorded.version, whole.content) };
    let composed = phone.compose(message, NOW).unwrap();
    let sent: Vec<usize> = composed.sms[0].split('\n').map(str::len).collect();
    let as_recorded: Vec<usize> = text(&record["sms_text_as_sent"]).split('\n').map(str::len).collect();
    assert_eq!(sent, as_recorded);
    let until_device_id = 5 + recorded.block.len();
    assert_eq!(composed.payload[..until_device_id], bytes(&record["payload"])[..until_device_id]);
}

fn bridge_version(marker: u64) -> BridgeVersion {
    match marker {
        10 => BridgeVersion::V1,
        2 => BridgeVersion::V2,
        3 => BridgeVersion::V3,
        other => panic!("marker {other}"),
    }
}

#[test]
fn bridge_payload() {
    for record in records("bridge_payload", 12) {
        let version = bridge_version(record["marker"].as_u64().unwrap());
        let block = bytes(&record["ciphertext_block"]);
        let kid = u8::try_from(record["kid"].as_u64().unwrap_or_default()).unwrap();
        let exchange = record["switch"] == 0;
        let compose = |phone: &mut Phone, via, mut rng: Recorded| -> Composed {
            let mail = ComposeBridge {
                version,
                via,
                content: BridgeContent::parse(version, &bytes(&record["content"])).unwrap(),
                language: language(&record["language"]),
                image: None,
                style: Style::Android,
            };
            phone.compose_bridge(mail, NOW, &mut rng).unwrap()
        };
        let (mut kept, key_of_server) = bridge_phone(&record["session"], &block, kid);
        let switch = if exchange { Switch::KeyExchange } else { Switch::PayloadOnly };
        let mut written = vec![compose(&mut kept, Via::Kept { key: key_of_server, switch }, Recorded::keys([]))];
        if exchange {
            let mut fresh = Phone::new(NUMBER.parse().unwrap());
            let drawn = Recorded::keys([key(&record["session"]["client_publish_priv"]), drawn(&block)]);
            written.push(compose(&mut fresh, Via::Fresh(key_of_server), drawn));
        } else {
            let mut logged_in = phone(&record["session"], &block);
            written.push(compose(&mut logged_in, Via::Account, Recorded::keys([])));
        }
        for composed in written {
            assert_eq!(composed.payload, [vec![0], bytes(&record["inner"])].concat());
            assert_eq!(composed.sms, [text(&record["sms_text"])]);
        }
    }
}

#[test]
fn image_text() {
    for (record, style) in records("image_text", 2).iter().zip([Style::Plain, Style::Android]) {
        let payload = bytes(&record["assembled_payload"]);
        let Ok(Payload::Bridge(recorded)) = Payload::parse(&payload) else { panic!("no bridge payload") };
        assert_eq!(recorded.key_exchange, None);
        let (mut phone, key) = bridge_phone(&record["session"], &recorded.block, 0);
        let session = u8::try_from(record["itp_session_id"].as_u64().unwrap()).unwrap();
        phone.set_next_image_session(session);
        let mail = ComposeBridge {
            version: recorded.version,
            via: Via::Kept { key, switch: Switch::PayloadOnly },
            content: BridgeContent::parse(recorded.version, &bytes(&record["text_content"])).unwrap(),
            language: recorded.language,
            image: Some(bytes(&record["image"])),
            style,
        };
        let composed = phone.compose_bridge(mail, NOW, &mut Recorded::keys([])).unwrap();
        assert_eq!(composed.payload, payload);
        let segments: Vec<&str> = record["segments_text"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(composed.sms, segments);
        assert_eq!(composed.segments_count, segments.len());
        assert_eq!(phone.next_image_session(), session + 1);
    }
}

#[test]
fn reply() {
    for record in records("reply", 2) {
        let first = bytes(&record["client_first_message_framed"]);
        let fields = &record["fields_text"];
        let field = |name: &str| text(&fields[name]).to_owned();
        let expected = ReplyMail {
            alias: field("alias"),
            sender: field("sender"),
            cc: field("cc"),
            bcc: field("bcc"),
            subject: field("subject"),
            body: field("body"),
        };
        let at_s = text(&record["timestamp_text"]).split('.').next().unwrap().parse().unwrap();
        let (bridge, _) = bridge_phone(&record["session"], &first, 3);
        for mut phone in [bridge, phone(&record["session"], &first)] {
            let sms = text(&record["sms_text"]);
            let read = phone.read(sms, NOW, &mut Recorded::keys([[0x43; 32]]));
            assert_eq!(read, Ok(Incoming::Reply { mail: expected.clone(), at_s, late: false }));
            assert_eq!(phone.read(sms, NOW, &mut Recorded::keys([])), Ok(Incoming::Duplicate));
        }
    }
}

#[test]
fn refresh_token_sms() {
    let record = &VECTORS["refresh_token_sms"];
    let mut phone = Phone::new(NUMBER.parse().unwrap());
    assert_eq!(
        phone.read(text(&record["sms_text"]), NOW, &mut Recorded::keys([])),
        Ok(Incoming::TokenUpdate {
            account: text(&record["account_text"]).to_owned(),
            refresh: text(&record["new_refresh_token_text"]).into(),
        })
    );
}

/// Tokens of upstream's server open, at the edge of what Android's clock allows.
#[test]
fn llt() {
    for record in records("llt", 4) {
        let minted = record["fernet_time"].as_u64().unwrap();
        let mut rng = Recorded::keys([[3; 32], key(&record["client_device_id_priv"]), [4; 32]]);
        let pending = Phone::begin(Kind::LogIn, NUMBER.parse().unwrap(), &mut rng);
        let answer = EntityAnswer {
            long_lived_token: text(&record["long_lived_token_field_text"]).into(),
            server_publish_pub_key: KeyPair::from_secret([8; 32]).public().to_base64(),
            server_device_id_pub_key: PublicKey(key(&record["server_device_id_pub"])).to_base64(),
        };
        let phone = pending.finish(&answer, minted + 59, AgeCheck::Android, &mut rng).unwrap();
        assert_eq!(phone.long_lived_token().unwrap().reveal(), text(&record["client_presents_text"]));
        assert_eq!(phone.eid().unwrap().to_string(), text(&record["eid"]));
    }
}

#[test]
fn device_id() {
    for record in records("device_id", 4) {
        let device = KeyPair::from_secret(key(&record["server_device_id_priv"]));
        let server = ServerKeys { device, ..ServerKeys::new(1) };
        let mut rng = Recorded::keys([[3; 32], key(&record["client_device_id_priv"]), [4; 32]]);
        let pending = Phone::begin(Kind::LogIn, text(&record["identifier_text"]).parse().unwrap(), &mut rng);
        let answer = server.answer(&pending, NOW.seconds());
        let phone = pending.finish(&answer, NOW.seconds(), AgeCheck::Android, &mut rng).unwrap();
        assert_eq!(phone.device_id().unwrap().0, key(&record["device_id_bytes_in_payload"]));
    }
}
