//! Expressions over labels, by which faults choose: `region in ["NW", "SW"] and not group == "vps"`.

use std::fmt;

/// What an expression asks of a node or a gateway client: the value of a label, if it has one.
pub trait Labelled {
    /// The value of `region`, `provider`, `operator`, `jurisdiction`, `group` or `kind` (`node`, `gateway`, `people`).
    fn label(&self, name: &str) -> Option<&str>;
}

/// Names that an expression may use.
pub const LABELS: [&str; 6] = ["region", "provider", "operator", "jurisdiction", "group", "kind"];

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Everything.
    All,
    /// The label has one of these values.
    In(String, Vec<String>),
    /// Not this.
    Not(Box<Filter>),
    /// All of these.
    And(Vec<Filter>),
    /// One of these.
    Or(Vec<Filter>),
}

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}` at character {at}: {problem}")]
pub struct FilterError {
    /// The whole expression.
    pub expression: String,
    /// Where, from 1.
    pub at: usize,
    /// What is wrong, and what could stand there.
    pub problem: String,
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none, with the place.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { text, at: 0 };
        let filter = parser.any()?;
        parser.space();
        if parser.at < text.len() { Err(parser.problem("expected `and`, `or` or the end")) } else { Ok(filter) }
    }

    /// Whether it chooses this one. A label that somebody does not have equals nothing.
    #[must_use]
    pub fn chooses(&self, who: &impl Labelled) -> bool {
        match self {
            Self::All => true,
            Self::In(label, values) => who.label(label).is_some_and(|value| values.iter().any(|other| other == value)),
            Self::Not(inner) => !inner.chooses(who),
            Self::And(all) => all.iter().all(|filter| filter.chooses(who)),
            Self::Or(any) => any.iter().any(|filter| filter.chooses(who)),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl Parser<'_> {
    fn problem(&self, problem: impl fmt::Display) -> FilterError {
        let at = self.text[..self.at].chars().count() + 1;
        FilterError { expression: self.text.to_owned(), at, problem: problem.to_string() }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let word = token.chars().all(char::is_alphanumeric);
        let Some(after) = self.rest().strip_prefix(token) else { return false };
        if word && after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.at += token.len();
        true
    }

    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all()?];
        while self.eat("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.one()?];
        while self.eat("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        if self.eat("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.eat("(") {
            let inner = self.any()?;
            return if self.eat(")") { Ok(inner) } else { Err(self.problem("expected `)`")) };
        }
        let label = self.label()?;
        if self.eat("==") {
            return Ok(Filter::In(label, vec![self.value()?]));
        }
        if self.eat("!=") {
            return Ok(Filter::Not(Box::new(Filter::In(label, vec![self.value()?]))));
        }
        if !self.eat("in") {
            return Err(self.problem("expected `==`, `!=` or `in`"));
        }
        if !self.eat("[") {
            return Err(self.problem("expected `[`"));
        }
        let mut values = vec![self.value()?];
        while self.eat(",") {
            values.push(self.value()?);
        }
        if self.eat("]") { Ok(Filter::In(label, values)) } else { Err(self.problem("expected `,` or `]`")) }
    }

    fn label(&mut self) -> Result<String, FilterError> {
        self.space();
        let end = self.rest().find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        let name = self.rest()[..end].to_owned();
        if !LABELS.contains(&name.as_str()) {
            return Err(self.problem(format!("expected a label ({})", LABELS.join(", "))));
        }
        self.at += end;
        Ok(name)
    }

    fn value(&mut self) -> Result<String, FilterError> {
        self.space();
        let quoted = self.rest().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let Some(value) = quoted.map(|(value, _)| value.to_owned()) else {
            return Err(self.problem("expected a value in double quotes"));
        };
        self.at += value.len() + 2;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Node(&'static str, &'static str);

    impl Labelled for Node {
        fn label(&self, name: &str) -> Option<&str> {
            match name {
                "region" => Some(self.0),
                "group" => Some(self.1),
                _ => None,
            }
        }
    }

    #[test]
    fn expressions_choose() {
        let chooses = |text: &str, node: &Node| Filter::parse(text).unwrap().chooses(node);
        let (pi, vps) = (Node("NW", "pi"), Node("abroad", "vps"));
        assert!(chooses(r#"region in ["NW","SW"]"#, &pi));
        assert!(!chooses(r#"region in ["NW","SW"] and group == "vps""#, &pi));
        assert!(chooses(r#"region == "SW" or not group != "vps""#, &vps));
        assert!(chooses(r#"not (region == "NW" and group == "pi")"#, &vps));
        assert!(!chooses(r#"provider == "a""#, &pi), "a label that is not there equals nothing");
    }

    #[test]
    fn mistakes_are_shown_with_their_place() {
        for (text, at) in [
            ("", 1),
            ("regio == \"NW\"", 1),
            ("region \"NW\"", 8),
            ("region == NW", 11),
            ("region in [\"NW\"", 16),
            ("(region == \"NW\"", 16),
            ("region == \"NW\" group == \"pi\"", 16),
            ("region == \"NW", 11),
        ] {
            assert_eq!(Filter::parse(text).unwrap_err().at, at, "{text}");
        }
    }
}
