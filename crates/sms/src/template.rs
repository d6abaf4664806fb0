//! Texts with placeholders, filled so that a value can never leave its place: the place decides
//! the escaping.

use crate::Sms;

/// How values are written into a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Inside a JSON string; the template writes the quotes.
    Json,
    /// Percent-encoded, as in a form body or anywhere in a URL.
    Percent,
    /// As it is, single line: for plain-text bodies.
    Plain,
    /// Printable ASCII only: for headers.
    Header,
}

/// A template or the rest of a port's configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A name in braces that is none of the four.
    #[error("{0}: only {{to}}, {{to_digits}}, {{text}} and {{id}} can stand in braces")]
    Placeholder(&'static str),
    /// The URL is not one that the egress client opens, or its host has a placeholder.
    #[error("url is refused by the egress client or has a placeholder in its host")]
    Url,
    /// No rule for escaping is known for this content type.
    #[error("content_type must be json, a form, or text/plain")]
    ContentType,
    /// The body is not JSON once it is filled.
    #[error("body is not json; placeholders stand inside quotes")]
    Body,
    /// No status would count as success.
    #[error("success_statuses must be between 200 and 299, and at least one")]
    Statuses,
    /// A header that HTTP does not allow.
    #[error("headers: a name or value is not allowed in http")]
    Header,
    /// Two ways to log in at once, or half of one.
    #[error("set either bearer or both username and password, or none")]
    Login,
    /// Neither number nor text would reach the provider.
    #[error("url and body together must contain {{text}} and {{to}} or {{to_digits}}")]
    Useless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    To,
    ToDigits,
    Text,
    Id,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Fixed(String),
    Value(Name),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    escape: Escape,
}

impl Template {
    /// Finds `{to}`, `{to_digits}`, `{text}`, `{id}`. In JSON a brace that is not followed by a
    /// lower-case word and a closing brace is the JSON's own.
    pub(crate) fn parse(field: &'static str, text: &str, escape: Escape) -> Result<Self, ConfigError> {
        let mut pieces = Vec::new();
        let mut fixed = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, tail) = rest.split_at(start);
            fixed.push_str(before);
            let Some(word) = word(tail) else {
                fixed.push('{');
                rest = tail.strip_prefix('{').unwrap_or_default();
                continue;
            };
            let name = name(word).ok_or(ConfigError::Placeholder(field))?;
            pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
            pieces.push(Piece::Value(name));
            rest = tail.split_once('}').map(|(_, after)| after).unwrap_or_default();
        }
        fixed.push_str(rest);
        pieces.push(Piece::Fixed(fixed));
        Ok(Self { pieces, escape })
    }

    /// Whether number and text are in it.
    pub(crate) fn names(&self) -> (bool, bool) {
        let has = |name: Name| self.pieces.contains(&Piece::Value(name));
        (has(Name::To) || has(Name::ToDigits), has(Name::Text))
    }

    /// Whether the SMS's own id is in it.
    pub(crate) fn has_id(&self) -> bool {
        self.pieces.contains(&Piece::Value(Name::Id))
    }

    /// Fills it in. None if a value cannot stand where it should.
    pub(crate) fn fill(&self, sms: &Sms<'_>) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => filled.push_str(text),
                Piece::Value(name) => filled.push_str(&escaped(value(*name, sms), self.escape)?),
            }
        }
        Some(filled)
    }
}

/// The lower-case word in the braces at the start of `tail`.
fn word(tail: &str) -> Option<&str> {
    let (word, _) = tail.strip_prefix('{')?.split_once('}')?;
    let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    plain.then_some(word)
}

fn name(word: &str) -> Option<Name> {
    match word {
        "to" => Some(Name::To),
        "to_digits" => Some(Name::ToDigits),
        "text" => Some(Name::Text),
        "id" => Some(Name::Id),
        _ => None,
    }
}

fn value<'a>(name: Name, sms: &Sms<'a>) -> &'a str {
    match name {
        Name::To => sms.to,
        Name::ToDigits => sms.to.trim_start_matches('+'),
        Name::Text => sms.text,
        Name::Id => sms.id,
    }
}

fn escaped(value: &str, escape: Escape) -> Option<String> {
    match escape {
        Escape::Json => {
            let quoted = serde_json::to_string(value).ok()?;
            let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
            Some(inner.to_owned())
        }
        Escape::Percent => {
            Some(url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20"))
        }
        Escape::Plain => Some(value.to_owned()),
        Escape::Header => value.bytes().all(|b| b.is_ascii_graphic()).then(|| value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sms(text: &str) -> Sms<'_> {
        Sms { to: "+237600000000", text, id: "i-1", at_ms: 0 }
    }

    #[test]
    fn placeholders_are_found_and_other_braces_stay() {
        let template = Template::parse("body", r#"{"a":{"b":"{text}"},"c":"{to_digits}{id}{}"}"#, Escape::Json);
        let filled = template.unwrap().fill(&sms("x\"}\n")).unwrap();
        assert_eq!(filled, r#"{"a":{"b":"x\"}\n"},"c":"237600000000i-1{}"}"#);
        let typo = Template::parse("body", "{txet}", Escape::Json);
        assert_eq!(typo.unwrap_err(), ConfigError::Placeholder("body"));
    }

    #[test]
    fn headers_take_no_texts() {
        let template = Template::parse("headers", "{text}", Escape::Header).unwrap();
        assert_eq!(template.fill(&sms("a\r\nb: c")), None);
        assert_eq!(template.fill(&sms("abc")).unwrap(), "abc");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_template_parses_or_fails_without_panic(text in "[{}a-z\"é_]{0,40}") {
            if let Ok(template) = Template::parse("body", &text, Escape::Json) {
                prop_assert!(template.fill(&sms("x")).is_some());
            }
        }

        #[test]
        fn a_text_comes_out_of_json_and_forms_as_it_went_in(text in "(\\PC|[\\x00-\\x1f\"\\\\&=%+{}]){0,60}") {
            let json = Template::parse("body", r#"{"t":"{text}","to":"{to}"}"#, Escape::Json).unwrap();
            let read: serde_json::Value = serde_json::from_str(&json.fill(&sms(&text)).unwrap()).unwrap();
            prop_assert_eq!(read["t"].as_str().unwrap(), &text);
            prop_assert_eq!(read.as_object().unwrap().len(), 2);
            let form = Template::parse("body", "T={text}&To={to}", Escape::Percent).unwrap();
            let filled = form.fill(&sms(&text)).unwrap();
            let pairs: Vec<_> = url::form_urlencoded::parse(filled.as_bytes()).into_owned().collect();
            let expected = [("T".to_owned(), text), ("To".to_owned(), "+237600000000".to_owned())];
            prop_assert_eq!(pairs, expected);
        }
    }
}
