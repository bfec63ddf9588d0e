//! A file as columns of text. What a column means is for others to say.

mod csv_file;
mod json_lines;

use std::{fs, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{EvaluateError, Problem, RowPlace};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// A header, then a line per row; separated by commas, semicolons or tabs.
    Csv,
    /// A JSON object per line.
    JsonLines,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// A file that was read. Cells are text as it stood there; an empty one says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The file, as it was named.
    pub file: String,
    /// Files that it was put together from, in order; one for a file alone.
    parts: Vec<Part>,
    columns: Vec<Column>,
    /// One entry per row.
    lines: Vec<Option<u64>>,
}

/// A file in a table.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    file: String,
    sha256: String,
    /// Its first row.
    start: usize,
}

/// Texts of one column in one piece: a million cells are not a million allocations.
#[derive(Clone, Debug, Default, PartialEq)]
struct Column {
    name: String,
    text: String,
    ends: Vec<usize>,
}

impl Column {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    fn push(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.ends.push(self.text.len());
    }

    fn cell(&self, row: usize) -> &str {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[row]]
    }
}

/// A column of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    table: &'a Table,
    column: &'a Column,
}

impl<'a> Cells<'a> {
    pub(crate) fn get(self, row: usize) -> &'a str {
        self.column.cell(row)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        (0..self.table.rows()).map(move |row| self.column.cell(row))
    }

    pub(crate) fn to_vec(self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }

    /// That the cell of `row` is not what was `expected`.
    pub(crate) fn problem(self, row: usize, expected: impl Into<String>) -> Problem {
        let found = match self.get(row) {
            "" => "nothing".to_owned(),
            cell => shown(cell),
        };
        self.problem_with(row, expected, found)
    }

    pub(crate) fn problem_with(
        self,
        row: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Problem {
        Problem {
            column: Some(self.column.name.clone()),
            ..self.table.problem_in(row, expected, found)
        }
    }

    /// The number in a row, which is finite.
    pub(crate) fn number(self, row: usize) -> Result<f64, Problem> {
        let number = self.get(row).trim().parse::<f64>().ok();
        let finite = number.filter(|number| number.is_finite());
        finite.ok_or_else(|| self.problem(row, "a finite number"))
    }
}

/// As much of a cell as helps to find it.
pub(crate) fn shown(cell: &str) -> String {
    const SHOWN: usize = 40;
    if cell.chars().count() <= SHOWN {
        return format!("{cell:?}");
    }
    let start: String = cell.chars().take(SHOWN).collect();
    format!("{start:?}…")
}

impl Table {
    /// Number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Names of columns, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    pub(crate) fn find(&self, name: &str) -> Option<Cells<'_>> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        Some(Cells {
            table: self,
            column,
        })
    }

    pub(crate) fn column(&self, name: &str) -> Result<Cells<'_>, Problem> {
        self.find(name).ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            self.problem(
                format!("a column {name:?}"),
                format!("only {}", listed(&names)),
            )
        })
    }

    pub(crate) fn problem(&self, expected: impl Into<String>, found: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            place: None,
            column: None,
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn problem_in(
        &self,
        row: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Problem {
        let part = self.parts.iter().rev().find(|part| part.start <= row);
        let start = part.map_or(0, |part| part.start);
        let place = Some(RowPlace {
            row: row - start + 1,
            line: self.lines.get(row).copied().flatten(),
        });
        Problem {
            file: part.map_or(&self.file, |part| &part.file).clone(),
            place,
            ..self.problem(expected, found)
        }
    }

    /// Each file with its SHA-256 in hexadecimal and its number of rows.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        let ends = self.parts.iter().skip(1).map(|part| part.start);
        let ends = ends.chain([self.rows()]);
        let sources = self.parts.iter().zip(ends);
        sources.map(|(part, end)| (part.file.as_str(), part.sha256.as_str(), end - part.start))
    }

    /// Puts the rows of `other`, which has the same columns, below.
    ///
    /// # Errors
    /// A [`Problem`] with `other`'s columns.
    pub fn append(&mut self, other: &Self) -> Result<(), Problem> {
        if !self.names().eq(other.names()) {
            let own: Vec<&str> = self.names().collect();
            let names: Vec<&str> = other.names().collect();
            let expected = format!("the columns of {}, {}", self.file, listed(&own));
            return Err(other.problem(expected, listed(&names)));
        }
        let start = self.rows();
        self.parts
            .extend(other.parts.iter().cloned().map(|part| Part {
                start: start + part.start,
                ..part
            }));
        for (own, column) in self.columns.iter_mut().zip(&other.columns) {
            (0..other.rows()).for_each(|row| own.push(column.cell(row)));
        }
        self.lines.extend(&other.lines);
        Ok(())
    }
}

/// `"a", "b" and "c"`, or the first few of many.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 12;
    let quoted = |name: &T| format!("{:?}", name.as_ref());
    if names.len() > SHOWN {
        let first: Vec<String> = names.iter().take(SHOWN).map(quoted).collect();
        return format!("{} and {} more", first.join(", "), names.len() - SHOWN);
    }
    match names {
        [] => "none".to_owned(),
        [one] => quoted(one),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(quoted).collect();
            format!("{} and {}", first.join(", "), quoted(last))
        }
    }
}

/// Reads a file; without `format` its name tells how it is written.
///
/// # Errors
/// [`EvaluateError::Read`] and [`EvaluateError::Input`].
pub fn read(path: &Path, format: Option<Format>) -> Result<Table, EvaluateError> {
    let file = path.display().to_string();
    let problem = |expected: &str, found: String| Problem {
        file: file.clone(),
        place: None,
        column: None,
        expected: expected.to_owned(),
        found,
    };
    let Some(format) = format.or_else(|| Format::of(path)) else {
        let expected = "a name that ends in .csv, .tsv or .jsonl";
        return Err(problem(expected, format!("{file:?}")).into());
    };
    let bytes = fs::read(path).map_err(|source| EvaluateError::Read {
        file: file.clone(),
        source,
    })?;
    let mut table = Table {
        file: file.clone(),
        parts: vec![Part {
            file: file.clone(),
            sha256: hex::encode(Sha256::digest(&bytes)),
            start: 0,
        }],
        columns: vec![],
        lines: vec![],
    };
    let text = utf8(&table, &bytes)?;
    match format {
        Format::Csv => csv_file::fill(&mut table, text)?,
        Format::JsonLines => json_lines::fill(&mut table, text)?,
    }
    if table.rows() == 0 {
        return Err(table.problem("at least 1 row", "0 rows").into());
    }
    Ok(table)
}

/// The text, without the mark that some programs begin it with.
fn utf8<'a>(table: &Table, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let start = &bytes[..bytes.len().min(64)];
    let zeros = start.split(|byte| *byte == 0).count() - 1;
    if utf16 || zeros > 0 {
        let found = if utf16 || zeros * 3 >= start.len() {
            "UTF-16; save it again as UTF-8"
        } else {
            "zero bytes"
        };
        return Err(table.problem("text in UTF-8", found));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or(0);
        table.problem(
            "text in UTF-8",
            format!("the byte 0x{byte:02x} in line {line}; save it again as UTF-8"),
        )
    })
}
