//! The versions of one node in a directory that its pods share: each is read from the
//! store once, and checked by hash whenever somebody is about to use it.
//!
//! `<root>/<hex digits of the manifest's digest>` is the slot of a version:
//!
//! | in the slot | what it is |
//! |---|---|
//! | `files/` | the version, whole; appears by one rename |
//! | `partial/` | what is being read |
//! | `size` | bytes that the slot may take: counted before they are read |
//! | `lock` | locked by whoever reads (shared) or changes (alone) the slot; its time of change is when the version was last asked for |
//!
//! **Invariants:** `files/` is never changed, only replaced as a whole; a slot goes only
//! while nobody has its lock. A pod that serves has none: whoever calls
//! [`NodeCache::evict`] knows which versions are in use.

mod slot;

use std::path::{Path, PathBuf};

use mcdeploy_api::{FetchPlan, Sha256Digest, names::CACHED_FILES};
use tokio::fs;
use tokio_util::sync::CancellationToken;

use self::slot::{Hold, Slot, lock_file};
use crate::{
    FetchError, Fetched, OnProgress,
    fetch::{Version, fetch_version, fetched, holds, make_directory, remove, write_error},
    open,
    verify::version_name,
};

pub use slot::CachedVersion;

/// The cache of one node.
#[derive(Clone, Debug)]
pub struct NodeCache {
    root: PathBuf,
    quota_bytes: u64,
}

/// What [`fetch_through`] did.
#[derive(Debug)]
pub struct Through {
    /// The version, in the cache or beside it.
    pub fetched: Fetched,
    /// Why the cache does not have it; `None`: it does.
    pub beside: Option<FetchError>,
}

impl NodeCache {
    /// The cache in `root`, which is made if it is absent. It never holds more than
    /// `quota_bytes` of versions.
    pub fn new(root: impl Into<PathBuf>, quota_bytes: u64) -> Self {
        Self {
            root: root.into(),
            quota_bytes,
        }
    }

    /// What it may hold, in bytes.
    pub fn quota_bytes(&self) -> u64 {
        self.quota_bytes
    }

    /// Makes the cache hold the plan's version. However many ask at once, on this node
    /// one reads it from the store; the others wait, and check what they find by hash.
    /// Where it is whole the store is asked nothing. Idempotent.
    ///
    /// # Errors
    /// [`FetchError::is_local`]: the cache has no room, or cannot be written; the slot's
    /// directory is there in any case if it could be made. Others as [`fetch_version`].
    pub async fn hold(
        &self,
        plan: &FetchPlan,
        on_progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let slot = self.slot(&plan.manifest_digest);
        loop {
            let seen = {
                let lock = slot.lock(Hold::Shared, cancel).await?;
                if let Some(fetched) = slot.whole(plan, cancel).await {
                    lock.touch()?;
                    return Ok(fetched);
                }
                slot.files_id()
            };
            if cancel.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let lock = slot.lock(Hold::Alone, cancel).await?;
            if slot.files_id() != seen {
                // Somebody read it meanwhile: that is checked like any other.
                continue;
            }
            lock.touch()?;
            let filled = self.fill(&slot, plan, on_progress, cancel).await;
            if filled.is_err()
                && let Err(error) = slot.release().await
            {
                tracing::warn!("a slot of the cache stays reserved: {error}");
            }
            return filled;
        }
    }

    async fn fill(
        &self,
        slot: &Slot,
        plan: &FetchPlan,
        on_progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let store = open(&plan.store).await?;
        let store = store.as_ref();
        let name = version_name(store, &plan.model, &plan.version)?;
        let version = Version::find(store, name, &plan.manifest_digest, cancel).await?;
        self.admit(slot, version.size_bytes(), cancel).await?;
        let (files, partial) = (slot.files(), slot.partial());
        version
            .read_into(&files, &partial, on_progress, cancel)
            .await?;
        Ok(version.fetched(&files, false))
    }

