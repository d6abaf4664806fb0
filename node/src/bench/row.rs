//! A measured row: what it must be, what it is, and how both are shown.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// In the row's unit.
    AtLeast(f64),
    /// In the row's unit.
    AtMost(f64),
    /// A value, and at least this share of the baseline, on which it is judged.
    Share(f64, f64),
}

impl Budget {
    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("≥ {}", number(limit)),
            Self::AtMost(limit) => format!("≤ {}", number(limit)),
            Self::Share(limit, share) => format!("≥ {} and ≥ {} × baseline", number(limit), number(share)),
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is measured, so that it can be understood alone.
    pub name: String,
    /// Of value and baseline.
    pub unit: &'static str,
    /// What must be; nothing where the run is too small to judge.
    pub budget: Option<Budget>,
    /// What is.
    pub value: Option<f64>,
    /// The same by the barest means, in the same run.
    pub baseline: Option<f64>,
    /// What the baseline is, or why there is no value.
    pub note: String,
}

impl Row {
    /// A row that is not measured yet.
    pub fn new(name: impl Into<String>, unit: &'static str, budget: Budget) -> Self {
        Self { name: name.into(), unit, budget: Some(budget), value: None, baseline: None, note: String::new() }
    }

    /// Sets what was measured.
    pub fn set(&mut self, value: f64, baseline: Option<f64>, note: impl Into<String>) {
        self.value = Some(value);
        self.baseline = baseline;
        self.note = note.into();
    }

    /// Value over baseline.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.value? / self.baseline.filter(|baseline| *baseline > 0.0)?)
    }

    /// Whether the budget is met; nothing where that cannot be said.
    pub fn met(&self) -> Option<bool> {
        let value = self.value?;
        Some(match self.budget? {
            Budget::AtLeast(limit) => value >= limit,
            Budget::AtMost(limit) => value <= limit,
            Budget::Share(limit, share) => self.ratio().map_or(value >= limit, |ratio| ratio >= share),
        })
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "value": self.value.map(rounded), "unit": self.unit,
            "baseline": self.baseline.map(rounded), "ratio": self.ratio().map(rounded),
            "budget": self.budget.map(Budget::text), "met": self.met(),
        })
    }
}

/// The rows as one JSON array.
pub fn json(rows: &[Row]) -> Result<String> {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    serde_json::to_string_pretty(&rows).context("the rows cannot be written as JSON")
}

/// The rows as aligned text, notes below.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![["what", "value", "unit", "baseline", "ratio", "budget", "met"].map(str::to_owned)];
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    lines.extend(rows.iter().map(|row| {
        let met = row.met().map_or("–", |met| if met { "yes" } else { "NO" });
        let budget = row.budget.map_or_else(|| "–".to_owned(), Budget::text);
        let (value, baseline, ratio) = (shown(row.value), shown(row.baseline), shown(row.ratio()));
        [row.name.clone(), value, row.unit.to_owned(), baseline, ratio, budget, met.to_owned()]
    }));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text: Vec<String> = lines.iter().map(|line| aligned(line, &widths)).collect();
    let notes = rows.iter().filter(|row| !row.note.is_empty());
    text.extend(notes.map(|row| format!("  {}: {}", row.name, row.note)));
    text.join("\n")
}

/// Numbers to the right, words to the left.
fn aligned(line: &[String; 7], widths: &[usize; 7]) -> String {
    let cells = line.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        let gap = " ".repeat(width - cell.chars().count());
        if matches!(column, 1 | 3 | 4) { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// Three digits are all that a benchmark knows.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(budget: Budget, value: f64, baseline: Option<f64>) -> Row {
        let mut row = Row::new("a", "ms", budget);
        row.set(value, baseline, "");
        row
    }

    #[test]
    fn a_share_of_the_baseline_decides_where_there_is_one() {
        for (budget, value, baseline, met) in [
            (Budget::AtLeast(5.0), 5.0, None, true),
            (Budget::AtLeast(5.0), 4.9, Some(1.0), false),
            (Budget::AtMost(5.0), 5.0, Some(1.0), true),
            (Budget::AtMost(5.0), 5.1, None, false),
            (Budget::Share(5_000.0, 0.3), 300.0, Some(1_000.0), true),
            (Budget::Share(5_000.0, 0.3), 6_000.0, Some(60_000.0), false),
            (Budget::Share(5_000.0, 0.3), 6_000.0, None, true),
        ] {
            assert_eq!(row(budget, value, baseline).met(), Some(met), "{budget:?} {value} {baseline:?}");
        }
        assert_eq!(Row::new("a", "ms", Budget::AtMost(1.0)).met(), None);
    }

    #[test]
    fn what_was_not_measured_is_null_and_says_why() {
        let mut missing = Row::new("a", "ms", Budget::AtMost(1.0));
        missing.note = "not measured: no node".to_owned();
        let rows: Value = serde_json::from_str(&json(std::slice::from_ref(&missing)).unwrap()).unwrap();
        assert_eq!(rows[0]["value"], Value::Null);
        assert_eq!(rows[0]["met"], Value::Null);
        assert!(table(&[missing]).contains("a: not measured: no node"));
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&[row(Budget::AtMost(40.0), 12.34, Some(6.0)), row(Budget::AtLeast(1.0), 12_345.6, None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "a      12.3  ms           6   2.06  ≤ 40    yes");
        assert_eq!(lines[2], "a     12346  ms           –      –  ≥ 1     yes");
    }
}
