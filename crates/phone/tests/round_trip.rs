//! A phone and a server in one conversation: everything that the phone can say is understood, everything that the server
//! says is read.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{NOW, NUMBER, Recorded, Server, bytes_of, log_in, mail, rng};
use relaymesh_phone::{
    BRIDGE_SESSIONS_MAX, Compose, ComposeBridge, ComposeError, Composed, Incoming, Phone, ReadError, StaticKey, Style,
    Switch, Via,
};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::{Content, PlatformContent, Tokens, split_image};
use relaymesh_protocol::detect::{Detected, Message, detect, parse_text};
use relaymesh_protocol::ids::Language;
use relaymesh_protocol::payload::{BridgePayload, BridgeVersion, Payload, PlatformPayload, PlatformVersion};
use relaymesh_protocol::segment::Part;
use relaymesh_protocol::segment::assembly::{Progress, Set};
use relaymesh_ratchet::{KeyPair, PublicKey};

const VERSIONS: [PlatformVersion; 4] =
    [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3];
const BRIDGE_VERSIONS: [BridgeVersion; 3] = [BridgeVersion::V1, BridgeVersion::V2, BridgeVersion::V3];

fn contents() -> [(u8, Content); 4] {
    let text = |t: &str| t.to_owned();
    [
        (
            b'g',
            Content::Email {
                from: text("me@example.org"),
                to: text("you@example.org"),
                cc: String::new(),
                bcc: text("b@example.org"),
                subject: text("Été"),
                body: text("a body\nof two lines"),
            },
        ),
        (b'm', Content::Text { from: text("@me"), body: text("a post 😀") }),
        (b'T', Content::Message { from: text(NUMBER), to: text("+4912345678"), body: text("10:30?") }),
        (b'r', Content::Test { id: text("42") }),
    ]
}

fn message_of(composed: &Composed) -> Message {
    let detected = detect(&composed.sms[0]);
    let Ok(Detected::Message(message)) = detected else { panic!("no message: {detected:?}") };
    assert_eq!(message.bytes, composed.payload);
    message
}

fn platform_of(composed: &Composed) -> PlatformPayload {
    match message_of(composed).payload {
        Payload::Platform(payload) => payload,
        Payload::Bridge(_) => panic!("a bridge payload"),
    }
}

fn bridge_of(composed: &Composed) -> BridgePayload {
    match message_of(composed).payload {
        Payload::Bridge(payload) => payload,
        Payload::Platform(_) => panic!("a platform payload"),
    }
}

#[test]
fn every_version_service_and_device_id() {
    let (mut phone, mut server) = log_in(NUMBER, 1);
    let mut ordinal = 0;
    for version in VERSIONS {
        for (shortcode, content) in contents() {
            for (with_device_id, style) in
                [(true, Style::Plain), (true, Style::Android), (false, Style::Plain), (false, Style::Android)]
            {
                let message = Compose { with_device_id, style, ..Compose::new(shortcode, version, content.clone()) };
                let composed = phone.compose(message, NOW).unwrap();
                ordinal += 1;
                assert_eq!(composed.ordinal, ordinal);
                let payload = platform_of(&composed);
                assert_eq!((payload.version, payload.shortcode), (version, shortcode));
                assert_eq!(payload.device_id, phone.device_id().filter(|_| with_device_id));
                assert_eq!(payload.language, (version != PlatformVersion::V0).then_some(Language::EN));
                let plaintext = server.open(&payload.block);
                let read = PlatformContent::parse(version, content.service(), &plaintext).unwrap();
                assert_eq!(read, PlatformContent { content: content.clone(), tokens: None });
            }
        }
    }
    assert_eq!(phone.sent().len(), 64);
    assert_eq!(phone.sent()[0].platform, "gmail");
}

#[test]
fn tokens_travel_along() {
    let (mut phone, mut server) = log_in(NUMBER, 1);
    let (shortcode, content) = contents()[1].clone();
    for version in VERSIONS {
        let tokens = Tokens::both("access-token-of-a-platform".to_owned(), "refresh-token-of-a-platform".to_owned());
        let message = Compose { tokens: tokens.clone(), ..Compose::new(shortcode, version, content.clone()) };
        let payload = platform_of(&phone.compose(message, NOW).unwrap());
        let read = PlatformContent::parse(version, content.service(), &server.open(&payload.block)).unwrap();
        assert_eq!(read.tokens, tokens);
    }
}

