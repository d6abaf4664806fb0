//! The two languages of reports, and numbers as each writes them.

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
}

/// Keeps a number and its unit on one line.
const NBSP: char = '\u{a0}';

impl Lang {
    /// Both.
    pub const ALL: [Self; 2] = [Self::En, Self::Fr];

    /// `en`, `fr`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.pick("en", "fr")
    }

    /// The text of this language. Both stand beside each other in the source, so that neither is forgotten.
    #[must_use]
    pub fn pick<T>(self, en: T, fr: T) -> T {
        match self {
            Self::En => en,
            Self::Fr => fr,
        }
    }

    /// Keeps signs on the line of the word before them.
    #[must_use]
    pub fn typeset(self, text: &str) -> String {
        let text = text.replace(" %", "\u{a0}%");
        self.pick(
            text.clone(),
            text.replace(" :", "\u{a0}:").replace(" ;", "\u{a0};").replace("« ", "«\u{a0}").replace(" »", "\u{a0}»"),
        )
    }

    /// A number with so many decimals.
    #[must_use]
    pub fn number(self, value: f64, decimals: usize) -> String {
        let text = format!("{value:.decimals$}");
        // No "-0.0".
        let text = if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
            text.trim_start_matches('-').to_owned()
        } else {
            text.replace('-', "−")
        };
        self.pick(text.clone(), text.replace('.', ","))
    }

    /// A share as a percentage without its sign, one decimal; more where one would round away what matters.
    #[must_use]
    pub fn percent_number(self, share: f64) -> String {
        let percent = share * 100.0;
        let near = |edge: f64| percent != edge && (percent - edge).abs() < 0.05;
        self.number(percent, if near(0.0) || near(100.0) { 3 } else { 1 })
    }

    /// A share as a percentage.
    #[must_use]
    pub fn percent(self, share: f64) -> String {
        format!("{}{NBSP}%", self.percent_number(share))
    }

    /// A difference of shares in percentage points, with its sign.
    #[must_use]
    pub fn points(self, difference: f64) -> String {
        format!("{}{NBSP}{}", self.signed(difference * 100.0, 1), self.pick("pp", "pts"))
    }

    /// A number with its sign.
    #[must_use]
    pub fn signed(self, value: f64, decimals: usize) -> String {
        let text = self.number(value, decimals);
        let zero = text.chars().all(|c| "0.,".contains(c));
        if value > 0.0 && !zero { format!("+{text}") } else { text }
    }

    /// A length of time as people say it.
    #[must_use]
    pub fn duration(self, seconds: f64) -> String {
        let (value, unit) = match seconds.abs() {
            s if s < 90.0 => (seconds, "s"),
            s if s < 5_400.0 => (seconds / 60.0, "min"),
            s if s < 172_800.0 => (seconds / 3_600.0, "h"),
            _ => (seconds / 86_400.0, self.pick("days", "jours")),
        };
        let decimals = usize::from(value.abs() < 10.0 && (value - value.round()).abs() > 0.05);
        format!("{}{NBSP}{unit}", self.number(value, decimals))
    }

    /// A count with its thousands apart.
    #[must_use]
    pub fn count(self, value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::new();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n).is_multiple_of(3) {
                text.push(self.pick(',', '\u{202f}'));
            }
            text.push(digit);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_language() {
        assert_eq!(Lang::En.percent(0.9612), "96.1\u{a0}%");
        assert_eq!(Lang::Fr.percent(0.9612), "96,1\u{a0}%");
        assert_eq!(Lang::En.percent(0.99998), "99.998\u{a0}%", "not 100");
        assert_eq!(
            (Lang::En.percent_number(1.0), Lang::En.percent_number(0.0)),
            ("100.0".to_owned(), "0.0".to_owned())
        );
        assert_eq!(Lang::En.points(-0.012), "−1.2\u{a0}pp");
        assert_eq!(Lang::Fr.points(0.2), "+20,0\u{a0}pts");
        assert_eq!(Lang::En.number(-0.001, 1), "0.0");
        assert_eq!(Lang::En.duration(90.0), "1.5\u{a0}min");
        assert_eq!(Lang::Fr.duration(259_200.0), "3\u{a0}jours");
        assert_eq!(Lang::En.count(1_234_567), "1,234,567");
        assert_eq!(Lang::Fr.count(999), "999");
    }
}
