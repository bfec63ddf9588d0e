//! Says whether a store's copy of a version equals its manifest, without reading it.
//!
//! One listing tells which files are there and how long they are. Google's also carries
//! their checksums; for the others a receipt says which pins were proved, and the files
//! whose pins are others are asked for one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::{ErrorClass, ReplicaState, Sha256Digest, names::MANIFEST_FILE};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Manifest, ManifestError, ManifestFile, ObjectInfo, Receipts, Store, StoreError,
    VersionName,
    compare::{Comparison, compare},
    manifest::own_key,
    publish::read_small,
    receipt::{self, Receipt},
};

/// Files that are looked at at once.
const CONCURRENCY: usize = 8;

/// What a store's copy of a version is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaReport {
    /// `Verified`, `Missing` or `ChecksumMismatch`; never `Unknown`, which is an error.
    pub state: ReplicaState,
    /// Sum of the sizes of files that equal the manifest, in bytes.
    pub verified_bytes: u64,
    /// File, expected and actual of the first that differs, by path; empty when none.
    pub message: String,
    /// Files whose pin is the one that the store's receipt has: proved when that was
    /// written, and not written since. The others were proved by checksums now.
    pub receipt_files: usize,
    /// Files that had to be read because the store has no checksum of them.
    pub read_files: usize,
}

