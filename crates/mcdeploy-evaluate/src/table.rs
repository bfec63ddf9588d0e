//! A file as columns of text. What a column means is for others to say.

mod csv_file;
mod json_lines;
mod parquet_file;

use std::{borrow::Cow, fs, path::Path};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{EvaluateError, Problem, RowPlace},
    text::decode,
};

/// Bytes that a file may have, and a table in memory: the whole of it is read at once, and
/// evaluating takes several times as much.
const MOST_BYTES: u64 = 512 << 20;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// A header, then a line per row; separated by commas, semicolons or tabs.
    Csv,
    /// A JSON object per line.
    JsonLines,
    /// Apache Parquet with plain columns, compressed by Snappy, Zstandard, gzip or not at all.
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "parquet" | "pq" => Some(Self::Parquet),
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
    /// One entry per row: its line counted from 1, and 0 where the format has no lines.
    lines: Vec<u32>,
    /// Bytes that it may have.
    most: u64,
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
    /// Where each cell ends; a table has fewer bytes than these can count.
    ends: Vec<u32>,
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
        self.end();
    }

    /// What was written to `text` since the last end is a cell.
    fn end(&mut self) {
        self.ends.push(small(self.text.len()));
    }

    fn cell(&self, row: usize) -> &str {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[row] as usize]
    }

    fn bytes(&self) -> u64 {
        (self.text.len() + size_of::<u32>() * self.ends.len()) as u64
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

/// A place within a table, which is never larger than that.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
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

    /// Cells of a column as text, one entry per row.
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.find(name).map(Cells::to_vec)
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

    fn bytes(&self) -> u64 {
        self.columns.iter().map(Column::bytes).sum()
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
            line: self
                .lines
                .get(row)
                .filter(|line| **line > 0)
                .copied()
                .map(u64::from),
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
    /// A [`Problem`] with `other`'s columns, or with what both have together.
    pub fn append(&mut self, other: &Self) -> Result<(), Problem> {
        if !self.names().eq(other.names()) {
            let own: Vec<&str> = self.names().collect();
            let names: Vec<&str> = other.names().collect();
            let expected = format!("the columns of {}, {}", self.file, listed(&own));
            return Err(other.problem(expected, listed(&names)));
        }
        if self.bytes() + other.bytes() > self.most {
            let expected = format!("at most {} in all files together", size(self.most));
            return Err(other.problem(expected, format!("more; {FEWER}")));
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

/// What to do about too many rows.
const FEWER: &str = "evaluate a random part of the rows (100000 tell a share to 0.3 percent points), and only the columns that are needed";

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(unit, _)| bytes >= *unit);
    match unit {
        Some((unit, name)) if bytes.is_multiple_of(unit) => format!("{} {name}", bytes / unit),
        Some((unit, name)) => {
            let tenths = bytes.saturating_mul(10) / unit;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

/// Reads a file; without `format` its name tells how it is written.
///
/// # Errors
/// [`EvaluateError::Read`] and [`EvaluateError::Input`].
pub fn read(path: &Path, format: Option<Format>) -> Result<Table, EvaluateError> {
    read_up_to(path, format, MOST_BYTES)
}

/// As [`read`], of a file that people know by another name than its path.
///
/// # Errors
/// As [`read`].
pub fn read_as(path: &Path, name: &str, format: Option<Format>) -> Result<Table, EvaluateError> {
    named(path, name, format, MOST_BYTES)
}

/// As [`read`], of files with at most `most` bytes, below 4 GiB.
///
/// # Errors
/// As [`read`].
pub fn read_up_to(path: &Path, format: Option<Format>, most: u64) -> Result<Table, EvaluateError> {
    named(path, &path.display().to_string(), format, most)
}

fn named(
    path: &Path,
    file: &str,
    format: Option<Format>,
    most: u64,
) -> Result<Table, EvaluateError> {
    let problem = |expected: &str, found: String| Problem {
        file: file.to_owned(),
        place: None,
        column: None,
        expected: expected.to_owned(),
        found,
    };
    let Some(format) = format.or_else(|| Format::of(path)) else {
        let expected = "a name that ends in .csv, .tsv, .jsonl or .parquet";
        return Err(problem(expected, format!("{file:?}")).into());
    };
    let wrong = |source| EvaluateError::Read {
        file: file.to_owned(),
        source,
    };
    // Before it is read: what is too large must not take the machine's memory first.
    let found = fs::metadata(path).map_err(wrong)?.len();
    if found > most {
        let expected = format!("a file of at most {}", size(most));
        return Err(problem(&expected, format!("{}; {FEWER}", size(found))).into());
    }
    let bytes = Bytes::from(fs::read(path).map_err(wrong)?);
    let mut table = Table {
        file: file.to_owned(),
        parts: vec![Part {
            file: file.to_owned(),
            sha256: hex::encode(Sha256::digest(&bytes)),
            start: 0,
        }],
        columns: vec![],
        lines: vec![],
        most,
    };
    match format {
        Format::Csv => {
            let text = text(&table, &bytes)?;
            csv_file::fill(&mut table, &text)?;
        }
        Format::JsonLines => {
            let text = text(&table, &bytes)?;
            json_lines::fill(&mut table, &text)?;
        }
        Format::Parquet => parquet_file::fill(&mut table, bytes)?,
    }
    if table.rows() == 0 {
        return Err(table.problem("at least 1 row", "0 rows").into());
    }
    Ok(table)
}

fn text<'a>(table: &Table, bytes: &'a [u8]) -> Result<Cow<'a, str>, Problem> {
    decode(bytes).map_err(|why| table.problem("text in UTF-8", why.to_string()))
}
