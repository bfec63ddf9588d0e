//! Parquet files as pyarrow writes them, which pandas does too.

#![cfg(test)]

use std::{path::Path, process::Command};

use mcdeploy_evaluate::{Table, read, read_up_to};
use mcdeploy_sandbox::{
    Say,
    tools::{Tool, ensure_blocking},
};

/// Cells of the good files, but for the second row, where `id` and `label` alone are not empty.
const COLUMNS: [(&str, [&str; 6]); 14] = [
    ("id", ["0", "2", "3", "4", "5", "6"]),
    ("label", ["ham", "ham", "spam", "ham", "spam", "ham"]),
    (
        "text",
        [
            "ü0, \"0\"",
            "ü2, \"2\"",
            "ü3, \"3\"",
            "ü4, \"4\"",
            "ü5, \"5\"",
            "ü6, \"6\"",
        ],
    ),
    ("large", ["l0", "l2", "l3", "l4", "l5", "l6"]),
    ("flag", ["true", "true", "false", "true", "false", "true"]),
    ("small", ["0", "-2", "-3", "-4", "-5", "-6"]),
    (
        "unsigned",
        [
            "4294967288",
            "4294967290",
            "4294967291",
            "4294967292",
            "4294967293",
            "4294967294",
        ],
    ),
    ("single", ["0", "0.2", "0.3", "0.4", "0.5", "0.6"]),
    ("double", ["0", "0.2", "0.3", "0.4", "0.5", "0.6"]),
    ("half", ["0", "1", "1.5", "2", "2.5", "3"]),
    (
        "day",
        [
            "2026-11-24",
            "2026-11-26",
            "2026-11-27",
            "2026-11-28",
            "2026-11-29",
            "2026-11-30",
        ],
    ),
    (
        "moment",
        [
            "2026-11-30T00:00:00Z",
            "2026-11-30T02:00:00Z",
            "2026-11-30T03:00:00Z",
            "2026-11-30T04:00:00Z",
            "2026-11-30T05:00:00Z",
            "2026-11-30T06:00:00Z",
        ],
    ),
    ("amount", ["-0.75", "-0.25", "0.00", "0.25", "0.50", "0.75"]),
    ("nothing", [""; 6]),
];

/// Has pyarrow write all files.
fn written(directory: &Path) {
    let package = ensure_blocking(Tool::Pyarrow, &Say::stderr()).unwrap();
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/written.py"))
        .arg(directory)
        .env("PYTHONPATH", package.ancestors().nth(2).unwrap())
        .output()
        .expect("python3 is on the PATH");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "written.py: {text}");
}

#[track_caller]
fn same_cells(name: &str, table: &Table) {
    assert_eq!(table.rows(), 7, "{name}");
    for (column, cells) in COLUMNS {
        let found = table
            .texts(column)
            .unwrap_or_else(|| panic!("{name}: {column}"));
        let second = match column {
            "id" => "1",
            "label" => "spam",
            _ => "",
        };
        let expected: Vec<&str> = [cells[0], second]
            .into_iter()
            .chain(cells[1..].iter().copied())
            .collect();
        assert_eq!(found, expected, "{name}: {column}");
    }
    assert_eq!(table.texts("clock").unwrap()[2], clock(name), "{name}");
    let index = table.texts("__index_level_0__");
    assert_eq!(index, None, "{name}: pandas' index is no column");
}

/// Clocks without a place are moments in files of the old kind.
fn clock(name: &str) -> &'static str {
    if name == "good-legacy.parquet" {
        "2026-11-30T02:00:00Z"
    } else {
        "2026-11-30T02:00:00"
    }
}

#[test]
fn every_codec_page_and_encoding_gives_the_same_cells() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let names = std::fs::read_dir(dir.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let good: Vec<String> = names.filter(|name| name.starts_with("good-")).collect();
    assert_eq!(good.len(), 18, "{good:?}");
    for name in good {
        let table =
            read(&dir.path().join(&name), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        same_cells(&name, &table);
    }
    for (name, expected) in REFUSED {
        let path = dir.path().join(format!("bad-{name}.parquet"));
        let error = read(&path, None).unwrap_err().to_string();
        let error = error.replace(&format!("{}/", dir.path().display()), "");
        assert_eq!(error, expected);
    }
    for (most, expected) in [(4 << 20, "4 MiB"), (32 << 20, "32 MiB")] {
        let path = dir.path().join("bad-bomb.parquet");
        let error = read_up_to(&path, None, most).unwrap_err().to_string();
        let wanted = format!(": expected at most {expected} when it is unpacked, found more; ");
        assert!(error.contains(&wanted), "{error}");
    }
}

/// Files that are refused, and what is said of them.
const REFUSED: [(&str, &str); 9] = [
    (
        "list",
        "bad-list.parquet, column \"p\": expected one value a row, found a list; give a column for each of its values, or JSON Lines",
    ),
    (
        "structure",
        "bad-structure.parquet, column \"p\": expected one value a row, found a structure; give a column for each of its values, or JSON Lines",
    ),
    (
        "map",
        "bad-map.parquet, column \"p\": expected one value a row, found a map; give a column for each of its values, or JSON Lines",
    ),
    (
        "time",
        "bad-time.parquet, column \"p\": expected texts, numbers, truth values, days or times, found a time of day; convert it, or leave the column out",
    ),
    (
        "binary",
        "bad-binary.parquet, column \"p\": expected text in UTF-8, found something else; convert it, or leave the column out",
    ),
    (
        "lz4",
        "bad-lz4.parquet, column \"id\": expected values compressed by Snappy, Zstandard, gzip or not at all, found LZ4; write it with another compression",
    ),
    (
        "brotli",
        "bad-brotli.parquet, column \"id\": expected values compressed by Snappy, Zstandard, gzip or not at all, found Brotli; write it with another compression",
    ),
    (
        "twice",
        "bad-twice.parquet: expected names of columns that differ, found two columns \"p\"",
    ),
    (
        "empty",
        "bad-empty.parquet: expected at least 1 row, found 0 rows",
    ),
];
