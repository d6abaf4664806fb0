//! What a person may answer to one of our SMS: a single word, with a number behind it for one of them.
//!
//! The notices name the words, and they are the same in every language. Whatever else stands in an SMS makes it a private
//! one, so that nobody's conversation is read for commands.

use serde::{Deserialize, Serialize};

/// Longest SMS that can be an answer, in bytes: a word, a number, and what people put around them.
const TEXT_BYTES_MAX: usize = 64;
/// Digits of a message's number.
const DIGITS_MAX: usize = 10;

/// An answer that asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Keyword {
    /// `RESEND n`: message n of this person, whose outcome was told as uncertain, is missing on the platform.
    Resend {
        /// As it was told, counted from 1.
        number: u32,
    },
    /// `STOP`: no bridge mail is to be sent for this number.
    Stop,
    /// `START`: bridge mail may be sent for this number again.
    Start,
}

impl Keyword {
    /// The answer that an SMS is, if it is one and nothing else: in any case, in full-width letters too, with spaces and
    /// punctuation as people write them (`Resend #12.`, `« STOP »`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let folded: String = text.chars().map(fold).collect();
        let mut words = folded.split(is_between).filter(|word| !word.is_empty());
        let (first, second) = (words.next()?, words.next());
        if words.next().is_some() {
            return None;
        }
        match (first, second) {
            ("STOP", None) => Some(Self::Stop),
            ("START", None) => Some(Self::Start),
            ("RESEND", Some(digits)) => number(digits),
            (joined, None) => number(joined.strip_prefix("RESEND")?),
            _ => None,
        }
    }
}

fn number(digits: &str) -> Option<Keyword> {
    let sound = (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| sound && *number > 0)?;
    Some(Keyword::Resend { number })
}

/// A capital letter of the basic alphabet for each of its other forms.
fn fold(letter: char) -> char {
    /// Full-width forms lie this far from ASCII, in its order.
    const WIDE: u32 = 0xfee0;
    let narrow = match letter {
        '！'..='～' => char::from_u32(letter as u32 - WIDE).unwrap_or(letter),
        other => other,
    };
    narrow.to_ascii_uppercase()
}

/// What may stand around and between the words: white space, punctuation, and marks of direction that cannot be seen.
fn is_between(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_ascii_punctuation()
        || matches!(
            letter,
            '«' | '»'
                | '“'
                | '”'
                | '„'
                | '‘'
                | '’'
                | '–'
                | '—'
                | '…'
                | '¡'
                | '¿'
                | '№'
                | '、'
                | '。'
                | '،'
                | '؟'
                | '।'
        )
        || matches!(letter, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::{DetectError, detect};
    use crate::ids::{Language, Timestamp};
    use crate::sms_text::Notice;

    const TWELVE: Option<Keyword> = Some(Keyword::Resend { number: 12 });

    #[test]
    fn people_may_write_the_words_as_they_like() {
        for text in [
            "RESEND 12",
            "resend 12",
            "Resend #12",
            "RESEND12",
            " resend\n 12 . ",
            "\"RESEND 12\"",
            "« Resend 12 »",
            "RESEND:012",
            "ＲＥＳＥＮＤ　１２",
            "\u{200f}RESEND 12\u{200e}",
        ] {
            assert_eq!(Keyword::parse(text), TWELVE, "{text:?}");
        }
        for text in ["STOP", "stop", "Stop.", " STOP!\r\n", "«Stop»", "ｓｔｏｐ", "'STOP'"] {
            assert_eq!(Keyword::parse(text), Some(Keyword::Stop), "{text:?}");
        }
        assert_eq!(Keyword::parse("start "), Some(Keyword::Start));
        assert_eq!(Keyword::parse("RESEND 4294967295"), Some(Keyword::Resend { number: u32::MAX }));
    }

    #[test]
    fn a_private_sms_that_has_the_word_in_it_is_no_answer() {
        for text in [
            "",
            "#",
            "12",
            "RESEND",
            "RESEND 0",
            "RESEND x",
            "RESEND 1 2",
            "RESEND 12 please",
            "please RESEND 12",
            "RESEND 4294967296",
            "RESEND 00000000012",
            "RESEND ١٢",
            "STOP 12",
            "STOP it",
            "Please stop",
            "don't stop",
            "STOP STOP",
            "STOPP",
            "S T O P",
            "RESTART",
            "STOP 👍",
            "ST\u{430}RT",
        ] {
            assert_eq!(Keyword::parse(text), None, "{text:?}");
        }
        assert_eq!(Keyword::parse(&format!("STOP{}", " ".repeat(TEXT_BYTES_MAX))), None);
    }

    #[test]
    fn what_the_notices_offer_is_understood_and_is_no_payload() {
        let uncertain =
            Notice::Uncertain { platform: "mastodon".to_owned(), at: Timestamp(0), number: 12, resend: true };
        let cases = [
            (uncertain, TWELVE),
            (Notice::BridgeStarted { alias: "1@a.test".to_owned() }, Some(Keyword::Stop)),
            (Notice::BridgeStopped, Some(Keyword::Start)),
            (Notice::BridgeAgain { alias: "1@a.test".to_owned() }, Some(Keyword::Stop)),
        ];
        for language in [Language::EN, Language::FR] {
            for (notice, expected) in &cases {
                let text = notice.text(language);
                let at = ["reply ", "Reply ", "répondez ", "Répondez "].iter().find_map(|word| text.rfind(word));
                let offered = text[at.unwrap()..].split_once(' ').unwrap().1;
                assert_eq!(Keyword::parse(offered), *expected, "{offered}");
                assert_eq!(detect(offered), Err(DetectError::NotOurs));
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = Keyword::parse(&text);
        }

        #[test]
        fn an_answer_is_never_taken_for_a_payload(
            word in "(?i)(resend|stop|start)", number in prop::option::of(any::<u32>()), around in "[ #.!\"/+=-]{0,3}"
        ) {
            let text = format!("{around}{word} {}{around}", number.map(|n| n.to_string()).unwrap_or_default());
            if Keyword::parse(&text).is_some() {
                prop_assert!(detect(&text).is_err(), "{}", text);
            }
        }
    }
}
