//! What a store holds, seen as versions: from one listing, and the manifests it names.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::{Sha256Digest, names::MANIFEST_FILE};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, ListedObject, Manifest, Store, StoreError, VersionName,
    manifest::{CLAIM_FILE, own_key},
    publish::{announced, read_small},
    verify::{invalid, version_name},
};

/// Manifests that are read at once.
const CONCURRENCY: usize = 8;
/// Pause between two looks for a manifest that is waited for.
const LOOK: Duration = Duration::from_secs(1);

/// One version in a store, as its listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredVersion {
    /// Model name.
    pub model: String,
    /// Version.
    pub version: String,
    /// Whether it is whole.
    pub state: StoredState,
    /// SHA-256 of the manifest; none without one.
    pub manifest_digest: Option<Sha256Digest>,
    /// Files that are there, without mcdeploy's own.
    pub files: usize,
    /// Sum of their sizes, in bytes.
    pub size_bytes: u64,
    /// The first file that is absent or has another size; empty when there is none.
    pub message: String,
}

/// Whether a version is whole, as far as a listing tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StoredState {
    /// The manifest is there, and every file of it with its size.
    Whole,
    /// Files, and no manifest: a push or a transfer that is under way, or was given up.
    Unfinished,
    /// A manifest, and a file of it is absent or has another size.
    Damaged,
}

/// Reads a version's manifest, whichever it is, with its digest.
///
/// # Errors
/// A store that does not answer, or a manifest that is not one.
pub async fn find_manifest(
    store: &dyn Store,
    model: &str,
    version: &str,
    cancel: &CancellationToken,
) -> Result<Option<(Manifest, Sha256Digest)>, StoreError> {
    let name = version_name(store, model, version)?;
    let key = own_key(&name, MANIFEST_FILE)
        .map_err(|e| invalid(store, MANIFEST_FILE, Cause::InvalidKey(e)))?;
    let Some((_, bytes)) = read_small(store, &key, cancel).await? else {
        return Ok(None);
    };
    let digest = Sha256Digest::of(&bytes);
    let unusable = |detail: String| StoreError {
        store: store.name().to_owned(),
        location: store.location().into(),
        operation: "read",
        key: Some(key.as_str().into()),
        cause: Cause::Refused { detail },
    };
    let manifest = Manifest::from_bytes(&bytes).map_err(|error| unusable(error.to_string()))?;
    if manifest.model != model || manifest.version != version {
        let (other, named) = (&manifest.model, &manifest.version);
        return Err(unusable(format!("it is the manifest of {other} {named}")));
    }
    Ok(Some((manifest, digest)))
}