#[test]
fn a_login_by_mail_always_names_itself() {
    let (mut phone, _) = log_in("me@example.org", 1);
    let (shortcode, content) = contents()[1].clone();
    let message = Compose { with_device_id: false, ..Compose::new(shortcode, PlatformVersion::V2, content) };
    assert_eq!(platform_of(&phone.compose(message, NOW).unwrap()).device_id, phone.device_id());
}

#[test]
fn sms_are_counted_as_the_network_does() {
    let (mut phone, _) = log_in(NUMBER, 1);
    for (letters, count) in [(1, 2), (100, 3), (1000, 10)] {
        let content = Content::Text { from: "@me".to_owned(), body: "x".repeat(letters) };
        let message = Compose { style: Style::Plain, ..Compose::new(b'm', PlatformVersion::V2, content) };
        let composed = phone.compose(message, NOW).unwrap();
        assert_eq!(composed.segments_count, composed.sms[0].len().div_ceil(153));
        assert_eq!(composed.segments_count, count, "{letters} letters");
    }
}

/// Sends the segments in reverse and gives the message with its image length.
fn assemble(sms: &[String]) -> (Message, usize) {
    let mut set = Set::default();
    let mut done = None;
    for text in sms.iter().rev() {
        let Ok(Detected::Segment(segment)) = detect(text) else { panic!("no segment: {text:?}") };
        if let Progress::Complete(assembly) = set.insert(segment, NOW) {
            done = Some(assembly);
        }
    }
    let assembly = done.expect("all segments are there");
    (parse_text(&assembly.text).unwrap(), assembly.image_len.into())
}

fn picture(len: u32) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

/// Where the wrapped text is one character longer than the chunks before it, its final line break travels alone.
#[test]
fn the_last_segment_of_android_may_be_a_line_break() {
    let (mut phone, _) = log_in(NUMBER, 1);
    let mail = ComposeBridge { image: Some(picture(900)), ..bridge_mail(BridgeVersion::V2, Via::Account) };
    let composed = phone.compose_bridge(mail, NOW, &mut Recorded::keys([])).unwrap();
    assert_eq!(composed.sms.last().unwrap(), "BAEK\n");
    let Ok(Detected::Segment(first)) = detect(&composed.sms[0]) else { panic!("no segment") };
    let Part::First(head) = first.part else { panic!("not the first") };
    assert_eq!((usize::from(head.total), head.image_len), (composed.sms.len(), 900));
    let mut set = Set::default();
    let mut progress = None;
    for sms in &composed.sms[..composed.sms.len() - 1] {
        let Ok(Detected::Segment(segment)) = detect(sms) else { panic!("no segment") };
        progress = Some(set.insert(segment, NOW));
    }
    let Some(Progress::Complete(whole)) = progress else { panic!("the line break is not needed: {progress:?}") };
    assert_eq!(parse_text(&whole.text).unwrap().bytes, composed.payload);
}

#[test]
fn images_of_both_kinds() {
    let image = picture(880);
    let (mut phone, mut server) = log_in(NUMBER, 1);
    for style in [Style::Plain, Style::Android] {
        let (shortcode, content) = contents()[0].clone();
        let message = Compose {
            image: Some(image.clone()),
            style,
            ..Compose::new(shortcode, PlatformVersion::V2, content.clone())
        };
        let composed = phone.compose(message, NOW).unwrap();
        let (message, image_len) = assemble(&composed.sms);
        assert_eq!(message.bytes, composed.payload);
        let plaintext = server.open(message.payload.block());
        let (sent, rest) = split_image(&plaintext, image_len).unwrap();
        assert_eq!(sent, image);
        assert_eq!(PlatformContent::parse(PlatformVersion::V2, content.service(), rest).unwrap().content, content);

        let bridge =
            ComposeBridge { image: Some(image.clone()), style, ..bridge_mail(BridgeVersion::V2, Via::Account) };
        let expected = bridge.content.clone();
        let composed = phone.compose_bridge(bridge, NOW, &mut Recorded::keys([])).unwrap();
        let (message, image_len) = assemble(&composed.sms);
        let plaintext = server.open(message.payload.block());
        let read = BridgeContent::parse_with_image(BridgeVersion::V2, &plaintext, image_len).unwrap();
        assert_eq!(read, (expected, image.as_slice()));
    }
    assert_eq!(phone.next_image_session(), 5);
    phone.set_next_image_session(255);
    let bridge = ComposeBridge { image: Some(image), ..bridge_mail(BridgeVersion::V2, Via::Account) };
    phone.compose_bridge(bridge, NOW, &mut Recorded::keys([])).unwrap();
    assert_eq!(phone.next_image_session(), 0);
}

