//! What a scenario expects of its figures: `"delivered.72h" = ">= 95%"`.

use std::fmt;

use super::units::parse_span;

/// How a figure and a value are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as their signs")]
pub enum Comparison {
    AtLeast,
    AtMost,
    More,
    Less,
    Equal,
    Unequal,
}

/// Signs, the longer ones first.
const SIGNS: [(&str, Comparison); 6] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    (">", Comparison::More),
    ("<", Comparison::Less),
];

/// One expectation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// How.
    pub comparison: Comparison,
    /// With what: shares between 0 and 1, times in seconds.
    pub value: f64,
}

impl Expectation {
    /// Reads `>= 95%`, `<= 6h`, `== 0`, `> 2pp`.
    ///
    /// # Errors
    /// When it is no expectation, with an example.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sign = SIGNS.iter().find(|(sign, _)| text.trim_start().starts_with(sign));
        let (sign, comparison) =
            sign.ok_or_else(|| format!("`{text}` has no comparison; write for example \">= 95%\" or \"<= 6h\""))?;
        let value = parse_quantity(text.trim_start().trim_start_matches(sign))?;
        Ok(Self { comparison: *comparison, value })
    }

    /// Whether a figure of this value is as expected. Equality is to a billionth, since means are sums of fractions.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        let equal = (value - self.value).abs() <= 1e-9;
        match self.comparison {
            Comparison::AtLeast => value >= self.value || equal,
            Comparison::AtMost => value <= self.value || equal,
            Comparison::More => value > self.value && !equal,
            Comparison::Less => value < self.value && !equal,
            Comparison::Equal => equal,
            Comparison::Unequal => !equal,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, comparison)| comparison == self).map_or("", |(sign, _)| sign);
        f.write_str(sign)
    }
}

/// A plain number, a share (`95%`), percentage points (`0.5pp`) or a length of time (`6h`, in seconds).
///
/// # Errors
/// When it is none of these.
pub fn parse_quantity(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let problem = || format!("`{text}` is no value; write for example \"95%\", \"0.5pp\", \"6h\" or \"0\"");
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    if let Some(percent) = text.strip_suffix('%').or_else(|| text.strip_suffix("pp")) {
        return number(percent).map(|percent| percent / 100.0).ok_or_else(problem);
    }
    number(text).or_else(|| parse_span(text).ok().map(crate::kernel::Span::as_secs_f64)).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_units_read_as_people_write_them() {
        let expect = |text: &str| Expectation::parse(text).unwrap();
        assert!(expect(">= 95%").holds(0.95) && !expect(">= 95%").holds(0.949));
        assert!(expect("<= 6h").holds(21_600.0) && !expect("<= 6h").holds(21_601.0));
        assert!(expect("== 0").holds(0.0) && !expect("== 0").holds(1e-6));
        assert!(expect("> 2pp").holds(0.021) && !expect("> 2pp").holds(0.02));
        assert!(expect("!= 0").holds(0.1) && expect("<1").holds(0.5) && !expect("<1").holds(1.0));
        for text in ["95%", ">= ", ">= much", "=> 3", ">= nan", ">= inf"] {
            assert!(Expectation::parse(text).is_err(), "{text}");
        }
    }
}