/// [`find_manifest`] of a store that may still be receiving the version: as soon as that
/// began, the manifest is known. Waits for it for `patience`.
///
/// # Errors
/// As [`find_manifest`].
pub async fn await_manifest(
    store: &dyn Store,
    model: &str,
    version: &str,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Option<(Manifest, Sha256Digest)>, StoreError> {
    let name = version_name(store, model, version)?;
    let end = Instant::now() + patience;
    loop {
        // In this order: the claim goes when the manifest is there.
        let announced = announced(store, &name, cancel).await?;
        let found = find_manifest(store, model, version, cancel).await?;
        if found.is_some() || announced.is_some() || Instant::now() >= end {
            return Ok(found.or(announced));
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The versions in a store, sorted by model and version; of one model, when it is named.
///
/// Objects that are no part of a version are left out. One listing, and one reading of
/// each manifest; no file is read or asked for.
///
/// # Errors
/// As [`Store::list`], and as [`find_manifest`].
pub async fn list_versions(
    store: &dyn Store,
    model: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Vec<StoredVersion>, StoreError> {
    let prefix = model.map_or_else(String::new, |model| format!("{model}/"));
    let objects = store.list(&prefix, cancel).await?;
    versions_of(store, &objects, cancel).await
}

/// Model, version and path within it of an object that can be part of a version.
pub(crate) fn parts_of(key: &str) -> Option<(&str, &str, &str)> {
    let mut names = key.splitn(3, '/');
    let (model, version, file) = (names.next()?, names.next()?, names.next()?);
    VersionName::new(model, version).ok()?;
    Some((model, version, file))
}

/// [`list_versions`] of a listing.
pub(crate) async fn versions_of(
    store: &dyn Store,
    objects: &[ListedObject],
    cancel: &CancellationToken,
) -> Result<Vec<StoredVersion>, StoreError> {
    let mut found: BTreeMap<(String, String), BTreeMap<String, u64>> = BTreeMap::new();
    for object in objects.iter().filter(|object| !object.is_marker()) {
        if let Some((model, version, file)) = parts_of(&object.key) {
            let version = found.entry((model.to_owned(), version.to_owned()));
            version
                .or_default()
                .insert(file.to_owned(), object.size_bytes);
        }
    }
    let looks = found
        .into_iter()
        .map(|(name, files)| look(store, name, files, cancel));
    stream::iter(looks.collect::<Vec<_>>())
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}

async fn look(
    store: &dyn Store,
    (model, version): (String, String),
    mut files: BTreeMap<String, u64>,
    cancel: &CancellationToken,
) -> Result<StoredVersion, StoreError> {
    files.remove(CLAIM_FILE);
    let is_there = files.remove(MANIFEST_FILE).is_some();
    let stored = |state, manifest_digest, message: String| StoredVersion {
        state,
        manifest_digest,
        files: files.len(),
        size_bytes: files.values().sum(),
        message,
        model: model.clone(),
        version: version.clone(),
    };
    if !is_there {
        return Ok(stored(StoredState::Unfinished, None, String::new()));
    }
    match find_manifest(store, &model, &version, cancel).await {
        Ok(Some((manifest, digest))) => Ok(match first_fault(&manifest, &files) {
            None => stored(StoredState::Whole, Some(digest), String::new()),
            Some(fault) => stored(StoredState::Damaged, Some(digest), fault),
        }),
        // Deleted since it was listed.
        Ok(None) => Ok(stored(StoredState::Unfinished, None, String::new())),
        // One bad manifest must not hide the other versions.
        Err(StoreError {
            cause: Cause::Refused { detail },
            ..
        }) => Ok(stored(
            StoredState::Damaged,
            None,
            format!("{MANIFEST_FILE}: {detail}"),
        )),
        Err(error) => Err(error),
    }
}

fn first_fault(manifest: &Manifest, there: &BTreeMap<String, u64>) -> Option<String> {
    manifest.files.iter().find_map(|file| {
        let expected = file.size_bytes;
        match there.get(file.path.as_str()) {
            Some(&size) if size == expected => None,
            Some(size) => Some(format!(
                "{}: expected {expected} bytes, actual {size} bytes",
                file.path
            )),
            None => Some(format!(
                "{}: expected {expected} bytes, actual absent",
                file.path
            )),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{open_directory, push_version};

    #[tokio::test]
    async fn versions_are_whole_unfinished_or_damaged() {
        let (files, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(files.path().join("sub")).unwrap();
        std::fs::write(files.path().join("a.bin"), b"bytes").unwrap();
        std::fs::write(files.path().join("sub/b.bin"), b"more").unwrap();
        let store = open_directory(root.path()).unwrap();
        let cancel = CancellationToken::new();
        for version in ["v1", "v2", "v3"] {
            let push = push_version(store.as_ref(), files.path(), "m", version, &|_| {}, &cancel);
            push.await.unwrap();
        }
        std::fs::remove_file(root.path().join("m/v2").join(MANIFEST_FILE)).unwrap();
        std::fs::remove_file(root.path().join("m/v3/sub/b.bin")).unwrap();
        std::fs::write(root.path().join("notes.txt"), b"of another tool").unwrap();
        let versions = list_versions(store.as_ref(), None, &cancel).await.unwrap();
        let shown: Vec<_> = versions
            .iter()
            .map(|v| (v.version.as_str(), v.state, v.files, v.size_bytes))
            .collect();
        assert_eq!(
            shown,
            [
                ("v1", StoredState::Whole, 2, 9),
                ("v2", StoredState::Unfinished, 2, 9),
                ("v3", StoredState::Damaged, 1, 5),
            ]
        );
        assert_eq!(
            versions[2].message,
            "sub/b.bin: expected 4 bytes, actual absent"
        );
        let other = list_versions(store.as_ref(), Some("n"), &cancel).await;
        assert_eq!(other.unwrap(), []);
    }
}
