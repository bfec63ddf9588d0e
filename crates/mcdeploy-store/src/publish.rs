//! What makes a version one thing in a store: claim, then files, then manifest.
//!
//! **Invariant:** a version is visible whole (its manifest is there) or not at all, and
//! holds one digest for ever. The claim, a small object that is made create-only before
//! the first file and deleted after the manifest, lets one of several writers win before
//! any of them has written a file. It also says what is coming ([`announced`]), and stops
//! whoever would remove the version (`lease`). Whoever works with a claim for longer, or goes
//! on with an old one, holds a lease beside it, so that no sweep takes the claim away.

use std::{
    convert::Infallible,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use mcdeploy_api::{ErrorClass, Sha256Digest, names::MANIFEST_FILE};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, KeyError, ListedObject, Manifest, ManifestError, ObjectInfo, ObjectKey, Store,
    StoreError, VersionName,
    create::{CreateError, Created, create_bytes},
    lease::{self, Lease, Purpose, RENEW, Written},
    manifest::{CLAIM_FILE, MAX_MANIFEST_BYTES, own_key},
    verify::invalid,
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
    /// Objects that mcdeploy did not write are where the version goes.
    #[error(
        "{name} in store {store:?}: somebody else wrote {}; nothing of that was changed: move or delete it, or take another version",
        told(objects)
    )]
    Foreign {
        /// Model and version.
        name: Box<VersionName>,
        /// Store that has them.
        store: Box<str>,
        /// Sorted by key, not empty.
        objects: Vec<ForeignObject>,
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
    /// Somebody removes the version from a store just now.
    #[error(
        "{name} is being removed from store {store:?} by {holder}; try again when that has ended"
    )]
    BeingRemoved {
        /// Model and version.
        name: Box<VersionName>,
        /// The store.
        store: Box<str>,
        /// Who removes it, for people.
        holder: Box<str>,
    },
    /// The target held the others back for longer than it may, in every round.
    #[error(
        "store {store:?} is much slower than the other targets; run the same again to go on with what it has"
    )]
    LeftBehind {
        /// Target store.
        store: String,
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

/// An object that somebody else wrote where a version goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignObject {
    /// Key as the store has it.
    pub key: String,
    /// Length in bytes; none when it went before it was looked at.
    pub size_bytes: Option<u64>,
    /// Last change, in seconds since 1970 by the store's clock; none when unknown.
    pub modified_s: Option<i64>,
}

impl ForeignObject {
    pub(crate) fn of(listed: &ListedObject) -> Self {
        Self {
            key: listed.key.clone(),
            size_bytes: Some(listed.size_bytes),
            modified_s: listed.modified_s,
        }
    }

    pub(crate) fn unseen(key: &ObjectKey) -> Self {
        Self {
            key: key.to_string(),
            size_bytes: None,
            modified_s: None,
        }
    }
}

impl fmt::Display for ForeignObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            size_bytes,
            modified_s,
        } = self;
        let size = size_bytes.map_or_else(|| "size unknown".to_owned(), |n| format!("{n} bytes"));
        let at = modified_s.and_then(|s| DateTime::from_secs(s).fmt(DateTimeFormat::DateTime).ok());
        let at = at.unwrap_or_else(|| "at a time unknown".to_owned());
        write!(f, "{key:?} ({size}, written {at})")
    }
}

/// Objects that are named in an error; of the others their number is told.
const MOST_NAMED: usize = 5;

fn told(objects: &[ForeignObject]) -> String {
    let named: Vec<_> = objects
        .iter()
        .take(MOST_NAMED)
        .map(ToString::to_string)
        .collect();
    let named = named.join(", ");
    match objects.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
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
            Self::Conflict { .. } | Self::Foreign { .. } => ErrorClass::Precondition,
            Self::SourceMismatch { .. }
            | Self::TargetMismatch { .. }
            | Self::Manifest { .. }
            | Self::Name(_) => ErrorClass::Permanent,
            Self::LeftBehind { .. } | Self::BeingRemoved { .. } => ErrorClass::Transient,
            Self::Store(error) => error.class(),
        }
    }

    pub(crate) fn foreign(
        name: &VersionName,
        store: &dyn Store,
        objects: Vec<ForeignObject>,
    ) -> Self {
        Self::Foreign {
            name: Box::new(name.clone()),
            store: store.name().into(),
            objects,
        }
    }

    /// Whether the store has something else where the version goes: what is brought has to
    /// change, or somebody has to decide.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Foreign { .. })
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

