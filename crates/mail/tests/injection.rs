//! Whatever stands in a user field: either the message is refused, or exactly one message with
//! the expected recipients and headers goes out.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use proptest::prelude::*;
use relaymesh_mail::message::{BCC_MAX, RECIPIENTS_MAX, build};
use relaymesh_mail::{Attachment, Invalid, Outgoing};

fn mail() -> Outgoing {
    Outgoing {
        from: "me@bridge.example.org".into(),
        to: vec!["you@example.com".into()],
        subject: "s".into(),
        body: "b".into(),
        message_id: "1@bridge.example.org".into(),
        ..Outgoing::default()
    }
}

/// Header names of the finished message, folded lines left out.
fn header_names(text: &str) -> Vec<String> {
    let head = text.split("\r\n\r\n").next().unwrap();
    let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

const EXPECTED: &[&str] =
    &["From", "Subject", "Message-ID", "Date", "To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];

fn check(mail: &Outgoing) -> Result<(), TestCaseError> {
    let Ok(ready) = build(mail) else {
        return Ok(());
    };
    let text = String::from_utf8(ready.bytes().to_vec()).expect("the message is ascii");
    let mut names = header_names(&text);
    names.sort();
    let mut expected = EXPECTED.to_vec();
    if mail.attachment.is_some() {
        expected.retain(|name| *name != "Content-Transfer-Encoding");
    }
    expected.sort_unstable();
    names.retain(|name| mail.attachment.is_none() || name != "Content-Transfer-Encoding");
    prop_assert_eq!(names, expected);
    let bare = |line: &str| line.contains('\r') || line.contains('\n');
    prop_assert!(!text.split("\r\n").any(bare), "a bare line break");
    prop_assert_eq!(ready.recipients().len(), 1);
    Ok(())
}

/// Texts that like to break things.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,60}",
        "[\\r\\n\\x00\\x0b\\x0c\\x85 ]{0,4}(Bcc: x@y\\.zz)?[\\r\\n]{0,3}\\.?[\\r\\n]{0,2}(MAIL FROM:<>)?",
        "(\\r\\n|\\n|\\r| |\"|<|>|,|;|=\\?utf-8\\?q\\?|\\?=|é|a|\u{2028}){0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn fields_of_one_line(subject in nasty(), name in nasty()) {
        check(&Outgoing { subject, from_name: Some(name), ..mail() })?;
    }

    #[test]
    fn bodies(body in prop::collection::vec(nasty(), 0..6)) {
        check(&Outgoing { body: body.join("\r\n.\r\n"), ..mail() })?;
    }

    #[test]
    fn addresses(local in nasty(), domain in "\\PC{0,20}|[a-z]{1,8}\\.[a-z]{2,3}") {
        let address = format!("{local}@{domain}");
        let result = build(&Outgoing { to: vec![address.clone()], ..mail() });
        if let Ok(ready) = result {
            prop_assert_eq!(ready.recipients().len(), 1);
            prop_assert_eq!(ready.recipients()[0].user(), local);
        }
        check(&Outgoing { from: address, ..mail() })?;
    }

    #[test]
    fn attachments(filename in nasty(), mimetype in "\\PC{0,20}|image/[a-z+]{1,5}") {
        let file = Attachment { filename, mimetype, data: vec![1, 2, 3] };
        check(&Outgoing { attachment: Some(file), ..mail() })?;
    }

    #[test]
    fn message_ids(message_id in nasty()) {
        check(&Outgoing { message_id, ..mail() })?;
    }
}

#[test]
fn each_field_refuses_line_breaks_and_nul() {
    for evil in ["a\rb", "a\nb", "a\r\nBcc: x@y.zz", "a\0b", "a\u{85}b"] {
        let text = evil.to_owned();
        let address = || format!("{evil}@example.com");
        let file = |filename: &str, mimetype: &str| Attachment {
            filename: filename.into(),
            mimetype: mimetype.into(),
            data: Vec::new(),
        };
        for spoiled in [
            Outgoing { subject: text.clone(), ..mail() },
            Outgoing { from_name: Some(text.clone()), ..mail() },
            Outgoing { from: address(), ..mail() },
            Outgoing { to: vec![address()], ..mail() },
            Outgoing { cc: vec![address()], ..mail() },
            Outgoing { bcc: vec![address()], ..mail() },
            Outgoing { return_path: Some(address()), ..mail() },
            Outgoing { message_id: address(), ..mail() },
            Outgoing { list_unsubscribe: Some(format!("https://{evil}")), ..mail() },
            Outgoing { attachment: Some(file(evil, "image/webp")), ..mail() },
            Outgoing { attachment: Some(file("a", &format!("image/{evil}"))), ..mail() },
        ] {
            assert!(build(&spoiled).is_err(), "{evil:?}");
        }
    }
    assert_eq!(build(&Outgoing { body: "a\0b".into(), ..mail() }).unwrap_err(), Invalid::Control("body"));
}

#[test]
fn addresses_that_lead_elsewhere_are_refused() {
    for bad in [
        "",
        "@",
        "a",
        "a@",
        "@b.org",
        "a@b",
        "root@localhost",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        "a@[::1]",
        "a@0x7f.1",
        "a b@c.org",
        "a,b@c.org",
        "a@b.org,c@d.org",
        "<a@b.org>",
        "A <a@b.org>",
        "\"a b\"@c.org",
        "a@b@c.org",
        ".a@b.org",
        "a.@b.org",
        "a..b@c.org",
        "-f@b.org",
        "a@b.org.",
        "a@-b.org,",
        "é@b.org",
        "a@b.org>",
        "a@b org",
        "a@%0d.org",
    ] {
        let result = build(&Outgoing { to: vec![bad.into()], ..mail() });
        assert!(result.is_err(), "{bad} was taken as {result:?}");
    }
    for good in ["a@b.org", "a.b+c@d-e.co.uk", "237600000000@relaysms.me", "a@bücher.ch"] {
        assert!(build(&Outgoing { to: vec![good.into()], ..mail() }).is_ok(), "{good}");
    }
}

#[test]
fn rations_hold() {
    let many = |count: usize| (0..count).map(|i| format!("p{i}@example.com")).collect::<Vec<_>>();
    assert!(build(&Outgoing { to: many(RECIPIENTS_MAX), ..mail() }).is_ok());
    let over = build(&Outgoing { to: many(RECIPIENTS_MAX + 1), ..mail() });
    assert_eq!(over.unwrap_err(), Invalid::TooManyRecipients);
    let blind = build(&Outgoing { bcc: many(BCC_MAX + 1), ..mail() });
    assert_eq!(blind.unwrap_err(), Invalid::TooManyRecipients);
    assert_eq!(build(&Outgoing { to: Vec::new(), ..mail() }).unwrap_err(), Invalid::NoRecipient);
    let twice = vec!["a@example.com".to_owned(); 3];
    assert_eq!(build(&Outgoing { to: twice, ..mail() }).unwrap().recipients().len(), 1);
    let long = build(&Outgoing { body: "x".repeat(65_536), ..mail() });
    assert_eq!(long.unwrap_err(), Invalid::TooLong("body"));
}