/// Checks the version in `store` against `digest`.
///
/// Reads the manifest's own bytes; of the files it asks for size and stored checksums
/// only. Bytes that rotted on the store's disks since they were accepted are not seen
/// here: `fetch_version` sees them.
///
/// # Errors
/// A store that does not answer, or refuses, is an error and never `Missing`.
pub async fn verify_replica(
    store: &dyn Store,
    model: &str,
    version: &str,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<ReplicaReport, StoreError> {
    let name = version_name(store, model, version)?;
    let receipt = match store.receipts() {
        Receipts::Proof => receipt::read(store, &name, digest, cancel).await,
        Receipts::Sources | Receipts::None => Receipt::new(*digest),
    };
    verify_beyond(&receipt, store, &name, digest, cancel).await
}

/// [`verify_replica`] that believes no receipt: the store is asked for the checksums of
/// each file.
///
/// # Errors
/// As [`verify_replica`].
pub async fn verify_replica_fully(
    store: &dyn Store,
    model: &str,
    version: &str,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<ReplicaReport, StoreError> {
    let name = version_name(store, model, version)?;
    verify_beyond(&Receipt::new(*digest), store, &name, digest, cancel).await
}

/// Checks what the receipt does not prove.
async fn verify_beyond(
    receipt: &Receipt,
    store: &dyn Store,
    name: &VersionName,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<ReplicaReport, StoreError> {
    let manifest = match read_manifest(store, name, digest, cancel).await? {
        Found::Manifest(manifest, _) => manifest,
        Found::Missing => return Ok(report(ReplicaState::Missing, "no manifest".to_owned())),
        Found::Other(message) => return Ok(report(ReplicaState::ChecksumMismatch, message)),
    };
    let listed = store.list(&name.prefix(), cancel).await?;
    let there: BTreeMap<_, _> = listed.iter().map(|o| (o.key.as_str(), o)).collect();
    let (mut looks, mut verdicts) = (vec![], vec![]);
    for file in &manifest.files {
        let key = name
            .key(&file.path)
            .map_err(|e| invalid(store, file.path.as_str(), Cause::InvalidKey(e)))?;
        let listed = there.get(key.as_str());
        if listed.is_some_and(|listed| receipt.proves(file, listed)) {
            verdicts.push((file, Verdict::Noted));
            continue;
        }
        let object = listed.and_then(|listed| listed.object().ok());
        looks.push(check_file(store, object, file, cancel));
    }
    let looked: Vec<_> = stream::iter(looks)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    verdicts.extend(looked);
    verdicts.sort_by(|a: &(&ManifestFile, Verdict), b| a.0.path.cmp(&b.0.path));
    Ok(summarize(&verdicts))
}

fn report(state: ReplicaState, message: String) -> ReplicaReport {
    ReplicaReport {
        state,
        verified_bytes: 0,
        message,
        receipt_files: 0,
        read_files: 0,
    }
}

enum Verdict {
    /// As the receipt has it.
    Noted,
    Equal {
        read: bool,
    },
    Differs {
        actual: String,
    },
    Absent,
}

async fn check_file<'m>(
    store: &dyn Store,
    object: Option<ObjectInfo>,
    file: &'m ManifestFile,
    cancel: &CancellationToken,
) -> Result<(&'m ManifestFile, Verdict), StoreError> {
    let Some(object) = object else {
        return Ok((file, Verdict::Absent));
    };
    let verdict = match compare(store, &object, &file.checksums(), cancel).await {
        Ok(Comparison::Equal { read }) => Verdict::Equal { read },
        Ok(Comparison::Differs { actual }) => Verdict::Differs { actual },
        // Deleted since it was listed.
        Err(error) if error.class() == ErrorClass::NotFound => Verdict::Absent,
        Err(error) => return Err(error),
    };
    Ok((file, verdict))
}

fn summarize(verdicts: &[(&ManifestFile, Verdict)]) -> ReplicaReport {
    let mut summary = report(ReplicaState::Verified, String::new());
    let mut bad = 0;
    for (file, verdict) in verdicts {
        let (state, actual) = match verdict {
            Verdict::Noted => {
                summary.verified_bytes += file.size_bytes;
                summary.receipt_files += 1;
                continue;
            }
            Verdict::Equal { read } => {
                summary.verified_bytes += file.size_bytes;
                summary.read_files += usize::from(*read);
                continue;
            }
            Verdict::Differs { actual } => (ReplicaState::ChecksumMismatch, actual.as_str()),
            Verdict::Absent => (ReplicaState::Missing, "absent"),
        };
        bad += 1;
        // Differing bytes weigh more than absent ones: those cannot be copied again.
        let first = summary.state == ReplicaState::Verified;
        if first || (summary.state == ReplicaState::Missing && state != summary.state) {
            summary.state = state;
            let expected = file.checksums();
            summary.message = format!("{}: expected {expected}, actual {actual}", file.path);
        }
    }
    if bad > 1 {
        summary.message = format!("{} (and {} more)", summary.message, bad - 1);
    }
    summary
}

pub(crate) enum Found {
    Manifest(Manifest, Bytes),
    Missing,
    /// A manifest that is not the one with the digest, in words.
    Other(String),
}

/// Reads the manifest that has `digest`.
pub(crate) async fn read_manifest(
    store: &dyn Store,
    name: &VersionName,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<Found, StoreError> {
    let key = own_key(name, MANIFEST_FILE)
        .map_err(|e| invalid(store, MANIFEST_FILE, Cause::InvalidKey(e)))?;
    let Some((_, bytes)) = read_small(store, &key, cancel).await? else {
        return Ok(Found::Missing);
    };
    let actual = Sha256Digest::of(&bytes);
    if actual != *digest {
        return Ok(Found::Other(format!(
            "{MANIFEST_FILE}: expected {digest}, actual {actual}"
        )));
    }
    let mismatch = |error: ManifestError| {
        Ok(Found::Other(format!(
            "{MANIFEST_FILE}: expected a manifest of {name}, actual: {error}"
        )))
    };
    match Manifest::from_bytes(&bytes) {
        Ok(m) if m.model == name.model() && m.version == name.version() => {
            Ok(Found::Manifest(m, bytes))
        }
        Ok(m) => Ok(Found::Other(format!(
            "{MANIFEST_FILE}: expected a manifest of {name}, actual {} {}",
            m.model, m.version
        ))),
        Err(error) => mismatch(error),
    }
}

pub(crate) fn version_name(
    store: &dyn Store,
    model: &str,
    version: &str,
) -> Result<VersionName, StoreError> {
    VersionName::new(model, version)
        .map_err(|e| invalid(store, &format!("{model}/{version}"), Cause::InvalidKey(e)))
}

pub(crate) fn invalid(store: &dyn Store, key: &str, cause: Cause) -> StoreError {
    StoreError {
        store: store.name().to_owned(),
        location: store.location().into(),
        operation: "look at",
        key: Some(key.into()),
        cause,
    }
}