impl Files<'_> {
    /// Key of one of the files in the store.
    pub(crate) fn key(&self, path: &ObjectKey) -> Result<ObjectKey, KeyError> {
        match self.version {
            Some(version) => version.key(path),
            None => Ok(path.clone()),
        }
    }
}

/// What the claim says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    manifest_digest: Sha256Digest,
    /// Absent in claims of earlier versions of mcdeploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    /// Who claimed it: an id that no other writer has. Whoever says it also says, by a lease,
    /// that it is still at work. Absent in claims of earlier versions of mcdeploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

/// Whether the claim at this key is of a writer that holds a lease while it works. One that
/// is gone or cannot be read is not.
pub(crate) async fn has_holder(
    store: &dyn Store,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    let claim = read_small(store, key, cancel).await?;
    let claim = claim.and_then(|(_, bytes)| serde_json::from_slice::<Claim>(&bytes).ok());
    Ok(claim.is_some_and(|claim| claim.holder.is_some()))
}

/// The manifest of a version that is on its way into a store; none when nobody claimed it,
/// or the claim does not say.
pub(crate) async fn announced(
    store: &dyn Store,
    name: &VersionName,
    cancel: &CancellationToken,
) -> Result<Option<(Manifest, Sha256Digest)>, StoreError> {
    let key =
        own_key(name, CLAIM_FILE).map_err(|e| invalid(store, CLAIM_FILE, Cause::InvalidKey(e)))?;
    let Some((_, bytes)) = read_small(store, &key, cancel).await? else {
        return Ok(None);
    };
    let claim = serde_json::from_slice::<Claim>(&bytes).ok();
    let told = claim.and_then(|claim| Some((claim.manifest?, claim.manifest_digest)));
    // Like a manifest, it may come from anywhere: only what the digest proves counts.
    Ok(told.and_then(|(manifest, digest)| {
        let manifest = Manifest::from_bytes(&manifest.to_bytes()).ok()?;
        let is_it = manifest.model == name.model() && manifest.version == name.version();
        (is_it && manifest.digest() == digest).then_some((manifest, digest))
    }))
}

/// What a claim found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// Nobody had begun.
    New,
    /// An earlier run, or one beside us, had begun with the same bytes.
    Before,
    /// One beside us has finished in between.
    Finished,
}

/// A version on its way into one store.
pub(crate) struct Publication<'a> {
    pub(crate) to: &'a dyn Store,
    name: &'a VersionName,
    manifest: &'a Manifest,
    offered: Sha256Digest,
    manifest_key: ObjectKey,
    claim_key: ObjectKey,
    holder: String,
    is_claimed: AtomicBool,
    /// Says that the claim is in use: at once for one from before, else after a while.
    lease: OnceCell<Arc<Written>>,
}

