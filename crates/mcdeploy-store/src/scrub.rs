//! Reads a share of a version's files to see whether the store still has their bytes.
//!
//! A store's own checksums say what it accepted; rot at rest shows only to who reads. The
//! unit is a file, because a file is the least that the manifest has checksums of.

use mcdeploy_api::{Sha256Digest, names::MANIFEST_FILE};
use tokio_util::sync::CancellationToken;

use crate::{
    Checksums, ManifestFile, ObjectKey, Store, StoreError,
    compare::read_checksums,
    verify::{Found, read_manifest, version_name},
};

/// What reading found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File of the version, or the manifest.
    pub file: ObjectKey,
    /// What is wrong.
    pub rot: Rot,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub actual: String,
}

/// How a file is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// It is not there.
    Absent,
    /// It has other bytes.
    Differs,
}

/// What a scrub did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// One entry per wrong file, sorted by path.
    pub findings: Vec<Finding>,
    /// Files that were read.
    pub read_files: usize,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Files of the version.
    pub files: usize,
}

/// Reads a seeded share (0 to 1) of the version's files and compares every byte.
///
/// Another seed takes another share: a scrub a day with the day as the seed comes round to
/// each file. A share of 1 reads all of them.
///
/// # Errors
/// A store that does not answer, or refuses. Wrong bytes are no error but a finding.
pub async fn scrub_replica(
    store: &dyn Store,
    (model, version): (&str, &str),
    digest: &Sha256Digest,
    (share, seed): (f64, u64),
    cancel: &CancellationToken,
) -> Result<ScrubReport, StoreError> {
    let name = version_name(store, model, version)?;
    let manifest = match read_manifest(store, &name, digest, cancel).await? {
        Found::Manifest(manifest, _) => manifest,
        Found::Missing => return Ok(no_manifest(Rot::Absent, digest, "absent")),
        Found::Other(actual) => return Ok(no_manifest(Rot::Differs, digest, &actual)),
    };
    let listed = store.list(&name.prefix(), cancel).await?;
    let mut report = ScrubReport {
        files: manifest.files.len(),
        ..ScrubReport::default()
    };
    for file in &manifest.files {
        if !is_chosen(file.path.as_str(), share, seed) {
            continue;
        }
        let key = format!("{}{}", name.prefix(), file.path);
        let object = listed.iter().find(|listed| listed.key == key);
        let Some(object) = object.and_then(|listed| listed.object().ok()) else {
            report
                .findings
                .push(finding(file, Rot::Absent, "absent".to_owned()));
            continue;
        };
        let actual: Checksums = read_checksums(store, &object, cancel).await?;
        report.read_files += 1;
        report.read_bytes += actual.size_bytes;
        if actual != file.checksums() {
            let actual = actual.to_string();
            report.findings.push(finding(file, Rot::Differs, actual));
        }
    }
    Ok(report)
}

fn finding(file: &ManifestFile, rot: Rot, actual: String) -> Finding {
    Finding {
        file: file.path.clone(),
        rot,
        expected: file.checksums().to_string(),
        actual,
    }
}

fn no_manifest(rot: Rot, digest: &Sha256Digest, actual: &str) -> ScrubReport {
    let finding = ObjectKey::new(MANIFEST_FILE).map(|file| Finding {
        file,
        rot,
        expected: digest.to_string(),
        actual: actual.to_owned(),
    });
    ScrubReport {
        findings: finding.into_iter().collect(),
        ..ScrubReport::default()
    }
}

/// Whether a file is in the share that the seed chooses.
fn is_chosen(path: &str, share: f64, seed: u64) -> bool {
    let digits = Sha256Digest::of(format!("{seed}\n{path}")).short(8);
    let number = u32::from_str_radix(&digits, 16).unwrap_or_default();
    f64::from(number) < share * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_about_that_large_and_another_seed_takes_another_one() {
        let chosen = |share, seed| {
            let paths = (0..10_000).map(|n| format!("file-{n}"));
            paths
                .filter(|path| is_chosen(path, share, seed))
                .collect::<Vec<_>>()
        };
        assert_eq!(chosen(1.0, 1).len(), 10_000);
        assert!(chosen(0.0, 1).is_empty());
        let tenth = chosen(0.1, 1);
        assert!((900..1100).contains(&tenth.len()), "{}", tenth.len());
        assert_eq!(chosen(0.1, 1), tenth);
        assert_ne!(chosen(0.1, 2), tenth);
    }
}
