use proptest::prelude::*;

use super::*;

const VERSIONS: [PlatformVersion; 4] =
    [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3];
const SERVICES: [ServiceType; 4] = [ServiceType::Email, ServiceType::Text, ServiceType::Message, ServiceType::Test];
const ACCESS: &str = "ya29.access-token-0123456789";
const REFRESH: &str = "1//refresh-token-0123456789";

fn tokens() -> Option<Tokens> {
    Tokens::both(ACCESS.to_owned(), REFRESH.to_owned())
}

fn post(body: &str, tokens: Option<Tokens>) -> PlatformContent {
    PlatformContent { content: Content::Text { from: "@ada".to_owned(), body: body.to_owned() }, tokens }
}

fn read_v0_post(text: &str) -> PlatformContent {
    PlatformContent::parse(PlatformVersion::V0, ServiceType::Text, text.as_bytes()).unwrap()
}

#[test]
fn a_text_body_keeps_its_colons() {
    for body in ["10:30", "a:b:c:d", "see http://example.org:8080/ at 10:30:00", "::", "x:", "ends: :", ""] {
        assert_eq!(read_v0_post(&format!("@ada:{body}")), post(body, None), "{body:?}");
    }
}

#[test]
fn a_text_body_gives_up_only_what_looks_like_two_tokens() {
    let text = format!("@ada:at 10:30:{ACCESS}:{REFRESH}");
    assert_eq!(read_v0_post(&text), post("at 10:30", tokens()));
    let one = format!("at 10:30::{REFRESH}");
    assert_eq!(read_v0_post(&format!("@ada:{one}")), post(&one, None));
    let blanks = format!("a:not a token, a long sentence:{REFRESH}");
    assert_eq!(read_v0_post(&format!("@ada:{blanks}")), post(&blanks, None));
}

#[test]
fn v0_parts_shorter_than_any_token_stay_body_where_the_existing_servers_differ() {
    // The existing servers take any two last parts that are not empty for tokens, and so cut "…, 10:30:15" off a post.
    for body in ["meet at 10:30:15", "one:two:three", "a:short-token:1//refresh-token-0123456789"] {
        assert_eq!(read_v0_post(&format!("@ada:{body}")), post(body, None), "{body}");
    }
}

#[test]
fn what_would_read_back_as_something_else_is_not_written() {
    let v0 = PlatformVersion::V0;
    let body = format!("a:{ACCESS}:{REFRESH}");
    assert_eq!(post(&body, None).encode(v0), Err(EncodeError::Ambiguous));
    let short = Tokens::both("a".to_owned(), "b".to_owned());
    assert_eq!(post("a", short).encode(v0), Err(EncodeError::Ambiguous));
    let content = Content::Text { from: "did:plc:1".to_owned(), body: String::new() };
    let whole = PlatformContent { content, tokens: None };
    assert_eq!(whole.encode(v0), Err(EncodeError::Colon { field: "account" }));
    let content = Content::Test { id: "1\n2".to_owned() };
    let whole = PlatformContent { content, tokens: None };
    assert_eq!(whole.encode(PlatformVersion::V2), Err(EncodeError::LineBreak { field: "account" }));
}

#[test]
fn too_few_parts_are_an_error() {
    let parse = |service, text: &str| PlatformContent::parse(PlatformVersion::V0, service, text.as_bytes());
    assert_eq!(parse(ServiceType::Email, "a:b:c:d:e"), Err(ContentError::Parts { have: 5, need: 6 }));
    assert_eq!(parse(ServiceType::Text, "a"), Err(ContentError::Parts { have: 1, need: 2 }));
    assert_eq!(parse(ServiceType::Message, "a:b"), Err(ContentError::Parts { have: 2, need: 3 }));
}

#[test]
fn line_breaks_leave_the_account() {
    let read = read_v0_post("@a\r\nda\n:two\nlines");
    assert_eq!(read, post("two\nlines", None));
}

#[test]
fn one_token_is_none() {
    let mut bytes = vec![4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0];
    bytes.extend_from_slice(b"@adaxabc");
    let read = PlatformContent::parse(PlatformVersion::V2, ServiceType::Text, &bytes).unwrap();
    assert_eq!(read, post("x", None));
}

