use proptest::prelude::*;

use super::*;
use crate::payload::sample_block;

fn long_mail() -> ReplyMail {
    let name = "é😀".repeat(100);
    let [alias, sender, cc, bcc, subject] = [(); 5].map(|()| name.clone());
    ReplyMail { alias, sender, cc, bcc, subject, body: "é".repeat(40_000) }
}

#[test]
fn long_mails_are_cut_to_what_the_app_can_read() {
    assert_eq!(PLAINTEXT_BYTES_MAX, 32_687);
    assert!(matches!(long_mail().lengths(), Err(EncodeError::TooLong { field: "alias", len: 300, max: 127 })));
    for max in [PLAINTEXT_BYTES_MAX, usize::MAX, 2000, 0] {
        let mail = long_mail().trimmed(max);
        let lengths = mail.lengths().unwrap();
        assert_eq!(lengths.names, [127; 5]);
        let plaintext = mail.plaintext();
        assert!(plaintext.len() <= PLAINTEXT_BYTES_MAX);
        assert!(plaintext.len() <= max || mail.body.is_empty());
        assert_eq!(ReplyMail::from_plaintext(lengths, &plaintext), Ok(mail));
    }
}

#[test]
fn lengths_that_do_not_sum_are_refused() {
    let lengths = ReplyLengths { names: [1, 0, 0, 0, 0], body: 2 };
    for text in ["", "a", "abcd", "😀"] {
        assert_eq!(ReplyMail::from_plaintext(lengths, text.as_bytes()), Err(ReplyError::Plaintext), "{text}");
    }
    assert_eq!(ReplyMail::from_plaintext(lengths, &[0xff; 3]), Err(ReplyError::Plaintext));
}

#[test]
fn a_damaged_sms_says_what_is_wrong() {
    let reply = Reply { lengths: ReplyLengths::default(), block: sample_block(1, 0) };
    let text = reply.to_sms(Language::EN, 7).unwrap();
    assert_eq!(Reply::from_sms(&text), Ok((reply.clone(), 7)));
    assert_eq!(Reply::from_sms(&text.replace('\n', "\r\n")), Ok((reply, 7)));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(Reply::from_sms(&lines[..2].join("\n")), Err(ReplyError::Lines { have: 2 }));
    let no_time = format!("{}\n{}\nnoon", lines[0], lines[1]);
    assert_eq!(Reply::from_sms(&no_time), Err(ReplyError::Time));
    let cut = format!("{}\n{}\n7.0", lines[0], &lines[1][..40]);
    assert!(matches!(Reply::from_sms(&cut), Err(ReplyError::Truncated(_))));
    assert_eq!(Reply::parse(&[0, 0, 0, 0, 0, 0, 0, 0, 0, b'x']), Err(ReplyError::Letter { letter: b'x' }));
}

#[test]
fn a_block_over_32767_bytes_is_refused() {
    let reply = |k| Reply { lengths: ReplyLengths::default(), block: sample_block(k, 0) }.encode();
    assert!(reply(2043).is_ok());
    assert!(matches!(reply(2044), Err(EncodeError::TooLong { field: "block", .. })));
}

proptest! {
    #[test]
    fn reads_back_what_it_writes(names: [u8; 5], body: u16, k in 1..60_usize, seconds: u64, french: bool) {
        let reply = Reply { lengths: ReplyLengths { names, body }, block: sample_block(k, 1) };
        let language = if french { Language::FR } else { Language::EN };
        let text = reply.to_sms(language, seconds).unwrap();
        prop_assert_eq!(Reply::from_sms(&text), Ok((reply, seconds)));
    }

    #[test]
    fn mails_read_back(alias in "[a-z0-9@.]{0,30}", sender in "\\PC{0,40}", body in "\\PC{0,80}") {
        let mail = ReplyMail { alias, sender, body, ..ReplyMail::default() };
        let lengths = mail.lengths().unwrap();
        prop_assert_eq!(ReplyMail::from_plaintext(lengths, &mail.plaintext()), Ok(mail));
    }

    #[test]
    fn never_panics(text in "\\PC{0,60}\n\\PC{0,60}\n\\PC{0,20}", bytes in prop::collection::vec(any::<u8>(), 0..150), names: [u8; 5]) {
        let _ = Reply::from_sms(&text);
        let _ = Reply::parse(&bytes);
        let _ = ReplyMail::from_plaintext(ReplyLengths { names, body: 9 }, &bytes);
    }
}
