//! Columns of text.

/// Rows under a head, columns two spaces apart. Control characters of names that others chose do not reach the terminal.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all: Vec<Vec<String>> = vec![head.iter().map(ToString::to_string).collect()];
    all.extend(rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect()));
    let columns = all.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &all {
        let padded =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>().join("  ");
        out.push_str(padded.trim_end());
        out.push('\n');
    }
    out
}

/// Names and values below each other.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {}\n", printable(value))).collect()
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_terminals_are_safe() {
        let rows = vec![vec!["é".to_owned(), "b".to_owned()], vec!["long".to_owned(), "\u{1b}[31mred".to_owned()]];
        assert_eq!(table(&["A", "B"], rows), "A     B\né     b\nlong  ·[31mred\n");
        assert_eq!(pairs(&[("a", "1".to_owned()), ("long", "2\n3".to_owned())]), "a     1\nlong  2·3\n");
    }
}
