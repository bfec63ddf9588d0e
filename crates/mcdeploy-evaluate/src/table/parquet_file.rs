//! Parquet, as pandas, Polars, Spark and `DuckDB` write it: columns of texts, numbers, truth
//! values, days and times become the text that CSV has of them. An absent value is nothing.
//! Lists, structures and maps are refused by name: a column has one value a row.

mod cell;
mod pages;

use bytes::Bytes;
use parquet::{
    basic::{Compression, Repetition},
    column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader},
    data_type::DataType,
    errors::ParquetError,
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        reader::{FileReader, SerializedFileReader},
    },
    schema::types::{ColumnDescPtr, Type},
};

use self::{
    cell::{Meaning, Unit},
    pages::Pages,
};
use super::{Column, FEWER, Table, shown, size};
use crate::error::Problem;

/// Begins and ends every file.
const MAGIC: &[u8] = b"PAR1";
/// Begins and ends a file whose contents are encrypted.
const ENCRYPTED: &[u8] = b"PARE";
/// Values that are decoded at once.
const BATCH: usize = 8192;

pub(super) fn fill(table: &mut Table, bytes: Bytes) -> Result<(), Problem> {
    whole(table, &bytes)?;
    let length = bytes.len() as u64;
    let damaged = |table: &Table, error: &ParquetError| table.problem(WHOLE, told(error));
    let reader = SerializedFileReader::new(bytes).map_err(|error| damaged(table, &error))?;
    inside(table, reader.metadata(), length)?;
    let columns = columns(table, reader.metadata())?;
    let rows = rows(table, reader.metadata())?;
    table.lines = vec![0; rows];
    for (index, (descriptor, meaning)) in columns.into_iter().enumerate() {
        if of_pandas(descriptor.name()) {
            continue;
        }
        let mut column = Column::named(descriptor.name().trim());
        for group in 0..reader.num_row_groups() {
            let before = column.ends.len();
            let expected = reader.metadata().row_group(group).num_rows();
            let pages = reader.get_row_group(group);
            let pages = pages.and_then(|group| group.get_column_page_reader(index));
            let values = pages
                .map(|pages| get_column_reader(descriptor.clone(), Box::new(Pages::new(pages))));
            let room = table.room();
            let read = values
                .map_err(Stop::Damaged)
                .and_then(|values| values_into(&mut column, values, meaning, room));
            let problem = |expected: &str, found: String| Problem {
                column: Some(column.name.clone()),
                ..table.problem(expected, found)
            };
            match read {
                Err(Stop::Damaged(error)) => return Err(problem(WHOLE, told(&error))),
                Err(Stop::Other) => {
                    let found = "something else; convert it, or leave the column out";
                    return Err(problem(meaning.expected(), found.to_owned()));
                }
                Err(Stop::Full) => return Err(too_large(table)),
                Ok(()) => {}
            }
            let found = column.ends.len() - before;
            if i64::try_from(found) != Ok(expected) {
                let found = format!("{found} of {expected} values in a row group; {AGAIN}");
                return Err(problem(WHOLE, found));
            }
        }
        table.columns.push(column);
    }
    Ok(())
}

/// Whether pandas keeps its index there, which is no column of the data: rows that were drawn
/// from others have one.
fn of_pandas(name: &str) -> bool {
    name.starts_with("__index_level_") && name.ends_with("__")
}

const WHOLE: &str = "a whole Parquet file";
const AGAIN: &str = "copy it or have it written again";

impl Table {
    /// Bytes that one more column may have.
    fn room(&self) -> u64 {
        self.most.saturating_sub(self.bytes())
    }
}

fn told(error: &ParquetError) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("Parquet error: ").unwrap_or(text);
    format!("damage ({text}); {AGAIN}")
}

fn too_large(table: &Table) -> Problem {
    let expected = format!("at most {} when it is unpacked", size(table.most));
    table.problem(expected, format!("more; {FEWER}"))
}