impl<'a> Publication<'a> {
    pub(crate) fn new(
        to: &'a dyn Store,
        name: &'a VersionName,
        manifest: &'a Manifest,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            to,
            name,
            manifest,
            offered: manifest.digest(),
            manifest_key: own_key(name, MANIFEST_FILE)?,
            claim_key: own_key(name, CLAIM_FILE)?,
            // A hasher with random keys makes an id that no other holder has.
            holder: format!("{:016x}", RandomState::new().hash_one(0)),
            is_claimed: AtomicBool::new(false),
            lease: OnceCell::new(),
        })
    }

    /// What is said of a target when the caller asked to stop.
    pub(crate) fn cancelled(&self) -> PublishError {
        PublishError::Store(StoreError {
            store: self.to.name().to_owned(),
            location: self.to.location().into(),
            operation: "write",
            key: Some(self.manifest_key.as_str().into()),
            cause: Cause::Cancelled,
        })
    }

    /// What is said of a target that never came to its turn.
    pub(crate) fn given_up(&self) -> PublishError {
        PublishError::LeftBehind {
            store: self.to.name().to_owned(),
        }
    }

    /// Whether the manifest is there. Another one's is a conflict.
    pub(crate) async fn published(&self, cancel: &CancellationToken) -> Result<bool, PublishError> {
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
    pub(crate) async fn claim(&self, cancel: &CancellationToken) -> Result<Claimed, PublishError> {
        let claim = Claim {
            manifest_digest: self.offered,
            manifest: Some(self.manifest.clone()),
            holder: Some(self.holder.clone()),
        };
        let bytes = Bytes::from(serde_json::to_vec(&claim).unwrap_or_default());
        let claimed = loop {
            match create_bytes(self.to, &self.claim_key, &bytes, cancel).await {
                Ok(Created::New) => break Claimed::New,
                Ok(Created::AlreadyThere) if self.take_over(cancel).await? => {
                    break Claimed::Before;
                }
                Ok(Created::AlreadyThere) => continue,
                Err(CreateError::Taken { .. }) => {}
                Err(CreateError::Store(error)) => return Err(error.into()),
            }
            let Some((_, other)) = read_small(self.to, &self.claim_key, cancel).await? else {
                continue; // Finished in between: its manifest is there now.
            };
            self.published(cancel).await?;
            let other = serde_json::from_slice::<Claim>(&other)
                .map_or_else(|_| Sha256Digest::of(&other), |c| c.manifest_digest);
            if other == self.offered {
                if self.take_over(cancel).await? {
                    break Claimed::Before; // Somebody claimed it for the same bytes.
                }
                continue;
            }
            return Err(self.conflict(other, Some(self.claim_key.clone())));
        };
        // A writer of other bytes may have finished just before the claim was ours.
        let outcome = self.published(cancel).await;
        if !matches!(outcome, Ok(false)) {
            self.release(cancel).await;
        }
        if outcome? {
            return Ok(Claimed::Finished);
        }
        self.is_claimed.store(true, Ordering::Relaxed);
        // The claim stays: it tells the next removal to wait, and the next run goes on with it.
        still_wanted(self.to, self.name, cancel).await?;
        Ok(claimed)
    }

    /// Says that a claim from before is in use again. False: it went meanwhile. A sweep
    /// first says that it removes, then looks for this lease: one of both sees the other.
    async fn take_over(&self, cancel: &CancellationToken) -> Result<bool, PublishError> {
        self.hold(cancel).await?;
        still_wanted(self.to, self.name, cancel).await?;
        match self.to.head(&self.claim_key, cancel).await {
            Ok(_) => Ok(true),
            Err(error) if error.class() == ErrorClass::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn hold(&self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let take = || async {
            let lease = Lease::take(self.to, self.name, Purpose::Push, &self.holder, cancel);
            Ok(lease.await?.written())
        };
        self.lease.get_or_try_init(take).await.map(drop)
    }

    fn lease(&self) -> Option<Lease<'a>> {
        let written = self.lease.get()?;
        Some(Lease::of(self.to, Arc::clone(written)))
    }

    /// Renews the claim by a lease beside it, for ever. One that was made just now counts
    /// for a lease's term by itself, so that a short push writes none.
    pub(crate) async fn keep(&self, cancel: &CancellationToken) -> Infallible {
        let mut n = 0;
        loop {
            tokio::time::sleep(RENEW).await;
            n += 1;
            if !self.is_claimed.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(lease) = self.lease() {
                lease.renew(n, cancel).await;
            } else if let Err(error) = self.hold(cancel).await {
                tracing::warn!("a claim is not renewed: {error}");
            }
        }
    }

    /// Gives back what says that the claim is in use.
    pub(crate) async fn let_go(&self) {
        if let Some(lease) = self.lease() {
            lease.release().await;
        }
    }

    /// Writes the manifest: from now on the version is there.
    pub(crate) async fn finish(&self, cancel: &CancellationToken) -> Result<(), PublishError> {
        let bytes = Bytes::from(self.manifest.to_bytes());
        match create_bytes(self.to, &self.manifest_key, &bytes, cancel).await {
            Ok(_) => {}
            Err(CreateError::Taken { expected, actual }) => {
                self.published(cancel).await?;
                return Err(PublishError::TargetMismatch {
                    store: self.to.name().to_owned(),
                    file: self.manifest_key.clone(),
                    expected,
                    actual,
                });
            }
            Err(CreateError::Store(error)) => return Err(error.into()),
        }
        self.release(cancel).await;
        Ok(())
    }

    /// Deletes the claim. One that stays does no harm: whoever sees it sees the manifest.
    pub(crate) async fn release(&self, cancel: &CancellationToken) {
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
}

/// An error while somebody removes the version. For whoever has just written a claim or a
/// lease of its own.
pub(crate) async fn still_wanted(
    store: &dyn Store,
    name: &VersionName,
    cancel: &CancellationToken,
) -> Result<(), PublishError> {
    match lease::removal_of(store, name, cancel).await? {
        None => Ok(()),
        Some(removal) => Err(PublishError::BeingRemoved {
            name: Box::new(name.clone()),
            store: store.name().into(),
            holder: removal.holder.into(),
        }),
    }
}

/// How often a small object may be replaced while it is being read: claims of many writers
/// come and go.
const REPLACEMENTS: u32 = 20;

/// Reads an object of at most [`MAX_MANIFEST_BYTES`]; none when it is not there.
pub(crate) async fn read_small(
    store: &dyn Store,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<Option<(ObjectInfo, Bytes)>, StoreError> {
    let mut seen = 0;
    loop {
        seen += 1;
        let object = match store.head(key, cancel).await {
            Ok(object) => object,
            Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let end = object.size_bytes.min(MAX_MANIFEST_BYTES + 1);
        match store.read(&object, 0..end, cancel).await {
            Ok(bytes) => return Ok(Some((object, bytes))),
            Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
            Err(error) if seen < REPLACEMENTS && matches!(error.cause, Cause::Changed) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Checksums, ManifestFile, open_directory, sweep::sweep};

    fn manifest() -> Manifest {
        let sums = Checksums::of(b"weights");
        let file = ManifestFile {
            path: ObjectKey::new("model.bin").unwrap(),
            size_bytes: sums.size_bytes,
            sha256: Sha256Digest::of(b"weights"),
            crc64nvme: sums.crc64nvme,
            crc32c: sums.crc32c,
        };
        Manifest::new("m", "v1", vec![file]).unwrap()
    }

    #[test]
    fn claims_of_earlier_versions_can_be_read_and_have_no_holder() {
        let digest = manifest().digest();
        let old = format!(r#"{{"manifestDigest":"{digest}"}}"#);
        let claim: Claim = serde_json::from_str(&old).unwrap();
        assert_eq!(claim.manifest_digest, digest);
        assert!(claim.manifest.is_none() && claim.holder.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_renewed_as_long_as_somebody_works_with_it() {
        let root = tempfile::tempdir().unwrap();
        let store = open_directory(root.path()).unwrap();
        let (store, cancel) = (store.as_ref(), CancellationToken::new());
        let (name, manifest) = (VersionName::new("m", "v1").unwrap(), manifest());
        let publication = Publication::new(store, &name, &manifest).unwrap();
        assert_eq!(publication.claim(&cancel).await.unwrap(), Claimed::New);
        assert!(lease::look(store, &name, &cancel).await.unwrap().is_empty());
        let beside = async {
            for _ in 0..3 {
                tokio::time::sleep(RENEW + Duration::from_secs(1)).await;
                let seen = lease::look(store, &name, &cancel).await.unwrap();
                assert_eq!(seen.len(), 1);
                assert_eq!(seen[0].purpose, Purpose::Push);
            }
        };
        tokio::select! {
            () = beside => {}
            never = publication.keep(&cancel) => match never {},
        }
        publication.let_go().await;
        assert!(lease::look(store, &name, &cancel).await.unwrap().is_empty());
        // By the store's clock the claim is young.
        let swept = sweep(store, Duration::ZERO, false, &cancel).await.unwrap();
        assert!(swept.claims.is_empty());
    }

    #[tokio::test]
    async fn a_claim_that_went_while_it_was_taken_over_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let store = open_directory(root.path()).unwrap();
        let (store, cancel) = (store.as_ref(), CancellationToken::new());
        let (name, manifest) = (VersionName::new("m", "v1").unwrap(), manifest());
        let publication = Publication::new(store, &name, &manifest).unwrap();
        assert!(!publication.take_over(&cancel).await.unwrap());
        assert_eq!(publication.claim(&cancel).await.unwrap(), Claimed::New);
        let other = Publication::new(store, &name, &manifest).unwrap();
        assert_eq!(other.claim(&cancel).await.unwrap(), Claimed::Before);
    }
}
