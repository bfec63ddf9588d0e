//! Reads a version from a store into a local directory, checking every byte.
//!
//! **Invariant:** `<root>/<model>/<version>` appears by one rename, after every file in it
//! had the manifest's SHA-256.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use mcdeploy_api::{ErrorClass, FetchPlan, Reason, Sha256Digest, names::MANIFEST_FILE};
use sha2::{Digest as _, Sha256};
use tokio::{fs, io::AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Manifest, ManifestFile, OnProgress, PushError, Step, Store, StoreError, VersionName,
    local, open,
    progress::Meter,
    store::{MAX_WHOLE_BYTES, part_ranges},
    verify::{Found, read_manifest, version_name},
};

/// A version that is whole in a local directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// `<root>/<model>/<version>`.
    pub directory: PathBuf,
    /// Sum of the files' sizes, in bytes.
    pub size_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Whether it was there already, whole, and no file was read from the store.
    pub was_there: bool,
}

/// Why a version could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store has no such version.
    #[error("{MANIFEST_FILE}: expected {digest}, actual absent in store {store:?}")]
    Missing {
        /// The store.
        store: String,
        /// Digest of the manifest that was asked for.
        digest: Sha256Digest,
    },
    /// Bytes differ from the manifest, or the manifest from its digest.
    #[error("{detail} in store {store:?}")]
    Mismatch {
        /// The store.
        store: String,
        /// File, expected and actual.
        detail: String,
    },
    /// A local file or directory cannot be written.
    #[error("write {path:?}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node's cache may not hold that much more.
    #[error(
        "the cache {path:?} has no room: {needed_bytes} bytes wanted, {taken_bytes} of {quota_bytes} taken"
    )]
    NoRoom {
        /// The cache.
        path: PathBuf,
        /// Size of the version.
        needed_bytes: u64,
        /// What other versions take.
        taken_bytes: u64,
        /// What it may hold.
        quota_bytes: u64,
    },
    /// It was told to end.
    #[error("cancelled")]
    Cancelled,
    /// The store did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Missing { .. } => ErrorClass::NotFound,
            Self::Mismatch { .. } | Self::Write { .. } | Self::NoRoom { .. } => {
                ErrorClass::Permanent
            }
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Store(error) => error.class(),
        }
    }

    /// The word for it in a status and in a termination message.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing { .. } => Reason::ArtifactMissing,
            Self::Mismatch { .. } => Reason::ChecksumMismatch,
            Self::Write { .. } | Self::NoRoom { .. } => Reason::Invalid,
            Self::Cancelled => Reason::Pending,
            Self::Store(error) => error.reason(),
        }
    }

    /// Whether the place that it was written to is at fault, and another one may do.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Write { .. } | Self::NoRoom { .. } => true,
            Self::Missing { .. } | Self::Mismatch { .. } | Self::Cancelled | Self::Store(_) => {
                false
            }
        }
    }
}

/// Makes `<root>/<model>/<version>` hold the plan's version. Idempotent.
///
/// # Errors
/// [`FetchError::Mismatch`] names file, expected and actual; nothing is visible then.
pub async fn fetch_version(
    plan: &FetchPlan,
    root: &Path,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    let store = open(&plan.store).await?;
    let FetchPlan {
        model,
        version,
        manifest_digest,
        store: _,
        node_cache: _,
    } = plan;
    let digest = manifest_digest;
    read_version(
        store.as_ref(),
        model,
        version,
        digest,
        root,
        on_progress,
        cancel,
    )
    .await
}

/// [`fetch_version`] from a store that is open.
///
/// # Errors
/// As [`fetch_version`].
pub async fn read_version(
    store: &dyn Store,
    model: &str,
    version: &str,
    digest: &Sha256Digest,
    root: &Path,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    let version = Version::find(store, version_name(store, model, version)?, digest, cancel);
    let version = version.await?;
    let directory = root.join(model).join(version.name.version());
    if holds(&directory, &version.manifest, &version.bytes, cancel).await {
        return Ok(version.fetched(&directory, true));
    }
    let partial = root
        .join(model)
        .join(format!(".{}.partial", version.name.version()));
    version
        .read_into(&directory, &partial, on_progress, cancel)
        .await?;
    Ok(version.fetched(&directory, false))
}

/// A version of a store by its manifest.
pub(crate) struct Version<'a> {
    store: &'a dyn Store,
    name: VersionName,
    manifest: Manifest,
    bytes: Bytes,
}

impl<'a> Version<'a> {
    pub(crate) async fn find(
        store: &'a dyn Store,
        name: VersionName,
        digest: &Sha256Digest,
        cancel: &CancellationToken,
    ) -> Result<Self, FetchError> {
        match read_manifest(store, &name, digest, cancel).await? {
            Found::Manifest(manifest, bytes) => Ok(Self {
                store,
                name,
                manifest,
                bytes,
            }),
            Found::Missing => Err(FetchError::Missing {
                store: store.name().to_owned(),
                digest: *digest,
            }),
            Found::Other(detail) => Err(mismatch(store, detail)),
        }
    }

