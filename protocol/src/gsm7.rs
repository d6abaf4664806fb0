//! How many SMS a text costs: letters of the GSM 7-bit alphabet are packed, everything else doubles the price
//! (3GPP TS 23.038).

/// One SMS, seven bits a letter.
const SINGLE_SEPTETS: usize = 160;
/// One of several joined SMS; the header of the join takes the rest.
const JOINED_SEPTETS: usize = 153;
/// One SMS in UTF-16.
const SINGLE_UNITS: usize = 70;
/// One of several joined SMS in UTF-16.
const JOINED_UNITS: usize = 67;

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Behind an escape: two septets.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// Whether every letter is in the GSM 7-bit alphabet or its extension.
#[must_use]
pub fn is_gsm7(text: &str) -> bool {
    septets(text).is_some()
}

/// How many SMS the text takes; one for an empty text.
#[must_use]
pub fn segments(text: &str) -> usize {
    match septets(text) {
        Some(septets) => parts(septets, SINGLE_SEPTETS, JOINED_SEPTETS),
        None => parts(text.encode_utf16().count(), SINGLE_UNITS, JOINED_UNITS),
    }
}

fn parts(len: usize, single: usize, joined: usize) -> usize {
    if len <= single { 1 } else { len.div_ceil(joined) }
}

fn septets(text: &str) -> Option<usize> {
    text.chars()
        .map(|c| match c {
            c if BASIC.contains(c) => Some(1),
            c if EXTENDED.contains(c) => Some(2),
            _ => None,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_127_letters_and_ten_more() {
        assert_eq!((BASIC.chars().count(), EXTENDED.chars().count()), (127, 10));
    }

    #[test]
    fn segments_by_alphabet() {
        let cases = [
            ("a", 160, 1),
            ("a", 161, 2),
            ("a", 306, 2),
            ("a", 307, 3),
            ("€", 80, 1),
            ("€", 81, 2),
            ("ç", 70, 1),
            ("ç", 71, 2),
            ("ش", 134, 2),
            ("😀", 36, 2),
        ];
        for (letter, times, count) in cases {
            assert_eq!(segments(&letter.repeat(times)), count, "{letter} {times} times");
        }
        assert!(is_gsm7("Échec à l'été") && !is_gsm7("français"));
    }
}
