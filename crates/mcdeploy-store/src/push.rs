//! Takes a local directory into a store as a version.

use std::{
    io,
    path::{Path, PathBuf},
};

use mcdeploy_api::{ErrorClass, Sha256Digest};
use tokio_util::sync::CancellationToken;

use crate::{
    KeyError, Manifest, ManifestError, ObjectKey, OnProgress, PublishError, Store, StoreError,
    VersionName,
    directory::open_directory,
    engine::{Job, TransferOptions},
    local,
    publish::Files,
};

/// A version that a store now holds whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// SHA-256 of the manifest.
    pub manifest_digest: Sha256Digest,
    /// Sum of the files' sizes, in bytes.
    pub size_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Whether the store lacked anything; false when the version was there already.
    pub is_new: bool,
    /// Files that somebody else had written to the store with the same bytes, and that are
    /// part of the version now. Sorted by path.
    pub adopted: Vec<ObjectKey>,
}

/// Why a directory could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A local file or directory cannot be read.
    #[error("read {path:?}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the directory is not a plain file with a usable name.
    #[error("{path:?} cannot be part of a version: {why}")]
    Unsupported {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The files make no manifest.
    #[error("{path:?}: {source}")]
    Manifest {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// Model or version are not usable names.
    #[error(transparent)]
    Name(#[from] KeyError),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A conflict with what is there, or a store that did not do what was asked.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The directory could not be opened as a store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PushError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Read { .. }
            | Self::Unsupported { .. }
            | Self::Manifest { .. }
            | Self::Name(_) => ErrorClass::Permanent,
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Publish(error) => error.class(),
            Self::Store(error) => error.class(),
        }
    }
}

/// Makes `store` hold every file below `dir` as `model` `version`.
///
/// Files are hashed first, then written create-only, the manifest last. Doing it again
/// with the same bytes changes nothing. A file that changes between the two readings is
/// an error, and nothing becomes visible.
///
/// # Errors
/// [`PublishError::Conflict`] (class `Precondition`) with both digests when the version
/// has other bytes; [`PublishError::Foreign`] when somebody else wrote where it goes.
pub async fn push_version(
    store: &dyn Store,
    dir: &Path,
    model: &str,
    version: &str,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Pushed, PushError> {
    let name = VersionName::new(model, version)?;
    let manifest = manifest_of(dir, &name, on_progress, cancel).await?;
    let source = open_directory(dir)?;
    let job = Job {
        from: Files {
            store: source.as_ref(),
            version: None,
        },
        name: &name,
        manifest: &manifest,
        options: &TransferOptions::default(),
        on_progress,
        cancel,
    };
    let outcome = job.replicate(&[store]).await?.pop();
    let (is_new, adopted) = match outcome {
        Some(target) => (target.outcome?, target.adopted),
        None => (false, vec![]),
    };
    Ok(Pushed {
        manifest_digest: manifest.digest(),
        size_bytes: manifest.size_bytes(),
        files: manifest.files.len(),
        is_new,
        adopted,
    })
}

/// Hashes every file below `dir`.
///
/// # Errors
/// Files that cannot be read or have unusable names; a directory without files.
pub async fn manifest_of(
    dir: &Path,
    name: &VersionName,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Manifest, PushError> {
    let files = local::hash_files(dir, on_progress, cancel).await?;
    Manifest::new(name.model(), name.version(), files).map_err(|source| PushError::Manifest {
        path: dir.to_owned(),
        source,
    })
}