/// The end is written last: a file without it was cut short.
fn whole(table: &Table, bytes: &[u8]) -> Result<(), Problem> {
    let found = if bytes.starts_with(ENCRYPTED) {
        "an encrypted one; write it without encryption".to_owned()
    } else if bytes.is_empty() {
        format!("an empty file; {AGAIN}")
    } else if !bytes.starts_with(MAGIC) {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(MAGIC.len())]);
        format!(
            "a file that begins with {}; if it is CSV or JSON Lines, its name must end so",
            shown(&start)
        )
    } else if bytes.len() < 3 * MAGIC.len() || !bytes.ends_with(MAGIC) {
        let length = bytes.len();
        format!("one that is cut short after {length} bytes, without its end; {AGAIN}")
    } else {
        return Ok(());
    };
    Err(table.problem(WHOLE, found))
}

/// Places that the end of the file tells must be in the file: the reader takes them as they are.
fn inside(table: &Table, metadata: &ParquetMetaData, length: u64) -> Result<(), Problem> {
    let groups = metadata.row_groups().iter();
    for chunk in groups.flat_map(RowGroupMetaData::columns) {
        let data = chunk.data_page_offset();
        let start = chunk
            .dictionary_page_offset()
            .map_or(data, |first| first.min(data));
        let place = |number: i64| u64::try_from(number).ok();
        let end = place(start)
            .zip(place(chunk.compressed_size()))
            .and_then(|(start, size)| start.checked_add(size));
        let said = [
            chunk.dictionary_page_offset(),
            Some(data),
            Some(chunk.num_values()),
        ];
        let negative = said.into_iter().flatten().any(i64::is_negative);
        if negative || end.is_none_or(|end| end > length) {
            return Err(Problem {
                column: Some(chunk.column_descr().name().to_owned()),
                ..table.problem(WHOLE, format!("values that are not in it; {AGAIN}"))
            });
        }
    }
    Ok(())
}

/// Plain columns with what their values mean.
fn columns(
    table: &Table,
    metadata: &ParquetMetaData,
) -> Result<Vec<(ColumnDescPtr, Meaning)>, Problem> {
    let schema = metadata.file_metadata().schema_descr();
    let mut names: Vec<&str> = vec![];
    for field in schema.root_schema().get_fields() {
        let name = field.name().trim();
        let problem = |expected: &str, found: &str| Problem {
            column: Some(name.to_owned()),
            ..table.problem(expected, found)
        };
        if let Some(nested) = nested(field) {
            let found = format!("{nested}; give a column for each of its values, or JSON Lines");
            return Err(problem("one value a row", &found));
        }
        if names.contains(&name) {
            let found = format!("two columns {}", shown(name));
            return Err(table.problem("names of columns that differ", found));
        }
        names.push(name);
    }
    // Without nested fields every field is one column, in the same order.
    let columns = schema.columns().iter().map(|descriptor| {
        let meaning = Meaning::of(descriptor).map_err(|what| Problem {
            column: Some(descriptor.name().to_owned()),
            ..table.problem(
                "texts, numbers, truth values, days or times",
                format!("{what}; convert it, or leave the column out"),
            )
        })?;
        Ok((descriptor.clone(), meaning))
    });
    let columns = columns.collect::<Result<_, Problem>>()?;
    compressed(table, metadata)?;
    Ok(columns)
}

fn nested(field: &Type) -> Option<&'static str> {
    let info = field.get_basic_info();
    let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    if field.is_primitive() {
        return repeated.then_some("a list");
    }
    // Lists and maps are structures around something that repeats.
    let inner = field.get_fields();
    let repeats = |inner: &Type| {
        let info = inner.get_basic_info();
        info.has_repetition() && info.repetition() == Repetition::REPEATED
    };
    Some(match inner {
        [one] if repeats(one) && one.is_group() && one.get_fields().len() == 2 => "a map",
        [one] if repeats(one) => "a list",
        _ => "a structure",
    })
}

