//! Units as people write them: `"93d"`, `"6h"`, `"90s"`, `"20ms"`; `"5%"` or `0.05`; `"30/30m"`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kernel::Span;

/// A share or probability between 0 and 1; written `"5%"` or `0.05`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// So many in each window; written `"30/30m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In each window of this length.
    pub window: Span,
}

/// Units of time in microseconds, longest first.
const UNITS: [(&str, u64); 6] =
    [("ms", 1_000), ("us", 1), ("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)];

/// Reads `93d`, `1.5h`, `20ms`.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let problem = || format!("`{text}` is no length of time; write for example \"93d\", \"6h\", \"90s\" or \"20ms\"");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(problem)?;
    let number: f64 = text[..digits].parse().map_err(|_| problem())?;
    let unit = UNITS.iter().find(|(name, _)| *name == &text[digits..]).ok_or_else(problem)?;
    #[allow(clippy::cast_precision_loss, reason = "units are small")]
    let seconds = number * unit.1 as f64 / 1e6;
    if seconds > 1e10 {
        return Err(format!("`{text}` is longer than any study"));
    }
    Ok(Span::from_secs_f64(seconds))
}

/// Reads `5%` and `0.05`.
pub fn parse_share(text: &str) -> Result<Share, String> {
    let problem = || format!("`{text}` is no share; write for example \"5%\" or 0.05");
    let text = text.trim();
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map_err(|_| problem())? / 100.0,
        None => text.parse().map_err(|_| problem())?,
    };
    if (0.0..=1.0).contains(&value) { Ok(Share(value)) } else { Err(format!("`{text}` is not between 0% and 100%")) }
}

/// Reads `30/30m`.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let problem = || format!("`{text}` is no rate; write for example \"30/30m\"");
    let (count, window) = text.split_once('/').ok_or_else(problem)?;
    let count = count.trim().parse().map_err(|_| problem())?;
    let window = parse_span(window)?;
    if count == 0 || window == Span::ZERO { Err(problem()) } else { Ok(Rate { count, window }) }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a share such as \"5%\" or 0.05")]
        enum Raw {
            Number(f64),
            Text(String),
        }
        let text = match Raw::deserialize(deserializer)? {
            Raw::Number(number) => number.to_string(),
            Raw::Text(text) => text,
        };
        parse_share(&text).map_err(D::Error::custom)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_rate(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}us", self.count, self.window.0))
    }
}

/// What a length of time looks like in a scenario, for its schema.
pub struct SpanText;

impl JsonSchema for SpanText {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "description": "A length of time.",
            "pattern": r"^[0-9]+(\.[0-9]+)?(d|h|m|s|ms|us)$", "examples": ["93d", "6h", "20ms"],
        })
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share or probability.", "examples": ["5%", 0.05],
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 },
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$" },
            ],
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "description": "So many in each window of time.",
            "pattern": r"^[1-9][0-9]*/[0-9]+(\.[0-9]+)?(d|h|m|s|ms|us)$", "examples": ["30/30m"],
        })
    }
}

/// For `#[serde(with = "span")]`: a [`Span`] as text.
pub mod span {
    use super::{Deserialize, Deserializer, Serializer, Span, parse_span};

    /// Reads.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        parse_span(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }

    /// Writes whole microseconds, which reads back exactly.
    pub fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}us", span.0))
    }

    /// The same for a span that may be missing.
    pub mod option {
        use super::{Deserialize, Deserializer, Serializer, Span, parse_span};

        /// Reads.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| parse_span(&text).map_err(serde::de::Error::custom)).transpose()
        }

        /// Writes.
        pub fn serialize<S: Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
            match span {
                Some(span) => super::serialize(span, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_as_people_write_them() {
        assert_eq!(parse_span("93d"), Ok(Span::days(93)));
        assert_eq!(parse_span("1.5h"), Ok(Span::secs(5_400)));
        assert_eq!(parse_span("20ms"), Ok(Span::millis(20)));
        assert_eq!(parse_span("7us"), Ok(Span(7)));
        assert_eq!(parse_share("5%"), Ok(Share(0.05)));
        assert_eq!(parse_share("0.5"), Ok(Share(0.5)));
        assert_eq!(parse_rate("30/30m"), Ok(Rate { count: 30, window: Span::secs(1_800) }));
    }

    #[test]
    fn impossible_values_are_refused_with_an_example() {
        for text in ["", "93", "d", "-3d", "3 weeks", "1e9d", "99999999d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
        for text in ["", "101%", "-1%", "nan", "1.1", "x%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
        for text in ["30", "0/1h", "1/0s", "x/1h"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert!(parse_span("93").unwrap_err().contains("\"93d\""));
    }
}
