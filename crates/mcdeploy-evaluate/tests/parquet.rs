//! Parquet files that are damaged or too large, each told in one sentence.

#![cfg(test)]

use std::{
    fs::{self, File},
    path::Path,
};

use mcdeploy_eval::Answers;
use mcdeploy_evaluate::{Plan, answers, read, read_up_to, rows};

/// Three rows that pyarrow wrote: `tests/written.py --fixture`.
const FIXTURE: &[u8] = include_bytes!("fixtures/p.parquet");

/// What is said of such a file; nothing where it is read.
fn refused(name: &str, bytes: &[u8]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    let text = read(&path, None).err()?.to_string();
    Some(text.replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn predictions_in_parquet_answer_labels_in_csv() {
    let dir = tempfile::tempdir().unwrap();
    let (labels, given) = (dir.path().join("y.csv"), dir.path().join("p.parquet"));
    fs::write(&labels, "id,label\n3,ham\n2,spam\n1,spam\n").unwrap();
    fs::write(&given, FIXTURE).unwrap();
    let given = read(&given, None).unwrap();
    let rows = rows(&Plan::default(), read(&labels, None).unwrap(), Some(&given)).unwrap();
    let Answers::Classes(said, Some(scores)) = answers(&rows, given).unwrap().answers else {
        panic!("classes with probabilities");
    };
    assert_eq!(said, [0, 1, 0]);
    assert_eq!(scores.rows[1], [0.25, 0.75]);
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_told_in_one_sentence() {
    for length in 1..FIXTURE.len() {
        let error = refused("p.parquet", &FIXTURE[..length]).unwrap();
        let expected = if length < 4 {
            "p.parquet: expected a whole Parquet file, found a file that begins with".to_owned()
        } else {
            format!(
                "p.parquet: expected a whole Parquet file, found one that is cut short after {length} bytes, without its end; copy it or have it written again"
            )
        };
        assert!(error.starts_with(&expected), "{error}");
    }
    let error = refused("p.parquet", b"").unwrap();
    assert!(error.contains("found an empty file"), "{error}");
}

#[test]
fn a_file_with_a_hole_or_a_changed_byte_is_read_or_refused_and_ends_nothing() {
    let (mut count, mut ended) = (0, vec![]);
    for place in 0..FIXTURE.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = FIXTURE.to_vec();
            bytes[place] ^= change;
            match std::panic::catch_unwind(|| refused("p.parquet", &bytes)) {
                Ok(Some(error)) => {
                    assert!(!error.contains('\n'), "{error}");
                    count += 1;
                }
                Ok(None) => {}
                Err(_) => ended.push((place, change)),
            }
        }
    }
    assert!(ended.is_empty(), "bytes that end the program: {ended:?}");
    assert!(count > 500, "only {count} changes were seen");
    let (start, end) = FIXTURE.split_at(FIXTURE.len() / 2);
    let hole = [start, &end[64..]].concat();
    let error = refused("p.parquet", &hole).unwrap();
    assert!(error.contains("expected a whole Parquet file"), "{error}");
}

#[test]
fn a_file_of_another_kind_is_told_by_what_it_begins_with() {
    let error = refused("p.parquet", b"id,prediction\n1,ham\n").unwrap();
    assert_eq!(
        error,
        "p.parquet: expected a whole Parquet file, found a file that begins with \"id,p\"; if it is CSV or JSON Lines, its name must end so"
    );
    let error = refused("p.parquet", b"PARE0000PARE").unwrap();
    assert!(
        error.contains("found an encrypted one; write it without encryption"),
        "{error}"
    );
}

/// A file with a hole takes no room on the disk, and would take all of the memory.
fn hole(path: &Path, length: u64) {
    File::create(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_file_of_two_gigabytes_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["y.csv", "y.jsonl", "y.parquet"] {
        let path = dir.path().join(name);
        hole(&path, 2 << 30);
        let error = read(&path, None).unwrap_err().to_string();
        let wanted = format!(
            "{}: expected a file of at most 512 MiB, found 2 GiB; evaluate a random part of the rows (100000 tell a share to 0.3 percent points), and only the columns that are needed",
            path.display()
        );
        assert_eq!(error, wanted);
    }
}

#[test]
fn files_that_are_too_large_only_together_are_told_of_the_one_that_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let table = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, "label\nham\nspam\n").unwrap();
        read_up_to(&path, None, 20).unwrap()
    };
    let mut all = table("a.csv");
    let error = all.append(&table("b.csv")).unwrap_err().to_string();
    assert!(
        error.contains("b.csv: expected at most 20 bytes in all files together, found more; "),
        "{error}"
    );
}
