//! Puts a version into a store: claim, files, manifest, in this order.
//!
//! **Invariant:** a version is visible whole (its manifest is there) or not at all, and
//! holds one digest for ever. The claim, a small object that is made create-only before
//! the first file and deleted after the manifest, lets one of several writers win before
//! any of them has written a file.

use bytes::Bytes;
use mcdeploy_api::{ErrorClass, Sha256Digest, names::MANIFEST_FILE};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    Checksums, KeyError, Manifest, ManifestError, ObjectInfo, ObjectKey, OnProgress, Step, Store,
    StoreError, VersionName,
    copy::{Copied, CopyError, Source, create_object},
    manifest::{CLAIM_FILE, MAX_MANIFEST_BYTES, own_key},
    progress::Meter,
};

/// Why a version could not be put into a store.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The version is there, or on its way, with other bytes.
    #[error(
        "{name} in store {store:?} already has {existing}, refused {offered}{}; push the new bytes under a new version",
        unfinished_note(unfinished.as_deref())
    )]
    Conflict {
        /// Model and version.
        name: Box<VersionName>,
        /// Store that has it.
        store: Box<str>,
        /// Manifest digest that the version has.
        existing: Sha256Digest,
        /// Manifest digest that was refused.
        offered: Sha256Digest,
        /// Key of the claim, when the existing one is not published yet.
        unfinished: Option<Box<ObjectKey>>,
    },
    /// The source's bytes are not those of the manifest.
    #[error("{file}: expected {expected}, actual {actual} in store {store:?}, the source")]
    SourceMismatch {
        /// Source store.
        store: String,
        /// File of the version.
        file: ObjectKey,
        /// Size and checksums of the manifest.
        expected: String,
        /// What was found.
        actual: String,
    },
    /// A published file in the target holds other bytes: somebody overwrote it.
    #[error(
        "{file}: expected {expected}, actual {actual} in store {store:?}, the target; delete that object and try again"
    )]
    TargetMismatch {
        /// Target store.
        store: String,
        /// File of the version.
        file: ObjectKey,
        /// Size and checksums of the manifest.
        expected: String,
        /// What was found.
        actual: String,
    },
    /// The store's own manifest cannot be used.
    #[error("{key:?} in store {store:?}: {source}")]
    Manifest {
        /// Store that has it.
        store: String,
        /// Its key.
        key: ObjectKey,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A name that is not safe.
    #[error(transparent)]
    Name(#[from] KeyError),
    /// A store did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn unfinished_note(claim: Option<&ObjectKey>) -> String {
    claim.map_or_else(String::new, |key| {
        format!(
            " (that push did not finish: repeat it, or delete {key:?} and its files to give it up)"
        )
    })
}

impl PublishError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Conflict { .. } => ErrorClass::Precondition,
            Self::SourceMismatch { .. }
            | Self::TargetMismatch { .. }
            | Self::Manifest { .. }
            | Self::Name(_) => ErrorClass::Permanent,
            Self::Store(error) => error.class(),
        }
    }

    /// Whether bytes differ from what they should be.
    pub fn is_checksum_mismatch(&self) -> bool {
        matches!(
            self,
            Self::SourceMismatch { .. } | Self::TargetMismatch { .. }
        )
    }
}

/// Where the files of a version are read from.
pub(crate) struct Files<'a> {
    pub(crate) store: &'a dyn Store,
    /// The version's directory in a store; none where the store is that directory.
    pub(crate) version: Option<&'a VersionName>,
}

/// What the claim says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    manifest_digest: Sha256Digest,
}

/// Makes `to` hold the version. Returns whether anything was new.
pub(crate) async fn publish(
    from: &Files<'_>,
    to: &dyn Store,
    name: &VersionName,
    manifest: &Manifest,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<bool, PublishError> {
    let publication = Publication {
        to,
        name,
        offered: manifest.digest(),
        manifest_key: own_key(name, MANIFEST_FILE)?,
        claim_key: own_key(name, CLAIM_FILE)?,
    };
    let published = publication.published(cancel).await?;
    if !published {
        publication.claim(cancel).await?;
    }
    let mut meter = Meter {
        step: Step::Copy,
        total_bytes: manifest.size_bytes(),
        done_bytes: 0,
        on_progress,
    };
    let mut is_new = !published;
    for file in &manifest.files {
        let from_key = match from.version {
            Some(version) => version.key(&file.path)?,
            None => file.path.clone(),
        };
        let source = Source::Object(from.store, &from_key);
        let content = file.checksums();
        let before = meter.done_bytes;
        let mut repair = !published;
        loop {
            let key = name.key(&file.path)?;
            let progress = Some((&mut meter, &file.path));
            match create_object(&source, to, &key, &content, progress, cancel).await {
                Ok(copied) => {
                    is_new |= copied == Copied::Created;
                    break;
                }
                // Nobody can have read this: there was no manifest, and the claim is ours.
                Err(CopyError::Taken { object, .. }) if repair => {
                    repair = false;
                    to.delete(&object, cancel).await?;
                }
                Err(error) => return Err(publication.explain(error, from, &file.path)),
            }
        }
        let done = meter.done_bytes - before;
        meter.add(&file.path, content.size_bytes.saturating_sub(done));
    }
    if !published {
        publication.finish(manifest, cancel).await?;
    }
    Ok(is_new)
}

struct Publication<'a> {
    to: &'a dyn Store,
    name: &'a VersionName,
    offered: Sha256Digest,
    manifest_key: ObjectKey,
    claim_key: ObjectKey,
}