#[test]
fn a_mail_is_not_read_as_a_post() {
    let mail = Content::Email {
        from: "a@x.org".to_owned(),
        to: "b@x.org".to_owned(),
        cc: String::new(),
        bcc: String::new(),
        subject: "s".to_owned(),
        body: "b".to_owned(),
    };
    let bytes = PlatformContent { content: mail, tokens: None }.encode(PlatformVersion::V2).unwrap();
    let service = ServiceType::Text;
    assert_eq!(
        PlatformContent::parse(PlatformVersion::V2, service, &bytes),
        Err(ContentError::Unexpected { service, field: "to", len: 7 })
    );
}

#[test]
fn every_cut_and_every_extra_byte_is_an_error() {
    for version in [PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3] {
        let whole = post("body", tokens()).encode(version).unwrap();
        for len in 0..whole.len() {
            let error = PlatformContent::parse(version, ServiceType::Text, &whole[..len]).unwrap_err();
            assert!(matches!(error, ContentError::Truncated(_)), "{version:?} cut to {len}: {error}");
        }
        let mut long = whole;
        long.extend([b'x', b'y']);
        let parsed = PlatformContent::parse(version, ServiceType::Text, &long);
        assert_eq!(parsed, Err(ContentError::TooMuch { extra: 2 }));
    }
}

#[test]
fn a_subject_over_255_bytes_is_refused_not_wrapped() {
    let mail = Content::Email {
        from: String::new(),
        to: String::new(),
        cc: String::new(),
        bcc: String::new(),
        subject: "s".repeat(256),
        body: String::new(),
    };
    let encoded = PlatformContent { content: mail, tokens: None }.encode(PlatformVersion::V2);
    assert_eq!(encoded, Err(EncodeError::TooLong { field: "subject", len: 256, max: 255 }));
}

#[test]
fn images_split_off_the_front() {
    assert_eq!(split_image(b"imgtext", 3), Ok((&b"img"[..], &b"text"[..])));
    assert_eq!(split_image(b"img", 4), Err(ContentError::Image { image: 4, have: 3 }));
}

#[test]
fn debug_tells_nothing() {
    assert_eq!(
        format!("{:?}", post("secret", tokens())),
        "PlatformContent { content: Content::Text(..), tokens: Some(Tokens(..)) }"
    );
}

fn any_content() -> impl Strategy<Value = Content> {
    let field = || "[a-zé@,. ]{0,12}";
    let body = || "[a-z:é\n ]{0,40}";
    prop_oneof![
        (field(), field(), field(), field(), field(), body())
            .prop_map(|(from, to, cc, bcc, subject, body)| Content::Email { from, to, cc, bcc, subject, body }),
        (field(), body()).prop_map(|(from, body)| Content::Text { from, body }),
        (field(), field(), body()).prop_map(|(from, to, body)| Content::Message { from, to, body }),
        "[0-9]{0,9}".prop_map(|id| Content::Test { id }),
    ]
}

proptest! {
    #[test]
    fn reads_back_what_it_writes(content in any_content(), with_tokens: bool) {
        let carries = matches!(content.service(), ServiceType::Email | ServiceType::Text);
        let whole = PlatformContent { tokens: tokens().filter(|_| with_tokens && carries), content };
        for version in VERSIONS {
            match whole.encode(version) {
                Ok(bytes) => {
                    let read = PlatformContent::parse(version, whole.content.service(), &bytes);
                    prop_assert_eq!(read.as_ref(), Ok(&whole));
                }
                // A body of more than 15 letters and colons can look like tokens.
                Err(error) => prop_assert_eq!(error, EncodeError::Ambiguous),
            }
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        for version in VERSIONS {
            for service in SERVICES {
                let _ = PlatformContent::parse(version, service, &bytes);
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics(content in any_content(), at in any::<prop::sample::Index>(), byte: u8) {
        let whole = PlatformContent { content, tokens: None };
        for version in VERSIONS {
            let Ok(mut bytes) = whole.encode(version) else { continue };
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for service in SERVICES {
                let _ = PlatformContent::parse(version, service, &bytes);
            }
        }
    }
}
