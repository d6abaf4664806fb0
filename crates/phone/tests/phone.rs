//! Logging in, storing, and texts that are no replies.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeMap;

use common::{NOW, NUMBER, Recorded, ServerKeys, log_in, mail, rng};
use proptest::prelude::*;
use relaymesh_phone::api::StoredToken;
use relaymesh_phone::{
    AgeCheck, Compose, DecodeError, Delivery, FinishError, Incoming, Kind, Phone, SENT_MAX, Status, Style,
};
use relaymesh_protocol::content::Content;
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::payload::{Payload, PlatformVersion};
use relaymesh_protocol::sms_text::{Notice, OtpCode, TokenLine};

fn post() -> Compose {
    let content = Content::Text { from: "@me".to_owned(), body: "post".to_owned() };
    Compose::new(b'm', PlatformVersion::V2, content)
}

fn read(phone: &mut Phone, text: &str) -> Incoming {
    phone.read(text, NOW, &mut Recorded::keys([])).unwrap()
}

#[test]
fn requests_have_the_fields_of_their_call() {
    let mut rng = rng(1);
    let kind = Kind::SignUp { country: "CM".to_owned() };
    let pending = Phone::begin(kind, NUMBER.parse().unwrap(), &mut rng);
    let first = pending.request("Passw0rd!", None, "captcha", Style::Android);
    assert_eq!((first.country_code.as_str(), first.phone_number.as_str()), ("CM", NUMBER));
    assert_eq!((first.email_address.as_str(), first.ownership_proof_response.reveal()), ("", ""));
    assert_eq!((first.client_publish_pub_key.len(), first.client_publish_pub_key.ends_with("=\n")), (45, true));
    assert_ne!(first.client_publish_pub_key, first.client_device_id_pub_key);
    let second = pending.request("Passw0rd!", Some("123456"), "captcha", Style::Plain);
    assert_eq!(second.client_publish_pub_key, first.client_publish_pub_key.trim_end());
    assert_eq!(second.ownership_proof_response.reveal(), "123456");
    let reset = Phone::begin(Kind::Reset, "me@example.org".parse().unwrap(), &mut rng);
    let reset = reset.request("Passw0rd!", None, "", Style::Plain);
    assert_eq!((reset.country_code.as_str(), reset.phone_number.as_str()), ("", ""));
    assert_eq!(reset.email_address, "me@example.org");
    assert!(!format!("{reset:?} {pending:?}").contains("Passw0rd"));
}

#[test]
fn the_age_of_a_token_counts_as_on_android() {
    let keys = ServerKeys::new(2);
    let pending = Phone::begin(Kind::LogIn, NUMBER.parse().unwrap(), &mut rng(1));
    let now_s = NOW.seconds();
    let answer = keys.answer(&pending, now_s);
    let finish = |now_s, age| pending.finish(&answer, now_s, age, &mut rng(3)).map(|_| ());
    for off in [0, 1, 59] {
        assert_eq!(finish(now_s + off, AgeCheck::Android), Ok(()));
        assert_eq!(finish(now_s - off, AgeCheck::Android), Ok(()));
    }
    for off_s in [60, 3600] {
        assert_eq!(finish(now_s + off_s, AgeCheck::Android), Err(FinishError::Age { off_s }));
        assert_eq!(finish(now_s - off_s, AgeCheck::Android), Err(FinishError::Age { off_s }));
        assert_eq!(finish(now_s + off_s, AgeCheck::Skip), Ok(()));
    }
}

#[test]
fn a_wrong_answer_names_its_field() {
    let keys = ServerKeys::new(2);
    let pending = Phone::begin(Kind::LogIn, NUMBER.parse().unwrap(), &mut rng(1));
    let good = keys.answer(&pending, NOW.seconds());
    let zero = relaymesh_ratchet::PublicKey([0; 32]).to_base64();
    let error = |change: &dyn Fn(&mut relaymesh_phone::api::EntityAnswer)| {
        let mut answer = good.clone();
        change(&mut answer);
        pending.finish(&answer, NOW.seconds(), AgeCheck::Android, &mut rng(3)).unwrap_err()
    };
    assert!(error(&|a| a.server_publish_pub_key.clear()).to_string().contains("server_publish_pub_key"));
    assert!(error(&|a| a.server_device_id_pub_key.truncate(20)).to_string().contains("server_device_id_pub_key"));
    assert!(matches!(error(&|a| a.server_publish_pub_key = zero.clone()), FinishError::Agree { .. }));
    assert!(matches!(error(&|a| a.server_device_id_pub_key = zero.clone()), FinishError::Agree { .. }));
    assert!(matches!(error(&|a| a.long_lived_token = "AAAA".into()), FinishError::Token(_)));
    let other = ServerKeys::new(9).answer(&pending, NOW.seconds());
    assert!(matches!(error(&|a| a.long_lived_token = other.long_lived_token.clone()), FinishError::Token(_)));
}

