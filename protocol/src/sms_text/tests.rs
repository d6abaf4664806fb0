use super::*;
use crate::gsm7;
use crate::ids::Timestamp;

const AT: Timestamp = Timestamp(1_748_383_802_000);
const CODES: [&[u8; 2]; 13] =
    [b"en", b"fr", b"es", b"de", b"tr", b"sw", b"sn", b"ar", b"fa", b"hi", b"ko", b"zh", b"xx"];

fn short_notices() -> Vec<Notice> {
    let platform = "reliability".to_owned();
    vec![
        Notice::Published { platform: platform.clone(), at: AT, number: 12_345 },
        Notice::Failed { platform: platform.clone(), at: AT, number: 12_345 },
        Notice::Uncertain { platform: "telegram".to_owned(), at: AT, number: 1234, resend: true },
        Notice::Damaged,
        Notice::Expired { sent: AT },
        Notice::ImageIncomplete { have: 254, total: Some(255) },
        Notice::ImageIncomplete { have: 3, total: None },
        Notice::LoginAgain,
        Notice::BridgeStarted { alias: "237650123456@relaysms.me".to_owned() },
        Notice::BridgeStopped,
        Notice::BridgeAgain { alias: "237650123456@relaysms.me".to_owned() },
        Notice::BridgeLimit,
        Notice::Otp(OtpCode::new("012345").unwrap()),
    ]
}

fn refreshed(account: &str, token: &str) -> Notice {
    let token = TokenLine::new(account, token).unwrap();
    let outcome = Box::new(Notice::Published { platform: "twitter".to_owned(), at: AT, number: 7 });
    Notice::TokenRefreshed { outcome, token }
}

#[test]
fn english_and_french_fit_one_sms() {
    for language in [Language::EN, Language::FR] {
        for (at, notice) in short_notices().iter().enumerate() {
            let text = notice.text(language);
            assert!(gsm7::is_gsm7(&text), "notice {at} in {language:?} is not of the GSM 7-bit alphabet");
            assert_eq!(gsm7::segments(&text), 1, "notice {at} in {language:?} has {} letters", text.chars().count());
        }
    }
}

#[test]
fn every_language_stays_within_three_sms() {
    for code in CODES {
        for (at, notice) in short_notices().iter().enumerate() {
            let count = gsm7::segments(&notice.text(Language(*code)));
            assert!(count <= 3, "notice {at} takes {count}");
        }
    }
}

#[test]
fn outcomes_begin_with_the_marker_of_their_language_and_are_numbered() {
    for code in CODES {
        let language = Language(*code);
        for notice in &short_notices()[..3] {
            let text = notice.text(language);
            assert!(text.starts_with(marker(language)) && text.contains("#1234"), "{language:?}");
        }
    }
    assert_eq!(marker(Language(*b"xx")), marker(Language::EN));
}

#[test]
fn the_app_of_every_language_finds_the_token() {
    for code in CODES {
        let text = refreshed("@ada", "token").text(Language(*code));
        let read = TokenLine::read(&text, Language(*code));
        assert_eq!(read, Some(("@ada".to_owned(), "token".to_owned())));
    }
    for outcome in &short_notices()[..3] {
        let (outcome, token) = (Box::new(outcome.clone()), TokenLine::new("@ada", "token").unwrap());
        let text = Notice::TokenRefreshed { outcome, token }.text(Language::FR);
        assert_eq!(TokenLine::read(&text, Language::FR), Some(("@ada".to_owned(), "token".to_owned())), "{text}");
    }
    let english = refreshed("@ada", "token").text(Language::EN);
    assert_eq!(TokenLine::read(&english, Language::FR), None);
}

#[test]
fn notices_that_are_no_outcome_are_not_taken_for_one_when_pasted() {
    for code in CODES {
        for notice in &short_notices()[3..] {
            assert_eq!(TokenLine::read(&notice.text(Language(*code)), Language(*code)), None);
            assert!(!notice.text(Language(*code)).contains(marker(Language(*code))));
        }
    }
}

#[test]
fn what_the_app_would_cut_is_refused() {
    assert_eq!(TokenLine::new("did:plc", "t"), Err(TextError::Colon { field: "account" }));
    assert_eq!(TokenLine::new("a", "t:u"), Err(TextError::Colon { field: "refresh token" }));
    for code in ["", "12345", "1234567", "12345a", "１２"] {
        assert_eq!(OtpCode::new(code), Err(TextError::Otp));
    }
}

#[test]
fn names_cannot_break_a_text() {
    let platform = format!("a\n\n\n{}", "b".repeat(100));
    let text = Notice::Published { platform, at: AT, number: 1 }.text(Language::EN);
    assert_eq!(text.lines().count(), 1);
    assert!(text.len() < 160);
}

#[test]
fn debug_tells_no_secret() {
    let shown = format!("{:?} {:?}", refreshed("@ada", "token"), OtpCode::new("012345").unwrap());
    let line = base64text::encode(b"@ada:token");
    assert!(!shown.contains(&line) && !shown.contains("012345"));
}