fn bridge_mail(version: BridgeVersion, via: Via) -> ComposeBridge {
    let content = BridgeContent {
        to: "you@example.org".to_owned(),
        cc: "c@example.org".to_owned(),
        bcc: String::new(),
        subject: "Été".to_owned(),
        body: "one: two".to_owned(),
    };
    ComposeBridge { version, via, content, language: Some(Language::FR), image: None, style: Style::Android }
}

fn static_key(seed: u8) -> (KeyPair, StaticKey) {
    let pair = KeyPair::from_secret([seed; 32]);
    let public = pair.public();
    (pair, StaticKey { kid: seed, public })
}

#[test]
fn bridges_with_and_without_key_exchange() {
    for version in BRIDGE_VERSIONS {
        let mut phone = Phone::new(NUMBER.parse().unwrap());
        let (pair, key) = static_key(9);
        let mut server: Option<Server> = None;
        let vias = [
            Via::Fresh(key),
            Via::Kept { key, switch: Switch::PayloadOnly },
            Via::Kept { key, switch: Switch::KeyExchange },
            Via::Fresh(key),
            Via::Kept { key, switch: Switch::PayloadOnly },
        ];
        for via in vias {
            let sent = bridge_mail(version, via);
            let composed = phone.compose_bridge(sent.clone(), NOW, &mut rng(phone.bridge_sessions() as u64)).unwrap();
            let payload = bridge_of(&composed);
            assert_eq!(payload.language, Some(Language::FR));
            let exchanged = !matches!(via, Via::Kept { switch: Switch::PayloadOnly, .. });
            assert_eq!(payload.key_exchange.map(|e| e.kid), exchanged.then_some(9));
            if let Some(exchange) = payload.key_exchange {
                let client = PublicKey(exchange.client_public);
                // Keys that the server has already must not reset its session.
                if server.as_ref().is_none_or(|server| server.client != client) {
                    server = Some(Server::new(pair.clone(), client));
                }
            }
            let plaintext = server.as_mut().unwrap().open(&payload.block);
            assert_eq!(BridgeContent::parse(version, &plaintext), Ok(sent.content));
        }
        assert_eq!(phone.bridge_sessions(), 2);
        let sms = server.unwrap().reply(&mail("Re: Été"));
        let read = phone.read(&sms, NOW, &mut rng(5)).unwrap();
        assert_eq!(read, Incoming::Reply { mail: mail("Re: Été"), at_s: 1_750_000_000, late: false });
    }
}

#[test]
fn replies_find_their_session_and_the_oldest_sessions_go() {
    let (mut phone, mut account) = log_in(NUMBER, 1);
    let (pair, key) = static_key(3);
    let mut servers = Vec::new();
    for seed in 0..BRIDGE_SESSIONS_MAX + 1 {
        let sent = bridge_mail(BridgeVersion::V2, Via::Fresh(key));
        let payload = bridge_of(&phone.compose_bridge(sent, NOW, &mut rng(seed as u64)).unwrap());
        let mut server = Server::new(pair.clone(), PublicKey(payload.key_exchange.unwrap().client_public));
        server.open(&payload.block);
        servers.push(server);
    }
    let sent =
        phone.compose_bridge(bridge_mail(BridgeVersion::V2, Via::Account), NOW, &mut Recorded::keys([])).unwrap();
    account.open(&bridge_of(&sent).block);
    assert_eq!(phone.bridge_sessions(), BRIDGE_SESSIONS_MAX);

    let forgotten = servers[0].reply(&mail("0"));
    assert_eq!(phone.read(&forgotten, NOW, &mut rng(1)), Err(ReadError::Unreadable));
    for (name, server) in [("1", &mut servers[1]), ("2", &mut account)] {
        let sms = server.reply(&mail(name));
        let read = phone.read(&sms, NOW, &mut rng(2)).unwrap();
        assert_eq!(read, Incoming::Reply { mail: mail(name), at_s: 1_750_000_000, late: false });
    }
}

