//! One version's place in the cache of a node, and the locks around it.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mcdeploy_api::{
    FetchPlan, Sha256Digest,
    names::{CACHED_FILES, MANIFEST_FILE},
};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use tokio::{fs, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{fetched, holds, make_directory, remove, write_error};
use crate::{FetchError, Fetched, MAX_MANIFEST_BYTES, Manifest};

/// How often a lock that somebody else has is tried. A lock cannot be waited for and
/// cancelled at once.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// A version in the cache of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedVersion {
    /// Digest of its manifest.
    pub digest: Sha256Digest,
    /// What its files take, or may take once they are read, in bytes.
    pub size_bytes: u64,
    /// When it was last asked for.
    pub used_at: SystemTime,
    /// All files are there, as they were read. Whether they are still as they were is
    /// checked when somebody asks for it.
    pub whole: bool,
}

pub(super) struct Slot {
    pub(super) digest: Sha256Digest,
    path: PathBuf,
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Shared,
    Alone,
}

/// Held until it is dropped, or the process ends.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Notes that the version is asked for.
    pub(super) fn touch(&self) -> Result<(), FetchError> {
        let at = |nanoseconds| Timespec {
            tv_sec: 0,
            tv_nsec: nanoseconds,
        };
        let times = Timestamps {
            last_access: at(UTIME_OMIT),
            last_modification: at(UTIME_NOW),
        };
        futimens(&self.file, &times).map_err(|error| write_error(&self.path)(error.into()))
    }
}

impl Slot {
    pub(super) fn new(root: &Path, digest: Sha256Digest) -> Self {
        Self {
            digest,
            path: root.join(digest.hex()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn files(&self) -> PathBuf {
        self.path.join(CACHED_FILES)
    }

    pub(super) fn partial(&self) -> PathBuf {
        self.path.join("partial")
    }

    fn size(&self) -> PathBuf {
        self.path.join("size")
    }

    /// Waits for the lock. Makes the slot if it is absent.
    pub(super) async fn lock(
        &self,
        hold: Hold,
        cancel: &CancellationToken,
    ) -> Result<Lock, FetchError> {
        lock_file(&self.path.join("lock"), hold, cancel).await
    }

    /// The lock, if nobody has it.
    pub(super) fn try_lock(&self) -> Result<Option<Lock>, FetchError> {
        try_lock_file(&self.path.join("lock"), Hold::Alone)
    }

    /// What is there, if every byte of it is as the plan's digest says.
    pub(super) async fn whole(
        &self,
        plan: &FetchPlan,
        cancel: &CancellationToken,
    ) -> Option<Fetched> {
        let files = self.files();
        let path = files.join(MANIFEST_FILE);
        let length = fs::metadata(&path).await.ok()?.len();
        if length > MAX_MANIFEST_BYTES {
            return None;
        }
        let bytes = Bytes::from(fs::read(&path).await.ok()?);
        if Sha256Digest::of(&bytes) != self.digest {
            return None;
        }
        let manifest = Manifest::from_bytes(&bytes).ok()?;
        if (&manifest.model, &manifest.version) != (&plan.model, &plan.version) {
            return None;
        }
        let same = holds(&files, &manifest, &bytes, cancel).await;
        same.then(|| fetched(&manifest, &files, true))
    }

    /// Differs between a copy of the files and the one that takes its place; `None`
    /// without one.
    pub(super) fn files_id(&self) -> Option<u64> {
        std::fs::metadata(self.files())
            .ok()
            .map(|found| found.ino())
    }

    /// Notes what the slot may take.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<(), FetchError> {
        let path = self.size();
        fs::write(&path, format!("{bytes}\n"))
            .await
            .map_err(write_error(&path))
    }

    /// Takes back what was noted for a copy that did not come about.
    pub(super) async fn release(&self) -> Result<(), FetchError> {
        remove(&self.partial()).await?;
        if self.files_id().is_some() {
            return Ok(());
        }
        match fs::remove_file(self.size()).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(write_error(&self.size())(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// `None`: it went meanwhile.
    pub(super) async fn look(&self) -> Option<CachedVersion> {
        let lock = fs::metadata(self.path.join("lock")).await.ok()?;
        let size = fs::read_to_string(self.size()).await.unwrap_or_default();
        Some(CachedVersion {
            digest: self.digest,
            size_bytes: size.trim().parse().unwrap_or(0),
            used_at: lock.modified().ok()?,
            whole: self.files_id().is_some(),
        })
    }
}

/// Waits for the lock on a file, which is made with its directory if it is absent.
pub(super) async fn lock_file(
    path: &Path,
    hold: Hold,
    cancel: &CancellationToken,
) -> Result<Lock, FetchError> {
    loop {
        if let Some(parent) = path.parent() {
            make_directory(parent).await?;
        }
        if let Some(lock) = try_lock_file(path, hold)? {
            return Ok(lock);
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(FetchError::Cancelled),
            () = sleep(TRY_EVERY) => {}
        }
    }
}

/// A container that starts again after its slot went gets an empty directory of root's in
/// its place. It is removed: the directory around it is ours.
fn is_left_by_the_kubelet(error: &io::Error, lock: &Path) -> bool {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let empty = |slot| std::fs::remove_dir(slot).is_ok();
    denied && lock.parent().is_some_and(empty)
}

/// `None`: somebody else has it, or the slot went while it was being locked.
fn try_lock_file(path: &Path, hold: Hold) -> Result<Option<Lock>, FetchError> {
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if is_left_by_the_kubelet(&error, path) => return Ok(None),
        Err(error) => return Err(write_error(path)(error)),
    };
    let locked = match hold {
        Hold::Shared => file.try_lock_shared(),
        Hold::Alone => file.try_lock(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(write_error(path)(error)),
    }
    // Another file may have the name by now: a lock on this one keeps nobody out.
    let here = std::fs::metadata(path).ok().map(|found| found.ino());
    let mine = file.metadata().map_err(write_error(path))?.ino();
    Ok((here == Some(mine)).then(|| Lock {
        file,
        path: path.to_owned(),
    }))
}