fn compressed(table: &Table, metadata: &ParquetMetaData) -> Result<(), Problem> {
    let chunks = metadata
        .row_groups()
        .iter()
        .flat_map(RowGroupMetaData::columns);
    for chunk in chunks {
        let found = match chunk.compression() {
            Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::GZIP(_)
            | Compression::ZSTD(_) => continue,
            Compression::LZ4 | Compression::LZ4_RAW => "LZ4",
            Compression::BROTLI(_) => "Brotli",
            Compression::LZO => "LZO",
        };
        let expected = "values compressed by Snappy, Zstandard, gzip or not at all";
        return Err(Problem {
            column: Some(chunk.column_descr().name().to_owned()),
            ..table.problem(
                expected,
                format!("{found}; write it with another compression"),
            )
        });
    }
    Ok(())
}

/// How many rows there are, if there is room for them.
fn rows(table: &Table, metadata: &ParquetMetaData) -> Result<usize, Problem> {
    let groups = metadata.row_groups().iter();
    let rows: Option<usize> = groups
        .map(|group| usize::try_from(group.num_rows()).ok())
        .try_fold(0_usize, |sum, rows| sum.checked_add(rows?));
    let Some(rows) = rows else {
        return Err(table.problem(WHOLE, format!("a number of rows that cannot be; {AGAIN}")));
    };
    let columns = metadata.file_metadata().schema_descr().num_columns();
    // Every cell says where it ends, and every row its line.
    let least = (rows as u64).saturating_mul(columns as u64 + 1);
    if least.saturating_mul(size_of::<u32>() as u64) > table.most {
        return Err(too_large(table));
    }
    Ok(rows)
}

/// Why reading a column ends early.
enum Stop {
    Damaged(ParquetError),
    /// A value that is none of its column's.
    Other,
    Full,
}

impl From<ParquetError> for Stop {
    fn from(error: ParquetError) -> Self {
        Self::Damaged(error)
    }
}

fn values_into(
    column: &mut Column,
    values: ColumnReader,
    meaning: Meaning,
    room: u64,
) -> Result<(), Stop> {
    match values {
        ColumnReader::BoolColumnReader(all) => {
            each(column, all, room, |text, value| cell::truth(text, *value))
        }
        ColumnReader::Int32ColumnReader(all) => each(column, all, room, |text, value| {
            cell::narrow(text, meaning, *value)
        }),
        ColumnReader::Int64ColumnReader(all) => each(column, all, room, |text, value| {
            cell::integer(text, meaning, *value)
        }),
        ColumnReader::Int96ColumnReader(all) => each(column, all, room, |text, value| {
            let unit = Unit::Nanoseconds;
            let moment = true;
            cell::integer(text, Meaning::Time { unit, moment }, value.to_nanos())
        }),
        ColumnReader::FloatColumnReader(all) => {
            each(column, all, room, |text, value| cell::single(text, *value))
        }
        ColumnReader::DoubleColumnReader(all) => {
            each(column, all, room, |text, value| cell::double(text, *value))
        }
        ColumnReader::ByteArrayColumnReader(all) => each(column, all, room, |text, value| {
            cell::bytes(text, meaning, value.data())
        }),
        ColumnReader::FixedLenByteArrayColumnReader(all) => {
            each(column, all, room, |text, value| {
                cell::bytes(text, meaning, value.data())
            })
        }
    }
}

/// Writes every value of a column of one row group.
fn each<T: DataType>(
    column: &mut Column,
    mut values: ColumnReaderImpl<T>,
    room: u64,
    write: impl Fn(&mut String, &T::T) -> Option<()>,
) -> Result<(), Stop> {
    let mut batch: Vec<T::T> = Vec::with_capacity(BATCH);
    let mut there: Vec<i16> = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        there.clear();
        let (rows, read, levels) =
            values.read_records(BATCH, Some(&mut there), None, &mut batch)?;
        if rows == 0 {
            return Ok(());
        }
        if there.is_empty() {
            for value in &batch {
                write(&mut column.text, value).ok_or(Stop::Other)?;
                column.end();
            }
        } else {
            debug_assert_eq!((there.len(), batch.len()), (levels, read));
            let mut given = batch.iter();
            for level in &there {
                if *level > 0
                    && let Some(value) = given.next()
                {
                    write(&mut column.text, value).ok_or(Stop::Other)?;
                }
                column.end();
            }
        }
        if column.bytes() > room {
            return Err(Stop::Full);
        }
    }
}
