//! The base64 of SMS texts: read leniently, because phones wrap it and SMS hops add spaces; written strictly.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Most bytes of one text that is looked at: 63 KiB of payload are 86 KiB of wrapped base64, and hops add a little.
pub const TEXT_BYTES_MAX: usize = 96 * 1024;

/// Columns after which Android's `Base64.DEFAULT` breaks the line.
const ANDROID_COLUMNS: usize = 76;

/// Padding is dropped with all else that is no letter, and some encoders leave junk in the last letter's unused bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a text has no bytes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("text is {len} bytes long, at most {TEXT_BYTES_MAX} are read")]
    TooLong {
        /// Bytes of the text.
        len: usize,
    },
    /// One letter too many: the end of the text was lost.
    #[error("base64 is cut off: {letters} letters are no whole number of bytes")]
    Dangling {
        /// Letters of the base64 alphabet in the text.
        letters: usize,
    },
}

/// Whether `c` is one of the 64 letters.
#[must_use]
pub fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '+' || c == '/'
}

/// The letters of `text`, without line breaks, blanks, padding and anything else.
#[must_use]
pub fn letters(text: &str) -> String {
    let mut letters = String::with_capacity(text.len());
    // Runs of letters are long: most texts are one.
    for run in text.split(|c| !is_letter(c)) {
        letters.push_str(run);
    }
    letters
}

/// The bytes of `text`; whatever is no letter is skipped, and missing padding is fine.
///
/// # Errors
/// When the text is too long, or ends inside a byte.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Base64Error::TooLong { len: text.len() });
    }
    let letters = letters(text);
    LENIENT.decode(&letters).map_err(|_| Base64Error::Dangling { letters: letters.len() })
}

/// One line, padded.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    LENIENT.encode(bytes)
}

/// As Android's `Base64.DEFAULT`: a line break after every 76 letters and at the end; nothing for no bytes.
#[must_use]
pub fn encode_wrapped(bytes: &[u8]) -> String {
    let line = encode(bytes);
    let mut text = String::with_capacity(line.len() + line.len() / ANDROID_COLUMNS + 1);
    for (at, letter) in line.chars().enumerate() {
        if at > 0 && at % ANDROID_COLUMNS == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_phones_and_hops_make_of_it() {
        for text in ["AQID", "AQ\r\nID", " A Q I D ", "AQID\n", "A-Q_ID\u{a0}"] {
            assert_eq!(decode(text), Ok(vec![1, 2, 3]), "{text:?}");
        }
        for text in ["AQI=", "AQI", "AQJ"] {
            assert_eq!(decode(text), Ok(vec![1, 2]), "{text:?}");
        }
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(decode("AQIDA"), Err(Base64Error::Dangling { letters: 5 }));
    }

    #[test]
    fn an_endless_text_is_refused() {
        let len = TEXT_BYTES_MAX + 1;
        assert_eq!(decode(&"A".repeat(len)), Err(Base64Error::TooLong { len }));
    }

    #[test]
    fn lines_break_after_76_letters() {
        let text = encode_wrapped(&[0; 58]);
        let lines: Vec<usize> = text.split('\n').map(str::len).collect();
        assert_eq!(lines, [76, 4, 0]);
        assert_eq!(encode_wrapped(&[0; 57]).matches('\n').count(), 1);
        assert_eq!(encode_wrapped(&[]), "");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = decode(&text);
        }

        #[test]
        fn both_encodings_read_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes.clone()));
            prop_assert_eq!(decode(&encode_wrapped(&bytes)), Ok(bytes));
        }
    }
}
