//! CSV as spreadsheets and data frames write it.

use csv::{ReaderBuilder, StringRecord};

use super::{Column, Table, listed, shown};
use crate::error::Problem;

pub(super) fn fill(table: &mut Table, text: &str) -> Result<(), Problem> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(text))
        .flexible(true)
        .from_reader(text.as_bytes());
    // The text is UTF-8 already, which is all that can be wrong here.
    let header = reader.headers().cloned().unwrap_or_default();
    check_header(table, &header)?;
    table.columns = header
        .iter()
        .map(|name| Column::named(name.trim()))
        .collect();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).unwrap_or(false) {
        let line = record.position().map_or(0, csv::Position::line);
        table.lines.push(u32::try_from(line).unwrap_or(0));
        let row = table.lines.len() - 1;
        if record.len() != table.columns.len() {
            if unclosed(text, record.iter().next_back()) {
                return Err(table.problem_in(row, "a quote that closes", "the end of the file"));
            }
            let columns = table.columns.len();
            let expected = format!("{columns} columns as in the header");
            return Err(table.problem_in(row, expected, record.len().to_string()));
        }
        for (column, cell) in table.columns.iter_mut().zip(&record) {
            column.push(cell);
        }
    }
    // The record at the end is empty: what was read last is in the table.
    let Some(row) = table.lines.len().checked_sub(1) else {
        return Ok(());
    };
    let last = table.columns.last().map(|column| column.cell(row));
    if unclosed(text, last) {
        return Err(table.problem_in(row, "a quote that closes", "the end of the file"));
    }
    Ok(())
}

/// The one that separates most of the header: spreadsheets of many countries use `;`.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: char| header.matches(delimiter).count();
    let (commas, semicolons, tabs) = (count(','), count(';'), count('\t'));
    if semicolons > commas && semicolons >= tabs {
        b';'
    } else if tabs > commas {
        b'\t'
    } else {
        b','
    }
}

fn check_header(table: &Table, header: &StringRecord) -> Result<(), Problem> {
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    if names.is_empty() {
        return Err(table.problem("a header and at least 1 row", "an empty file"));
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        let found = format!("numbers, {}", listed(&names));
        return Err(table.problem("a first line with names of columns", found));
    }
    let twice = (1..names.len()).find(|index| names[..*index].contains(&names[*index]));
    match twice {
        None => Ok(()),
        Some(index) => {
            let found = format!("two columns {}", shown(names[index]));
            Err(table.problem("names of columns that differ", found))
        }
    }
}

/// A quote that is never closed takes the rest of the file into one cell.
fn unclosed(text: &str, last: Option<&str>) -> bool {
    let quotes = text.matches('"').count();
    let to_the_end = |cell: &str| cell.contains('\n') || text.ends_with(&format!("\"{cell}"));
    quotes % 2 == 1 && last.is_some_and(to_the_end)
}
