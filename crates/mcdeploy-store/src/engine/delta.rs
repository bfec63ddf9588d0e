//! Files that a target holds already, in other versions of the model: they are copied
//! inside the store instead of being sent.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use mcdeploy_api::Sha256Digest;
use tokio_util::sync::CancellationToken;

use crate::{
    Manifest, ManifestFile, ObjectInfo, Receipts, Store, StoreError, StoredChecksums, VersionName,
    receipt,
    verify::{Found, read_manifest},
};

/// Versions whose manifests are read: a new version is most often made of the last one, or
/// of the one that is served; each costs two small readings.
const VERSIONS: usize = 3;
/// Smallest file that is copied, in bytes: a copy takes three requests, which cost more
/// than sending this much.
const MIN_BYTES: u64 = 64 * 1024;

/// Where good copies of files are, by digest.
#[derive(Debug, Default)]
pub(super) struct Delta {
    files: HashMap<Sha256Digest, ObjectInfo>,
    /// The store refused once; it is not asked again.
    is_off: AtomicBool,
}

impl Delta {
    /// Looks for the manifest's files in the newest versions that the store has proved.
    /// Never fails: what is not found is sent.
    pub(super) async fn find(
        store: &dyn Store,
        name: &VersionName,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Self {
        let is_worth = manifest.files.iter().any(|f| f.size_bytes >= MIN_BYTES);
        if store.receipts() == Receipts::None || !is_worth {
            return Self::default();
        }
        let mut delta = Self::default();
        if let Err(error) = delta.look(store, name, cancel).await {
            tracing::debug!(store = store.name(), "all is sent: {error}");
        }
        delta
    }

    async fn look(
        &mut self,
        store: &dyn Store,
        name: &VersionName,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        for (other, digest) in receipt::newest(store, name.model(), VERSIONS, cancel).await? {
            if other == *name {
                continue;
            }
            let Found::Manifest(manifest, _) =
                read_manifest(store, &other, &digest, cancel).await?
            else {
                continue;
            };
            let receipt = receipt::read(store, &other, &digest, cancel).await;
            for file in &manifest.files {
                if let (Some(pin), Ok(key)) = (receipt.pin(&file.path), other.key(&file.path)) {
                    self.files.entry(file.sha256).or_insert(ObjectInfo {
                        key,
                        size_bytes: file.size_bytes,
                        pin: pin.to_owned(),
                        checksums: StoredChecksums::default(),
                    });
                }
            }
        }
        Ok(())
    }

    /// An object with the file's bytes, where copying it is worth it.
    pub(super) fn source(&self, file: &ManifestFile) -> Option<&ObjectInfo> {
        if self.is_off.load(Ordering::Relaxed) || file.size_bytes < MIN_BYTES {
            return None;
        }
        let found = self.files.get(&file.sha256);
        found.filter(|object| object.size_bytes == file.size_bytes)
    }

    /// Asks the store for no more copies.
    pub(super) fn turn_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }
}
