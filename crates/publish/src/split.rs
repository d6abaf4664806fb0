//! One text into the posts of a thread: word wrap within the platform's limit, ` (i/n)` behind
//! each part when there is more than one.

use std::fmt;

use zeroize::Zeroizing;

use crate::adapter::Media;

/// Characters kept free for ` (i/n)`: enough for 999 parts.
const SUFFIX_RESERVE: usize = 10;
/// What a platform of this kind counts for a web address, however short it is.
const ADDRESS_CHARS: usize = 23;
/// Smallest limit that leaves room for the suffix, a web address and a word.
const CHARS_MIN: usize = 64;

/// What one post may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    chars: usize,
    media: usize,
}

impl Limits {
    /// `chars` Unicode characters, at least 64, and `media` files, at least one.
    pub fn new(chars: usize, media: usize) -> Self {
        Self { chars: chars.max(CHARS_MIN), media: media.max(1) }
    }
}

/// One post.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Its text; may be empty if it has files.
    pub text: Zeroizing<String>,
    /// Its files.
    pub media: Vec<Media>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} files)", self.media.len())
    }
}

/// Splits. A text within the limit stays as it is; a longer one loses only the white space at the
/// cuts. Files go with the first parts. There is always at least one part.
pub fn split(text: &str, media: Vec<Media>, limits: Limits) -> Vec<Part> {
    let mut texts = vec![text.to_owned()];
    if weight(text) > limits.chars {
        texts = numbered(text, limits.chars);
    }
    let mut files = media.into_iter().peekable();
    let mut parts = Vec::new();
    let mut texts = texts.into_iter();
    loop {
        let text = texts.next();
        if text.is_none() && files.peek().is_none() {
            return parts;
        }
        let media = files.by_ref().take(limits.media).collect();
        parts.push(Part { text: Zeroizing::new(text.unwrap_or_default()), media });
    }
}

fn numbered(text: &str, chars: usize) -> Vec<String> {
    let mut reserve = SUFFIX_RESERVE;
    let lines = loop {
        let lines = wrap(text, chars - reserve);
        let needed = suffix(lines.len(), lines.len()).len();
        if needed <= reserve {
            break lines;
        }
        reserve = needed;
    };
    let count = lines.len();
    if count == 1 {
        return lines.into_iter().map(str::to_owned).collect();
    }
    let number = |(index, line): (usize, &str)| format!("{line}{}", suffix(index + 1, count));
    lines.into_iter().enumerate().map(number).collect()
}

fn suffix(index: usize, count: usize) -> String {
    format!(" ({index}/{count})")
}

/// Cuts at the last white space that fits, within a word only if the word itself does not fit.
fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while weight(head(rest, width + 1)) > width {
        let (line, after) = rest.split_at(cut(rest, width));
        lines.push(line.trim_end());
        rest = after.trim_start();
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Where to cut, in bytes: after what fits, and at least after one character.
fn cut(text: &str, width: usize) -> usize {
    let mut chars = width;
    while chars > 1 && weight(head(text, chars)) > width {
        chars -= 1;
    }
    let fits = head(text, chars);
    let ends_a_word = text[fits.len()..].starts_with(char::is_whitespace);
    match fits.rfind(char::is_whitespace) {
        Some(space) if !ends_a_word && space > 0 => space,
        _ => fits.len(),
    }
}

/// The first `chars` characters.
fn head(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(index, _)| index);
    &text[..end]
}

/// Characters as the platform counts them, never fewer: a web address counts at least 23.
fn weight(text: &str) -> usize {
    text.split(char::is_whitespace).map(word_weight).sum::<usize>() + text.chars().filter(|c| c.is_whitespace()).count()
}

fn word_weight(word: &str) -> usize {
    let chars = word.chars().count();
    let Some(start) = address_start(word) else {
        return chars;
    };
    let before = word[..start].chars().count();
    before + (chars - before).max(ADDRESS_CHARS)
}

fn address_start(word: &str) -> Option<usize> {
    let lower = word.to_ascii_lowercase();
    [lower.find("http://"), lower.find("https://")].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { chars: 500, media: 4 };

    fn texts(text: &str, limits: Limits) -> Vec<String> {
        split(text, Vec::new(), limits).iter().map(|part| part.text.to_string()).collect()
    }

    fn file() -> Media {
        Media { filename: "a.webp".into(), mimetype: "image/webp".into(), data: vec![1] }
    }

    #[test]
    fn exactly_the_limit_is_one_part_and_one_more_is_two() {
        let full = "é".repeat(500);
        assert_eq!(texts(&full, LIMITS), vec![full.clone()]);
        let two = texts(&format!("{full}x"), LIMITS);
        assert_eq!(two.len(), 2);
        assert_eq!(two[0], format!("{} (1/2)", "é".repeat(490)));
        assert_eq!(two[1], format!("{}x (2/2)", "é".repeat(10)));
    }

    #[test]
    fn words_stay_whole_and_line_breaks_inside_a_part_stay() {
        let text = format!("{}\nnext line {}", "word ".repeat(60).trim(), "more ".repeat(60));
        let parts = texts(&text, LIMITS);
        assert_eq!(parts.len(), 2);
        assert!(parts[0].contains("word\nnext line"));
        assert!(parts[0].ends_with("more (1/2)"));
    }

    #[test]
    fn a_short_address_counts_as_a_long_one() {
        let text = format!("{} http://a.co", "x".repeat(480));
        assert_eq!(text.chars().count(), 492);
        assert_eq!(texts(&text, LIMITS).len(), 2);
    }

    #[test]
    fn files_go_first_and_never_more_than_four_to_a_part() {
        let parts = split("hi", vec![file(); 9], LIMITS);
        let counts: Vec<_> = parts.iter().map(|part| part.media.len()).collect();
        assert_eq!(counts, [4, 4, 1]);
        assert_eq!(split("", Vec::new(), LIMITS).len(), 1);
    }

    #[test]
    fn a_suffix_that_outgrows_the_reserve_still_fits() {
        let text = "word ".repeat(20_000);
        let limits = Limits::new(64, 4);
        let parts = texts(&text, limits);
        assert!(parts.len() > 999);
        assert!(parts.iter().all(|part| part.chars().count() <= 64));
    }

    fn words(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_part_fits_and_nothing_is_lost(
            text in "([a-z]{1,30}|https://[a-z]{1,5}\\.co|é{600}|[ \\n\\t]{1,3}|\\PC{0,40}){0,60}",
            chars in 64_usize..600,
        ) {
            let parts = texts(&text, Limits::new(chars, 4));
            let count = parts.len();
            prop_assert!(parts.iter().all(|part| weight(part) <= chars));
            if count == 1 {
                prop_assert_eq!(words(&parts[0]), words(&text));
            } else {
                let bare = parts.iter().enumerate().map(|(index, part)| {
                    part.strip_suffix(&suffix(index + 1, count)).expect("each part is numbered")
                });
                prop_assert_eq!(words(&bare.collect::<String>()), words(&text));
            }
        }
    }
}
