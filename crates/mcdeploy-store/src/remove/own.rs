//! Which objects below a version's prefix are ours to remove.
//!
//! Objects carry no name of their writer. Ours is what a manifest of ours names and what has
//! the bytes that it says: the manifest itself, that of a claim that was given up, or the one
//! that an earlier removal noted before it deleted it. **Invariant:** what cannot be told is
//! foreign.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::{ErrorClass, Sha256Digest};
use tokio_util::sync::CancellationToken;

use super::CONCURRENCY;
use crate::{
    Cause, ForeignObject, ListedObject, Manifest, ManifestFile, ObjectKey, Store, StoreError,
    VersionName,
    compare::{self, Comparison},
    create::{CreateError, create_bytes},
    key::REMOVALS_PREFIX,
    publish::{announced, read_small},
    receipt::{self, Receipt},
    verify::invalid,
};

/// What is known of a version's files.
pub(super) struct Own {
    /// By the digest of the manifest, so that one is not asked for twice.
    manifests: BTreeMap<Sha256Digest, (Manifest, Receipt)>,
}

/// What is below a version's prefix, without mcdeploy's own notes.
pub(super) struct ToldApart {
    pub(super) own: Vec<ListedObject>,
    /// Sorted by key. Empty objects that stand for directories are in neither list.
    pub(super) foreign: Vec<ForeignObject>,
}

impl Own {
    /// What earlier removals noted, and what a claim says.
    pub(super) async fn noted(
        store: &dyn Store,
        name: &VersionName,
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let mut own = Self {
            manifests: BTreeMap::new(),
        };
        let notes = format!("{REMOVALS_PREFIX}{}", name.prefix());
        for listed in store.list(&notes, cancel).await? {
            // A key that we refuse is none of ours.
            let Ok(key) = ObjectKey::new(listed.key.as_str()) else {
                continue;
            };
            if let Some((_, bytes)) = read_small(store, &key, cancel).await? {
                own.add(store, name, &bytes, cancel).await;
            }
        }
        if let Some((manifest, _)) = announced(store, name, cancel).await? {
            own.add(store, name, &manifest.to_bytes(), cancel).await;
        }
        Ok(own)
    }

    /// Notes a manifest before it goes, for whoever goes on after a crash.
    pub(super) async fn note(
        &mut self,
        store: &dyn Store,
        name: &VersionName,
        manifest: &Bytes,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let digits = Sha256Digest::of(manifest).short(64);
        let key = ObjectKey::new(format!("{REMOVALS_PREFIX}{}{digits}.json", name.prefix()))
            .map_err(|e| invalid(store, REMOVALS_PREFIX, Cause::InvalidKey(e)))?;
        match create_bytes(store, &key, manifest, cancel).await {
            Ok(_) => {}
            Err(CreateError::Store(error)) => return Err(error),
            Err(CreateError::Taken { expected, actual }) => {
                let detail = format!("expected {expected}, found {actual}");
                return Err(invalid(store, key.as_str(), Cause::Refused { detail }));
            }
        }
        self.add(store, name, manifest, cancel).await;
        Ok(())
    }

    /// A manifest of another version, or none at all, names nothing.
    async fn add(
        &mut self,
        store: &dyn Store,
        name: &VersionName,
        bytes: &[u8],
        cancel: &CancellationToken,
    ) {
        let Ok(manifest) = Manifest::from_bytes(bytes) else {
            return;
        };
        let digest = manifest.digest();
        let is_it =
            (manifest.model.as_str(), manifest.version.as_str()) == (name.model(), name.version());
        if is_it && !self.manifests.contains_key(&digest) {
            let receipt = receipt::read(store, name, &digest, cancel).await;
            self.manifests.insert(digest, (manifest, receipt));
        }
    }

    /// Looks at each object: by the pin that a receipt says, then by the store's checksums;
    /// where a store has none, its bytes are read.
    pub(super) async fn tell_apart(
        &self,
        store: &dyn Store,
        name: &VersionName,
        listed: Vec<ListedObject>,
        cancel: &CancellationToken,
    ) -> Result<ToldApart, StoreError> {
        let prefix = name.prefix();
        let looks = listed.into_iter().map(|object| async {
            let path = object.key.strip_prefix(&prefix).unwrap_or(&object.key);
            let is_ours = self.is_ours(store, path, &object, cancel).await?;
            Ok::<_, StoreError>((is_ours, object))
        });
        let looked: Vec<_> = stream::iter(looks.collect::<Vec<_>>())
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let (own, others): (Vec<_>, Vec<_>) = looked.into_iter().partition(|(ours, _)| *ours);
        let others = others.into_iter().map(|(_, object)| object);
        let others = others.filter(|object| !object.is_marker());
        let mut foreign: Vec<_> = others.map(|object| ForeignObject::of(&object)).collect();
        foreign.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(ToldApart {
            own: own.into_iter().map(|(_, object)| object).collect(),
            foreign,
        })
    }

    async fn is_ours(
        &self,
        store: &dyn Store,
        path: &str,
        listed: &ListedObject,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        for (manifest, receipt) in self.manifests.values() {
            let Some(file) = ManifestFile::at(&manifest.files, path) else {
                continue;
            };
            if receipt.proves(file, listed) || has_its_bytes(store, file, listed, cancel).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

async fn has_its_bytes(
    store: &dyn Store,
    file: &ManifestFile,
    listed: &ListedObject,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    let Ok(object) = listed.object() else {
        return Ok(false);
    };
    match compare::compare(store, &object, &file.checksums(), cancel).await {
        Ok(Comparison::Equal { .. }) => Ok(true),
        Ok(Comparison::Differs { .. }) => Ok(false),
        // To delete what went since it was listed does nothing.
        Err(error) if error.class() == ErrorClass::NotFound => Ok(true),
        // It was written again since it was listed.
        Err(error) if error.class() == ErrorClass::Precondition => Ok(false),
        Err(error) => Err(error),
    }
}
