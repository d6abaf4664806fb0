//! Comma-separated tables with a header, read so that every complaint names line and column.

use std::collections::BTreeMap;
use std::fmt;

/// Rows of one table: nobody has more nodes than this, and no timeline more events.
const ROWS_MAX: usize = 100_000;

/// What is wrong with a table, and where (both from 1; the column is that of the character).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct CsvError {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}

/// One field and where it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Without quotes, and without spaces around it.
    pub text: String,
    line: usize,
    column: usize,
}

impl Field {
    /// A complaint about this field.
    pub fn problem(&self, problem: impl fmt::Display) -> CsvError {
        CsvError { line: self.line, column: self.column, problem: problem.to_string() }
    }
}

/// A row: its fields by the names of the header.
#[derive(Clone, Debug)]
pub struct Row {
    fields: BTreeMap<String, Field>,
    end: Field,
}

impl Row {
    /// A field that has to be there.
    ///
    /// # Errors
    /// When it is empty or its column is missing.
    pub fn need(&self, name: &str) -> Result<&Field, CsvError> {
        let field = self.fields.get(name).ok_or_else(|| self.end.problem(format!("there is no column `{name}`")))?;
        if field.text.is_empty() { Err(field.problem(format!("`{name}` is empty"))) } else { Ok(field) }
    }

    /// A field that may be left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.get(name).filter(|field| !field.text.is_empty())
    }

    /// Reads a field that may be left out.
    ///
    /// # Errors
    /// When `read` refuses it.
    pub fn read<T, E: fmt::Display>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, CsvError> {
        self.get(name).map(|field| read(&field.text).map_err(|error| field.problem(error))).transpose()
    }
}

/// Reads a table. Columns may stand in any order; with `known`, others than these are refused.
///
/// # Errors
/// When it is no table.
pub fn rows(text: &str, known: Option<&[&str]>) -> Result<Vec<Row>, CsvError> {
    let mut records = records(text)?.into_iter();
    let header = records.next().unwrap_or_default();
    let Some(first) = header.first().filter(|first| header.len() > 1 || !first.text.is_empty()) else {
        return Err(CsvError { line: 1, column: 1, problem: "a header is missing".to_owned() });
    };
    for (n, name) in header.iter().enumerate() {
        if known.is_some_and(|known| !known.contains(&name.text.as_str())) {
            let known = known.unwrap_or_default().join(", ");
            return Err(name.problem(format!("no column is called `{}`; there are {known}", name.text)));
        }
        if header.iter().take(n).any(|other| other.text == name.text) {
            return Err(name.problem(format!("the column `{}` is there twice", name.text)));
        }
    }
    let mut rows = Vec::new();
    for record in records {
        let end = record.last().cloned().unwrap_or_else(|| first.clone());
        if record.len() != header.len() {
            return Err(end.problem(format!("{} fields, where the header has {}", record.len(), header.len())));
        }
        if rows.len() >= ROWS_MAX {
            return Err(end.problem(format!("more than {ROWS_MAX} rows")));
        }
        let fields = header.iter().map(|name| name.text.clone()).zip(record).collect();
        rows.push(Row { fields, end });
    }
    Ok(rows)
}

/// The records of a text; empty lines and lines that begin with `#` are none.
fn records(text: &str) -> Result<Vec<Vec<Field>>, CsvError> {
    let mut records = Vec::new();
    let mut scanner =
        Scanner { chars: text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable(), line: 1, column: 1 };
    while let Some(next) = scanner.chars.peek().copied() {
        if matches!(next, '\n' | '\r') {
            scanner.next();
        } else if next == '#' {
            while scanner.next().is_some_and(|c| c != '\n') {}
        } else {
            records.push(scanner.record()?);
        }
    }
    Ok(records)
}

struct Scanner<'t> {
    chars: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
    column: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn record(&mut self) -> Result<Vec<Field>, CsvError> {
        let mut fields = vec![self.field()?];
        while self.chars.peek() == Some(&',') {
            self.next();
            fields.push(self.field()?);
        }
        self.next();
        Ok(fields)
    }

    fn field(&mut self) -> Result<Field, CsvError> {
        while self.chars.peek() == Some(&' ') {
            self.next();
        }
        let mut field = Field { text: String::new(), line: self.line, column: self.column };
        if self.chars.peek() != Some(&'"') {
            while self.chars.peek().is_some_and(|c| !matches!(c, ',' | '\n' | '\r')) {
                field.text.extend(self.next());
            }
            field.text.truncate(field.text.trim_end().len());
            self.end_of_line();
            return Ok(field);
        }
        self.next();
        loop {
            match self.next() {
                Some('"') if self.chars.peek() == Some(&'"') => field.text.extend(self.next()),
                Some('"') => break,
                Some(c) => field.text.push(c),
                None => return Err(field.problem("a quote is opened and never closed")),
            }
        }
        while self.chars.peek() == Some(&' ') {
            self.next();
        }
        self.end_of_line();
        let here = Field { text: String::new(), line: self.line, column: self.column };
        match self.chars.peek() {
            None | Some(',' | '\n') => Ok(field),
            Some(_) => Err(here.problem("expected a comma or the end of the line after a quoted field")),
        }
    }

    /// Lines may end in carriage return and newline.
    fn end_of_line(&mut self) {
        if self.chars.peek() == Some(&'\r') {
            self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names_in_any_order() {
        let text = "\u{feff}name,region\r\n# ours\r\n\"a \"\"b\"\", c\" , NW\r\n\r\nd,\n";
        let rows = rows(text, Some(&["region", "name"])).unwrap();
        assert_eq!(rows[0].need("name").unwrap().text, "a \"b\", c");
        assert_eq!(rows[0].need("region").unwrap().text, "NW");
        assert!(rows[1].get("region").is_none());
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn mistakes_are_shown_with_line_and_column() {
        let at = |text: &str| rows(text, Some(&["a", "b"])).map(|_| ()).unwrap_err();
        for (text, line, column) in [
            ("", 1, 1),
            ("a,c\n", 1, 3),
            ("a,a\n", 1, 3),
            ("a,b\n1,2\n3\n", 3, 1),
            ("a,b\n1,\"2\n", 2, 3),
            ("a,b\n\"1\"x,2\n", 2, 4),
        ] {
            let error = at(text);
            assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
        }
        let row = rows("a,b\n1,\n", None).unwrap().remove(0);
        assert_eq!(row.need("b").unwrap_err().to_string(), "line 2, column 3: `b` is empty");
        assert_eq!(row.need("z").unwrap_err().line, 2);
    }
}