#[test]
fn replies_twice_late_and_damaged() {
    let (mut phone, mut server) = log_in(NUMBER, 1);
    let (shortcode, content) = contents()[1].clone();
    let compose = |phone: &mut Phone| {
        let message = Compose::new(shortcode, PlatformVersion::V2, content.clone());
        platform_of(&phone.compose(message, NOW).unwrap()).block
    };
    server.open(&compose(&mut phone));
    let [first, second, third] = ["1", "2", "3"].map(|name| server.reply(&mail(name)));
    let mut chance = rng(4);
    let mut read = |phone: &mut Phone, sms: &str| phone.read(sms, NOW, &mut chance);
    let opened = |name: &str, late| Ok(Incoming::Reply { mail: mail(name), at_s: 1_750_000_000, late });

    // A cut copy, and one whose lengths outside the MAC are changed, leave the good copy readable.
    assert!(matches!(read(&mut phone, &first[..first.len() / 2]), Err(ReadError::Damaged(_))));
    let mut lengths = bytes_of(&[first.lines().nth(1).unwrap().to_owned()]);
    lengths[0] -= 1;
    let changed = format!("x\n{}\n1750000000.0", relaymesh_protocol::base64text::encode(&lengths));
    assert!(matches!(read(&mut phone, &changed), Err(ReadError::Damaged(_))));
    assert_eq!(read(&mut phone, &first), opened("1", false));

    assert_eq!(read(&mut phone, &third), opened("3", false));
    assert_eq!(read(&mut phone, &second), opened("2", true));
    server.open(&compose(&mut phone));
    assert_eq!(read(&mut phone, &server.reply(&mail("4"))), opened("4", false));
    for sms in [&first, &second, &third] {
        assert_eq!(read(&mut phone, sms), Ok(Incoming::Duplicate));
    }
}

#[test]
fn nothing_changes_when_composing_fails() {
    let (mut phone, mut server) = log_in(NUMBER, 1);
    let before = phone.encode();
    let (shortcode, content) = contents()[0].clone();
    let good = Compose::new(shortcode, PlatformVersion::V2, content);
    let image = |len| Some(vec![1; len]);
    let (_, key) = static_key(1);
    let long = Content::Text { from: "@me".to_owned(), body: "x".repeat(66_000) };
    for wrong in [
        Compose { version: PlatformVersion::V1, image: image(1), ..good.clone() },
        Compose { image: image(0), ..good.clone() },
        Compose { image: image(40_000), ..good.clone() },
        Compose { image: image(65_536), ..good.clone() },
        Compose { version: PlatformVersion::V0, language: Some(Language::EN), ..good.clone() },
        Compose { content: long, ..good.clone() },
    ] {
        assert!(phone.compose(wrong, NOW).is_err());
    }
    let kept = bridge_mail(BridgeVersion::V2, Via::Kept { key, switch: Switch::KeyExchange });
    assert_eq!(phone.compose_bridge(kept, NOW, &mut rng(1)), Err(ComposeError::NoBridgeSession));
    let zero = StaticKey { kid: 0, public: PublicKey([0; 32]) };
    let bad = phone.compose_bridge(bridge_mail(BridgeVersion::V2, Via::Fresh(zero)), NOW, &mut rng(1));
    assert!(matches!(bad, Err(ComposeError::BadStaticKey(_))));
    let picture = ComposeBridge { image: image(1), ..bridge_mail(BridgeVersion::V3, Via::Account) };
    assert_eq!(phone.compose_bridge(picture, NOW, &mut rng(1)), Err(ComposeError::ImageVersion));
    assert_eq!(*phone.encode(), *before);
    server.open(&platform_of(&phone.compose(good.clone(), NOW).unwrap()).block);
    assert_eq!(Phone::new(NUMBER.parse().unwrap()).compose(good, NOW), Err(ComposeError::LoggedOut));
}