    /// Sum of the files' sizes, in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.manifest.size_bytes()
    }

    pub(crate) fn fetched(&self, directory: &Path, was_there: bool) -> Fetched {
        fetched(&self.manifest, directory, was_there)
    }

    /// Reads every file into `partial`, and makes that `directory` when all is well.
    pub(crate) async fn read_into(
        &self,
        directory: &Path,
        partial: &Path,
        on_progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), FetchError> {
        remove(partial).await?;
        let outcome = async {
            let mut meter = Meter {
                step: Step::Fetch,
                store: Some(self.store),
                total_bytes: self.size_bytes(),
                done_bytes: 0,
                on_progress,
            };
            make_directory(partial).await?;
            for file in &self.manifest.files {
                fetch_file(self.store, &self.name, file, partial, &mut meter, cancel).await?;
            }
            let path = partial.join(MANIFEST_FILE);
            fs::write(&path, &self.bytes)
                .await
                .map_err(write_error(&path))?;
            remove(directory).await?;
            fs::rename(partial, directory)
                .await
                .map_err(write_error(directory))
        };
        if let Err(error) = outcome.await {
            if let Err(error) = remove(partial).await {
                tracing::warn!("a partial copy stays: {error}");
            }
            return Err(error);
        }
        Ok(())
    }
}

pub(crate) fn fetched(manifest: &Manifest, directory: &Path, was_there: bool) -> Fetched {
    Fetched {
        directory: directory.to_owned(),
        size_bytes: manifest.size_bytes(),
        files: manifest.files.len(),
        was_there,
    }
}

fn mismatch(store: &dyn Store, detail: String) -> FetchError {
    FetchError::Mismatch {
        store: store.name().to_owned(),
        detail,
    }
}

pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Write { path, source }
}

/// Whether the directory has exactly these bytes already, as after a restarted pod.
pub(crate) async fn holds(
    directory: &Path,
    manifest: &Manifest,
    manifest_bytes: &Bytes,
    cancel: &CancellationToken,
) -> bool {
    let manifest_there = fs::read(directory.join(MANIFEST_FILE)).await;
    if !manifest_there.is_ok_and(|bytes| bytes == *manifest_bytes) {
        return false;
    }
    let found: Result<Vec<ManifestFile>, PushError> =
        local::hash_files(directory, &|_| {}, cancel).await;
    found.is_ok_and(|files| {
        let mut there: BTreeMap<_, _> = files.into_iter().map(|f| (f.path.clone(), f)).collect();
        there.retain(|path, _| path.as_str() != MANIFEST_FILE);
        there.values().eq(manifest.files.iter())
    })
}

async fn fetch_file(
    store: &dyn Store,
    name: &VersionName,
    file: &ManifestFile,
    partial: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancellationToken,
) -> Result<(), FetchError> {
    let ManifestFile {
        path: key,
        size_bytes,
        sha256,
        crc64nvme: _,
        crc32c: _,
    } = file;
    let differs = |actual: String| {
        let detail = format!("{key}: expected {size_bytes} bytes {sha256}, actual {actual}");
        mismatch(store, detail)
    };
    let invalid = |e| mismatch(store, format!("{key}: {e}"));
    let object = match store.head(&name.key(key).map_err(invalid)?, cancel).await {
        Ok(object) => object,
        Err(e) if e.class() == ErrorClass::NotFound => return Err(differs("absent".to_owned())),
        Err(e) => return Err(e.into()),
    };
    if object.size_bytes != *size_bytes {
        return Err(differs(format!("{} bytes", object.size_bytes)));
    }
    let path = partial.join(key.as_str());
    if let Some(parent) = path.parent() {
        make_directory(parent).await?;
    }
    let mut out = fs::File::create_new(&path)
        .await
        .map_err(write_error(&path))?;
    let ranges = part_ranges(*size_bytes, MAX_WHOLE_BYTES);
    let mut parts = std::pin::pin!(
        stream::iter(ranges)
            .map(|range| store.read(&object, range, cancel))
            .buffered(2)
    );
    let mut hasher = Sha256::new();
    while let Some(bytes) = parts.next().await {
        let bytes = bytes.map_err(|error| match error.cause {
            Cause::Changed => differs("changed while it was read".to_owned()),
            _ => error.into(),
        })?;
        hasher.update(&bytes);
        out.write_all(&bytes).await.map_err(write_error(&path))?;
        meter.add(key, bytes.len() as u64);
    }
    out.flush().await.map_err(write_error(&path))?;
    let actual = Sha256Digest::from_bytes(hasher.finalize().into());
    if actual != *sha256 {
        return Err(differs(format!("{size_bytes} bytes {actual}")));
    }
    Ok(())
}

pub(crate) async fn make_directory(path: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(path).await.map_err(write_error(path))
}

pub(crate) async fn remove(path: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(path).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(write_error(path)(error)),
    }
}
