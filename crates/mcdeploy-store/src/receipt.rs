//! What was proved of a version once, so that a listing proves it again.
//!
//! A receipt is a small object outside of the version: the pin of each file as it was when
//! its checksums were right. A store changes a pin with every write, so the same pin in a
//! listing means the bytes that were proved; another pin, or none, says nothing, and that
//! file is asked for by itself. It names the digest of the manifest that it is about.
//!
//! Receipts also say which versions of a model are near, for [`newest`].
//!
//! **Invariant:** only who has just proved every file of a version writes its receipt. One
//! that is lost, old or unreadable costs requests and nothing else.

use std::collections::BTreeMap;

use bytes::Bytes;
use mcdeploy_api::{ErrorClass, Sha256Digest};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, KeyError, ListedObject, ManifestFile, ObjectKey, Receipts, Store, StoreError,
    VersionName,
    create::{CreateError, create_bytes},
    key::RECEIPTS_PREFIX,
    publish::read_small,
};

/// Pins of a version's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Receipt {
    manifest_digest: Sha256Digest,
    /// By path within the version.
    pins: BTreeMap<ObjectKey, String>,
}

impl Receipt {
    /// Of nothing yet.
    pub(crate) fn new(manifest_digest: Sha256Digest) -> Self {
        Self {
            manifest_digest,
            pins: BTreeMap::new(),
        }
    }

    /// Notes the pin of a file that was proved just now.
    pub(crate) fn note(&mut self, file: &ObjectKey, pin: String) {
        // No pin would equal any other store's silence.
        if !pin.is_empty() {
            self.pins.insert(file.clone(), pin);
        }
    }

    /// Files that were proved, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &ObjectKey> {
        self.pins.keys()
    }

    /// The pin that a file had.
    pub(crate) fn pin(&self, file: &ObjectKey) -> Option<&str> {
        self.pins.get(file).map(String::as_str)
    }

    /// Whether the listed object is the one that was proved.
    pub(crate) fn proves(&self, file: &ManifestFile, listed: &ListedObject) -> bool {
        listed.size_bytes == file.size_bytes && self.pin(&file.path) == Some(&listed.pin)
    }
}

fn key(name: &VersionName, digest: &Sha256Digest) -> Result<ObjectKey, KeyError> {
    let (prefix, digits) = (name.prefix(), digest.short(64));
    ObjectKey::new(format!("{RECEIPTS_PREFIX}{prefix}{digits}.json"))
}

/// The receipt of this manifest; an empty one when there is none that can be used.
pub(crate) async fn read(
    store: &dyn Store,
    name: &VersionName,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Receipt {
    let Ok(key) = key(name, digest) else {
        return Receipt::new(*digest);
    };
    let found = match read_small(store, &key, cancel).await {
        Ok(Some((_, bytes))) => serde_json::from_slice::<Receipt>(&bytes).ok(),
        Ok(None) => None,
        Err(error) => {
            tracing::debug!("without the receipt: {error}");
            None
        }
    };
    found
        .filter(|receipt| receipt.manifest_digest == *digest)
        .unwrap_or_else(|| Receipt::new(*digest))
}

/// Puts the receipt in the place of the one before. Never fails: without it a look takes
/// longer.
pub(crate) async fn replace(
    store: &dyn Store,
    name: &VersionName,
    receipt: &Receipt,
    cancel: &CancellationToken,
) {
    if store.receipts() == Receipts::None || receipt.pins.is_empty() {
        return;
    }
    if let Err(error) = try_replace(store, name, receipt, cancel).await {
        tracing::debug!(store = store.name(), "no receipt was kept: {error}");
    }
}

async fn try_replace(
    store: &dyn Store,
    name: &VersionName,
    receipt: &Receipt,
    cancel: &CancellationToken,
) -> Result<(), CreateError> {
    let invalid = |cause| StoreError {
        store: store.name().to_owned(),
        location: store.location().into(),
        operation: "write",
        key: None,
        cause,
    };
    let key = key(name, &receipt.manifest_digest).map_err(|e| invalid(Cause::InvalidKey(e)))?;
    let bytes = Bytes::from(serde_json::to_vec(receipt).unwrap_or_default());
    match create_bytes(store, &key, &bytes, cancel).await {
        Err(CreateError::Taken { .. }) => {}
        other => return other.map(drop),
    }
    match store.head(&key, cancel).await {
        Ok(old) => store.delete(&old, cancel).await?,
        Err(error) if error.class() == ErrorClass::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    create_bytes(store, &key, &bytes, cancel).await.map(drop)
}

/// Versions of a model that have a receipt, with their digests: the `most` newest by the
/// store's clock, newest first.
pub(crate) async fn newest(
    store: &dyn Store,
    model: &str,
    most: usize,
    cancel: &CancellationToken,
) -> Result<Vec<(VersionName, Sha256Digest)>, StoreError> {
    let prefix = format!("{RECEIPTS_PREFIX}{model}/");
    let mut listed = store.list(&prefix, cancel).await?;
    listed.sort_by_key(|object| std::cmp::Reverse(object.modified_s));
    let named = listed.iter().filter_map(|object| {
        let (version, file) = object.key.strip_prefix(&prefix)?.split_once('/')?;
        let digits = file.strip_suffix(".json")?;
        let digest = format!("sha256:{digits}").parse().ok()?;
        Some((VersionName::new(model, version).ok()?, digest))
    });
    Ok(named.take(most).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checksums, StoredChecksums};

    fn file() -> ManifestFile {
        let Checksums {
            size_bytes,
            crc64nvme,
            crc32c,
        } = Checksums::of(b"bytes");
        ManifestFile {
            path: ObjectKey::new("a/b").unwrap(),
            size_bytes,
            sha256: Sha256Digest::of(b"bytes"),
            crc64nvme,
            crc32c,
        }
    }

    fn listed(size_bytes: u64, pin: &str) -> ListedObject {
        ListedObject {
            key: "m/v1/a/b".to_owned(),
            size_bytes,
            pin: pin.to_owned(),
            checksums: StoredChecksums::default(),
            modified_s: None,
        }
    }

    #[test]
    fn only_the_same_pin_and_length_prove_a_file() {
        let mut receipt = Receipt::new(Sha256Digest::of(b"manifest"));
        let file = file();
        assert!(!receipt.proves(&file, &listed(5, "one")));
        receipt.note(&file.path, "one".to_owned());
        assert!(receipt.proves(&file, &listed(5, "one")));
        assert!(!receipt.proves(&file, &listed(5, "two")));
        assert!(!receipt.proves(&file, &listed(6, "one")));
        assert!(!receipt.proves(&file, &listed(5, "")));
    }

    #[test]
    fn silence_about_a_pin_is_never_noted() {
        let mut receipt = Receipt::new(Sha256Digest::of(b"manifest"));
        let file = file();
        receipt.note(&file.path, String::new());
        assert!(!receipt.proves(&file, &listed(5, "")));
    }

    #[test]
    fn a_receipt_survives_a_round_trip() {
        let mut receipt = Receipt::new(Sha256Digest::of(b"manifest"));
        receipt.note(&file().path, "one".to_owned());
        let bytes = serde_json::to_vec(&receipt).unwrap();
        assert_eq!(serde_json::from_slice::<Receipt>(&bytes).unwrap(), receipt);
    }
}
