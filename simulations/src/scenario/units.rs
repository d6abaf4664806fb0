//! Units as people write them: `"93d"`, `"6h"`, `"90s"`, `"20ms"`; `"5%"` or `0.05`; `"30/30m"`; `"20kbit/s"`.

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

/// Bits per second, at least one; written `"20kbit/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(u64);

impl BitRate {
    /// So many bits per second; none for 0, and for more than any line carries.
    #[must_use]
    pub fn new(bits: u64) -> Option<Self> {
        (1..=BITS_MAX).contains(&bits).then_some(Self(bits))
    }

    /// How long so many bytes take, in whole microseconds, rounded up.
    #[must_use]
    pub fn time(self, bytes: u64) -> Span {
        let micros = (u128::from(bytes) * 8 * 1_000_000).div_ceil(u128::from(self.0));
        Span(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Units of rates in bits per second, longest first.
const BIT_UNITS: [(&str, u64); 4] = [("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000), ("bit/s", 1)];
/// The fastest line.
const BITS_MAX: u64 = 1_000_000_000_000;

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

/// Reads `20kbit/s` and `1.5Mbit/s`, in whole numbers: every machine must read the same.
pub fn parse_bit_rate(text: &str) -> Result<BitRate, String> {
    let problem = || format!("`{text}` is no rate of a line; write for example \"20kbit/s\" or \"1.5Mbit/s\"");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(problem)?;
    let (number, unit) = trimmed.split_at(end);
    let unit = BIT_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(problem)?.1;
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
        Some(_) => return Err(problem()),
        None => (number, ""),
    };
    if whole.is_empty() || whole.len() + decimals.len() > 18 {
        return Err(problem());
    }
    let scaled: u64 = format!("{whole}{decimals}").parse().map_err(|_| problem())?;
    // At most 18 digits, so both fit.
    let (scaled, scale) = (u128::from(scaled) * u128::from(unit), 10_u128.pow(decimals.len() as u32));
    if scaled % scale != 0 {
        return Err(format!("`{text}` is no whole number of bits per second"));
    }
    let rate = u64::try_from(scaled / scale).ok().and_then(BitRate::new);
    rate.ok_or_else(|| format!("`{text}` is not between 1bit/s and 1000Gbit/s; nothing at all is `internet_cut`"))
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

impl<'de> Deserialize<'de> for BitRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_bit_rate(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for BitRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}bit/s", self.0))
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

impl JsonSchema for BitRate {
    fn schema_name() -> Cow<'static, str> {
        "BitRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "description": "What a line carries.",
            "pattern": r"^[0-9]+(\.[0-9]+)?(|k|M|G)bit/s$", "examples": ["20kbit/s", "1.5Mbit/s"],
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
        assert_eq!(parse_bit_rate("20kbit/s"), Ok(BitRate(20_000)));
        assert_eq!(parse_bit_rate("1.5Mbit/s"), Ok(BitRate(1_500_000)));
        assert_eq!(parse_bit_rate(" 1000Gbit/s"), Ok(BitRate(BITS_MAX)));
        assert_eq!(parse_bit_rate("7bit/s"), Ok(BitRate(7)));
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
        let near =
            ["20kbit", "20 kbit/s", "0bit/s", "-1bit/s", "0.5bit/s", "1.5bit/s", ".5Mbit/s", "5.Mbit/s", "1.2.3kbit/s"];
        for text in ["", "20", "kbit/s"].into_iter().chain(near) {
            assert!(parse_bit_rate(text).is_err(), "{text}");
        }
        assert!(parse_bit_rate("999999999999999999Gbit/s").is_err() && parse_bit_rate("1001Gbit/s").is_err());
        assert!(parse_span("93").unwrap_err().contains("\"93d\""));
        assert!(parse_bit_rate("20kbps").unwrap_err().contains("\"20kbit/s\""));
    }

    #[test]
    fn bytes_take_their_time_on_a_line_and_never_less() {
        let slow = parse_bit_rate("20kbit/s").unwrap();
        assert_eq!(slow.time(2_500), Span::secs(1));
        assert_eq!((slow.time(0), slow.time(1)), (Span::ZERO, Span(400)));
        assert_eq!(parse_bit_rate("3bit/s").unwrap().time(1), Span(2_666_667), "rounded up");
        assert_eq!(parse_bit_rate("1bit/s").unwrap().time(u64::MAX), Span(u64::MAX));
    }

    #[test]
    fn a_rate_reads_back_as_it_was_written() {
        for text in ["\"20kbit/s\"", "\"1.5Mbit/s\"", "\"1bit/s\""] {
            let rate: BitRate = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::from_str::<BitRate>(&serde_json::to_string(&rate).unwrap()).unwrap(), rate);
        }
    }
}