impl Publication<'_> {
    /// Whether the manifest is there. Another one's is a conflict.
    async fn published(&self, cancel: &CancellationToken) -> Result<bool, PublishError> {
        match read_small(self.to, &self.manifest_key, cancel).await? {
            None => Ok(false),
            Some((_, bytes)) if Sha256Digest::of(&bytes) == self.offered => Ok(true),
            Some((_, bytes)) => Err(self.conflict(Sha256Digest::of(&bytes), None)),
        }
    }

    fn conflict(&self, existing: Sha256Digest, unfinished: Option<ObjectKey>) -> PublishError {
        PublishError::Conflict {
            name: Box::new(self.name.clone()),
            store: self.to.name().into(),
            existing,
            offered: self.offered,
            unfinished: unfinished.map(Box::new),
        }
    }

    /// Makes this writer, or one with the same bytes, the only one.
    async fn claim(&self, cancel: &CancellationToken) -> Result<(), PublishError> {
        let claim = Claim {
            manifest_digest: self.offered,
        };
        let bytes = Bytes::from(serde_json::to_vec(&claim).unwrap_or_default());
        let content = Checksums::of(&bytes);
        let source = Source::Bytes(&bytes);
        loop {
            match create_object(&source, self.to, &self.claim_key, &content, None, cancel).await {
                Ok(_) => break,
                Err(CopyError::Taken { .. }) => {}
                Err(CopyError::Store(error)) => return Err(error.into()),
                Err(CopyError::Source { expected, actual }) => {
                    return Err(self.mismatch(expected, actual, self.claim_key.clone()));
                }
            }
            let Some((_, other)) = read_small(self.to, &self.claim_key, cancel).await? else {
                continue; // Finished in between: its manifest is there now.
            };
            self.published(cancel).await?;
            let other = serde_json::from_slice::<Claim>(&other)
                .map_or_else(|_| Sha256Digest::of(&other), |c| c.manifest_digest);
            return Err(self.conflict(other, Some(self.claim_key.clone())));
        }
        // A writer of other bytes may have finished just before the claim was ours.
        let outcome = self.published(cancel).await;
        if matches!(outcome, Err(PublishError::Conflict { .. })) {
            self.release(cancel).await;
        }
        outcome.map(|_| ())
    }

    async fn finish(
        &self,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<(), PublishError> {
        let bytes = Bytes::from(manifest.to_bytes());
        let content = Checksums::of(&bytes);
        let source = Source::Bytes(&bytes);
        match create_object(&source, self.to, &self.manifest_key, &content, None, cancel).await {
            Ok(_) => {}
            Err(CopyError::Taken {
                expected, actual, ..
            }) => {
                self.published(cancel).await?;
                return Err(self.mismatch(expected, actual, self.manifest_key.clone()));
            }
            Err(CopyError::Source { expected, actual }) => {
                return Err(self.mismatch(expected, actual, self.manifest_key.clone()));
            }
            Err(CopyError::Store(error)) => return Err(error.into()),
        }
        self.release(cancel).await;
        Ok(())
    }

    /// Deletes the claim. One that stays does no harm: whoever sees it sees the manifest.
    async fn release(&self, cancel: &CancellationToken) {
        let outcome = async {
            let claim = self.to.head(&self.claim_key, cancel).await?;
            self.to.delete(&claim, cancel).await
        };
        match outcome.await {
            Err(error) if error.class() != ErrorClass::NotFound => {
                tracing::warn!("the note of a finished push stays: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn mismatch(&self, expected: String, actual: String, file: ObjectKey) -> PublishError {
        PublishError::TargetMismatch {
            store: self.to.name().to_owned(),
            file,
            expected,
            actual,
        }
    }

    fn explain(&self, error: CopyError, from: &Files<'_>, file: &ObjectKey) -> PublishError {
        match error {
            CopyError::Store(error) => error.into(),
            CopyError::Source { expected, actual } => PublishError::SourceMismatch {
                store: from.store.name().to_owned(),
                file: file.clone(),
                expected,
                actual,
            },
            CopyError::Taken {
                expected, actual, ..
            } => self.mismatch(expected, actual, file.clone()),
        }
    }
}

/// Reads an object of at most [`MAX_MANIFEST_BYTES`]; none when it is not there.
pub(crate) async fn read_small(
    store: &dyn Store,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<Option<(ObjectInfo, Bytes)>, StoreError> {
    let object = match store.head(key, cancel).await {
        Ok(object) => object,
        Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let end = object.size_bytes.min(MAX_MANIFEST_BYTES + 1);
    match store.read(&object, 0..end, cancel).await {
        Ok(bytes) => Ok(Some((object, bytes))),
        Err(error) if error.class() == ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
