//! Splitting a text into posts: at words, each within the platform's limit, numbered when there are several.

/// Room for the suffix ` (i/n)`.
const SUFFIX_ROOM: usize = 10;
/// Longest thread: more than 255 image-text segments can hold.
const POSTS_MAX: usize = 200;

/// The posts of `text`, each at most `limit` characters (Unicode scalar values, as the existing servers count).
/// Empty text is one empty post; a text that would need too many posts is `None`.
pub(super) fn split(text: &str, limit: usize) -> Option<Vec<String>> {
    if text.chars().count() <= limit {
        return Some(vec![text.to_owned()]);
    }
    let room = limit.checked_sub(SUFFIX_ROOM).filter(|room| *room > 0)?;
    let chunks = wrap(text, room);
    if chunks.len() > POSTS_MAX {
        return None;
    }
    let n = chunks.len();
    Some(chunks.into_iter().enumerate().map(|(i, chunk)| format!("{chunk} ({}/{n})", i + 1)).collect())
}

/// Lines of at most `room` characters; breaks at white space where there is some.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while rest.chars().count() > room {
        let hard = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
        let head = &rest[..hard];
        let at_space = rest[hard..].starts_with(char::is_whitespace);
        let soft = if at_space { Some(hard) } else { head.rfind(char::is_whitespace).filter(|at| *at > 0) };
        let cut = soft.unwrap_or(hard);
        chunks.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() {
        chunks.push(rest.to_owned());
    }
    chunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_texts_stay_whole_and_long_ones_break_at_words() {
        assert_eq!(split("", 20), Some(vec![String::new()]));
        assert_eq!(split("hello", 20), Some(vec!["hello".to_owned()]));
        let posts = split("one two three four five six", 20).unwrap();
        assert_eq!(posts, ["one two (1/3)", "three four (2/3)", "five six (3/3)"]);
    }

    proptest! {
        #[test]
        fn posts_keep_the_limit_and_every_word(words in prop::collection::vec("\\PC{1,40}", 0..80), limit in 20usize..600) {
            let text = words.join(" ");
            if let Some(posts) = split(&text, limit) {
                for post in &posts {
                    prop_assert!(post.chars().count() <= limit);
                }
                let all: String = posts.iter().map(|p| match posts.len() {
                    1 => p.as_str(),
                    _ => p.rsplit_once(" (").map_or(p.as_str(), |(head, _)| head),
                }).collect();
                let squeeze = |s: &str| s.split_whitespace().collect::<String>();
                prop_assert_eq!(squeeze(&all), squeeze(&text));
            }
        }
    }
}