#[test]
fn logging_in_again_keeps_the_log() {
    let (mut phone, _) = log_in(NUMBER, 1);
    phone.compose(post(), NOW).unwrap();
    let old = phone.device_id();
    let pending = Phone::begin(Kind::Reset, NUMBER.parse().unwrap(), &mut rng(8));
    let answer = ServerKeys::new(9).answer(&pending, NOW.seconds());
    let late = NOW.seconds() + 100;
    assert!(pending.renew(&mut phone, &answer, late, AgeCheck::Android, &mut rng(1)).is_err());
    assert_eq!(phone.device_id(), old);
    pending.renew(&mut phone, &answer, late, AgeCheck::Skip, &mut rng(1)).unwrap();
    assert_ne!(phone.device_id(), old);
    assert_eq!(phone.compose(post(), NOW).unwrap().ordinal, 2);
}

#[test]
fn a_stored_phone_goes_on_where_it_was() {
    let (mut phone, mut server) = log_in(NUMBER, 1);
    phone.set_language(Language::FR);
    phone.compose(post(), NOW).unwrap();
    let mut restored = Phone::decode(&phone.encode()).unwrap();
    assert_eq!(*restored.encode(), *phone.encode());
    let composed = restored.compose(post(), NOW).unwrap();
    assert_eq!((composed.ordinal, restored.language()), (2, Language::FR));
    let Ok(Payload::Platform(payload)) = Payload::parse(&composed.payload) else { panic!("no payload") };
    server.open(&payload.block);
    let reply = server.reply(&mail("hi"));
    let mut restored = Phone::decode(&restored.encode()).unwrap();
    assert!(matches!(restored.read(&reply, NOW, &mut rng(1)), Ok(Incoming::Reply { .. })));
    let mut restored = Phone::decode(&restored.encode()).unwrap();
    assert_eq!(read(&mut restored, &reply), Incoming::Duplicate);
}

#[test]
fn a_stored_phone_says_what_is_wrong_with_it() {
    let bytes = log_in(NUMBER, 1).0.encode().to_vec();
    let decode = |bytes: &[u8]| Phone::decode(bytes).map(|_| ());
    assert_eq!(decode(&[]), Err(DecodeError::Empty));
    assert_eq!(decode(&[&[2], &bytes[1..]].concat()), Err(DecodeError::Version { found: 2 }));
    assert_eq!(decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing { count: 1 }));
    for len in 1..bytes.len() {
        assert_eq!(decode(&bytes[..len]), Err(DecodeError::Malformed), "cut to {len}");
    }
}

#[test]
fn the_log_is_bounded() {
    let (mut phone, _) = log_in(NUMBER, 1);
    for _ in 0..SENT_MAX + 5 {
        phone.compose(post(), NOW).unwrap();
    }
    assert_eq!((phone.sent().len(), phone.sent()[0].ordinal), (SENT_MAX, 6));
}

#[test]
fn our_delivery_texts_are_understood() {
    let (mut phone, _) = log_in(NUMBER, 1);
    phone.compose(post(), NOW).unwrap();
    let of = |status: Status, language: Language| {
        let (platform, at, number) = ("mastodon".to_owned(), NOW, 1);
        match status {
            Status::Published => Notice::Published { platform, at, number },
            Status::Failed => Notice::Failed { platform, at, number },
            Status::Uncertain | Status::Unknown => Notice::Uncertain { platform, at, number, resend: true },
        }
        .text(language)
    };
    for status in [Status::Published, Status::Failed, Status::Uncertain] {
        for language in [Language::EN, Language::FR, Language(*b"fa"), Language(*b"zh")] {
            let Incoming::Delivery(delivery) = read(&mut phone, &of(status, language)) else { panic!("no delivery") };
            let expected = Delivery { status, platform: Some("mastodon".to_owned()), number: Some(1) };
            assert_eq!(delivery, expected, "{status} {language:?}");
            assert_eq!(phone.sent_of(&delivery).map(|sent| sent.at), Some(NOW));
        }
    }
    let upstream = "Livraison RelaySMS: Envoyé avec succès message à twitter à 2025-05-27 22:10:02 (UTC).";
    let Incoming::Delivery(delivery) = read(&mut phone, upstream) else { panic!("no delivery") };
    assert_eq!(delivery, Delivery { status: Status::Published, platform: Some("twitter".to_owned()), number: None });
    assert_eq!(phone.sent_of(&delivery), None);
}

