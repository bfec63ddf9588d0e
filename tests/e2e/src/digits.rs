//! `examples/digits`: rows to ask about, and the class that each version gives.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

/// Model name of the example.
pub const MODEL: &str = "digits";
/// Its versions.
pub const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

/// Requests with known answers.
#[derive(Debug)]
pub struct Digits {
    /// Request bodies of one row each, by row.
    bodies: Vec<Bytes>,
    /// Class by version and row.
    classes: BTreeMap<String, Vec<i64>>,
    /// Rows that the load asks about, in turn.
    asked: Vec<usize>,
}

#[derive(Deserialize)]
struct Expected {
    classes: Vec<i64>,
}

/// The example's directory in this repository.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits")
}

impl Digits {
    /// Reads the example. The load asks about every row on which v2 and v3 differ and
    /// as many others.
    ///
    /// # Errors
    /// A file is missing or does not fit the others.
    pub fn read() -> anyhow::Result<Self> {
        let dir = directory();
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        let mut bodies = vec![];
        for line in read("held-out.csv")?.lines().skip(1) {
            let values: Result<Vec<u8>, _> = line.split(',').map(str::parse).collect();
            let values = values.context("held-out.csv: a value is no number")?;
            ensure!(values.len() == 65, "held-out.csv: a row has not 65 values");
            bodies.push(body(&values[..64]));
        }
        let mut classes = BTreeMap::new();
        for version in VERSIONS {
            let expected: Expected =
                serde_json::from_str(&read(&format!("expected-{version}.json"))?)?;
            ensure!(expected.classes.len() == bodies.len(), "rows of {version}");
            classes.insert(version.to_owned(), expected.classes);
        }
        let differs = |row: &usize| classes["v2"][*row] != classes["v3"][*row];
        let (different, same): (Vec<usize>, Vec<usize>) = (0..bodies.len()).partition(differs);
        ensure!(different.len() >= 5, "v2 and v3 differ on too few rows");
        let asked = different
            .into_iter()
            .zip(same)
            .flat_map(|(a, b)| [a, b])
            .collect();
        Ok(Self {
            bodies,
            classes,
            asked,
        })
    }

    /// The row of the n-th request.
    pub fn row(&self, n: usize) -> usize {
        self.asked[n % self.asked.len()]
    }

    /// Body of a request about a row.
    pub fn body(&self, row: usize) -> Bytes {
        self.bodies[row].clone()
    }

    /// The class that a version gives a row, if it is a version of the example.
    pub fn class(&self, version: &str, row: usize) -> Option<i64> {
        self.classes.get(version)?.get(row).copied()
    }
}

fn body(pixels: &[u8]) -> Bytes {
    let request = json!({ "inputs": [
        { "name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": pixels }
    ]});
    Bytes::from(request.to_string())
}
