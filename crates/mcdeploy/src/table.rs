//! Tables as kubectl prints them: padded columns, two or three blanks between, no
//! borders, no trailing blanks.

/// One table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headers.
    pub(crate) fn new<const N: usize>(headers: [&str; N]) -> Self {
        Self::with_headers(headers.map(str::to_owned).into())
    }

    /// A table whose headers come from elsewhere.
    pub(crate) fn with_headers(headers: Vec<String>) -> Self {
        Self {
            rows: vec![headers],
        }
    }

    /// Adds a row. Cells without text are shown as `-`.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let shown = |cell: String| {
            let line = printable(&cell.replace('\n', " "));
            if line.is_empty() {
                "-".to_owned()
            } else {
                line
            }
        };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    /// The lines, without a line feed at the end.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths);
            let padded: Vec<String> = cells.map(|(cell, &w)| format!("{cell:<w$}")).collect();
            padded.join("   ").trim_end().to_owned()
        };
        let lines: Vec<String> = self.rows.iter().map(line).collect();
        lines.join("\n")
    }
}

/// Text without characters that a terminal would obey (escape sequences, bells, changes
/// of direction): they are written as Rust would write them.
fn printable(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_and_lines_end_without_blanks() {
        let mut table = Table::new(["NAME", "READY"]);
        table.row(vec!["digits-v3".into(), "True".into()]);
        table.row(vec!["d".into(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME        READY\ndigits-v3   True\nd           -"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let mut table = Table::new(["NAME", "DETAIL"]);
        table.row(vec![
            "a\u{1b}[2J".into(),
            "\u{7}é \"x\" \u{9b}1m\u{202e}".into(),
        ]);
        assert_eq!(
            table.render(),
            "NAME         DETAIL\na\\u{1b}[2J   \\u{7}é \"x\" \\u{9b}1m\\u{202e}"
        );
    }
}