fn stored(account: &str, tokens: &[(&str, &str)]) -> StoredToken {
    StoredToken {
        platform: "twitter".to_owned(),
        account_identifier: account.to_owned(),
        account_tokens: tokens.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect::<BTreeMap<_, _>>(),
        is_stored_on_device: !tokens.is_empty(),
    }
}

#[test]
fn tokens_move_to_the_phone_and_are_refreshed_by_sms() {
    let (mut phone, _) = log_in(NUMBER, 1);
    phone.import_accounts(&[stored("@me", &[("access_token", "a"), ("refresh_token", "r1")])]).unwrap();
    phone.import_accounts(&[stored("@me", &[]), stored("@you", &[("access_token", "")])]).unwrap();
    let refresh = |phone: &Phone| phone.account("twitter", "@me").unwrap().tokens().unwrap().refresh.clone();
    assert_eq!(refresh(&phone), "r1");
    assert!(phone.account("twitter", "@you").unwrap().tokens().is_none());

    let text = |language| {
        let token = TokenLine::new("@me", "r2").unwrap();
        let outcome = Notice::Published { platform: "twitter".to_owned(), at: NOW, number: 1 };
        Notice::TokenRefreshed { outcome: Box::new(outcome), token }.text(language)
    };
    assert!(matches!(read(&mut phone, &text(Language::FR)), Incoming::Delivery(_)));
    assert_eq!(refresh(&phone), "r1");
    let update = Incoming::TokenUpdate { account: "@me".to_owned(), refresh: "r2".into() };
    assert_eq!(read(&mut phone, &text(Language::EN)), update);
    let printed = format!("{update:?} {:?}", phone.account("twitter", "@me"));
    assert!(!printed.contains("@me") && !printed.contains("r2"), "{printed}");
    assert_eq!(refresh(&phone), "r2");

    let long = stored("@me", &[("refresh_token", &"x".repeat(9000))]);
    assert!(phone.import_accounts(&[long]).is_err());
    assert!(phone.import_accounts(&vec![stored("@me", &[]); 257]).is_err());
    assert_eq!(refresh(&phone), "r2");
    phone.log_out();
    assert!(phone.accounts().is_empty() && !phone.is_logged_in());
}

#[test]
fn codes_and_private_texts() {
    let (mut phone, _) = log_in(NUMBER, 1);
    let code = Notice::Otp(OtpCode::new("123456").unwrap()).text(Language::FR);
    assert_eq!(read(&mut phone, &code), Incoming::Otp("123456".into()));
    assert_eq!(read(&mut phone, "Your RelaySMS Verification Code is: 654321."), Incoming::Otp("654321".into()));
    for text in ["", "ok", "a\nb\nc", "Your RelaySMS Verification Code is: 1234567", &"x\n".repeat(100_000)] {
        assert_eq!(read(&mut phone, text), Incoming::Other);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,100}(\n[A-Za-z0-9+/=]{0,200}){0,3}", head in 0..3usize) {
        let (mut phone, _) = log_in(NUMBER, 1);
        let head = ["", "RelaySMS Delivery: ", "RelaySMS Reply: "][head];
        let _ = phone.read(&format!("{head}{text}"), Timestamp(0), &mut rng(1));
    }

    #[test]
    fn any_bytes_are_a_phone_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte: u8) {
        let _ = Phone::decode(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let _ = Phone::decode(&bytes);
        let mut stored = log_in(NUMBER, 1).0.encode().to_vec();
        let at = at.index(stored.len());
        stored[at] = byte;
        let _ = Phone::decode(&stored);
    }
}