    /// Counts a version before it is read: two that are read at once fit together.
    async fn admit(
        &self,
        slot: &Slot,
        needed_bytes: u64,
        cancel: &CancellationToken,
    ) -> Result<(), FetchError> {
        let _all = lock_file(&self.root.join(".lock"), Hold::Alone, cancel).await?;
        let others = self.versions().await?.into_iter();
        let others = others.filter(|other| other.digest != slot.digest);
        let taken_bytes = others.fold(0, |sum: u64, other| sum.saturating_add(other.size_bytes));
        if taken_bytes.saturating_add(needed_bytes) > self.quota_bytes {
            return Err(FetchError::NoRoom {
                path: self.root.clone(),
                needed_bytes,
                taken_bytes,
                quota_bytes: self.quota_bytes,
            });
        }
        slot.reserve(needed_bytes).await
    }

    /// One entry per slot, whole or not, sorted by when it was last asked for.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn versions(&self) -> Result<Vec<CachedVersion>, FetchError> {
        let mut found = Vec::new();
        make_directory(&self.root).await?;
        let read = || write_error(&self.root);
        let mut entries = fs::read_dir(&self.root).await.map_err(read())?;
        while let Some(entry) = entries.next_entry().await.map_err(read())? {
            let name = entry.file_name();
            let digest = name.to_str().map(|name| format!("sha256:{name}").parse());
            if let Some(Ok(digest)) = digest {
                found.extend(self.slot(&digest).look().await);
            }
        }
        found.sort_by_key(|version| (version.used_at, version.digest));
        Ok(found)
    }

    /// Frees a slot. Answers `false`, and leaves it, while somebody reads or writes it.
    /// What a serving pod uses is for the caller to know.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn evict(&self, digest: &Sha256Digest) -> Result<bool, FetchError> {
        let slot = self.slot(digest);
        let Some(_alone) = slot.try_lock()? else {
            return Ok(false);
        };
        // Out of the way first: whoever comes now makes a new one.
        let leaving = self.root.join(format!(".leaving-{}", digest.hex()));
        remove(&leaving).await?;
        fs::rename(slot.path(), &leaving)
            .await
            .map_err(write_error(slot.path()))?;
        remove(&leaving).await?;
        Ok(true)
    }

    fn slot(&self, digest: &Sha256Digest) -> Slot {
        Slot::new(&self.root, *digest)
    }
}

/// Makes `<root>/<model>/<version>` lead to the plan's version: to the slot of the node's
/// cache, which the model server sees at `seen_at`, or, where the cache has no room or
/// cannot be written, hold it. Idempotent.
///
/// # Errors
/// As [`fetch_version`].
pub async fn fetch_through(
    cache: &NodeCache,
    plan: &FetchPlan,
    root: &Path,
    seen_at: &Path,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Through, FetchError> {
    match cache.hold(plan, on_progress, cancel).await {
        Ok(fetched) => {
            link(root, plan, &seen_at.join(CACHED_FILES)).await?;
            let beside = None;
            Ok(Through { fetched, beside })
        }
        Err(error) if error.is_local() => {
            let fetched = fetch_version(plan, root, on_progress, cancel).await?;
            let beside = Some(error);
            Ok(Through { fetched, beside })
        }
        Err(error) => Err(error),
    }
}

async fn link(root: &Path, plan: &FetchPlan, to: &Path) -> Result<(), FetchError> {
    let directory = root.join(&plan.model);
    let (path, new) = (
        directory.join(&plan.version),
        directory.join(format!(".{}.link", plan.version)),
    );
    make_directory(&directory).await?;
    // A whole copy of its own, from a time when the cache had no room, or an old link.
    remove(&path).await?;
    remove(&new).await?;
    fs::symlink(to, &new).await.map_err(write_error(&new))?;
    fs::rename(&new, &path).await.map_err(write_error(&path))
}
