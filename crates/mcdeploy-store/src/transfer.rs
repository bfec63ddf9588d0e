//! Copies a version from one store to another, streaming, proved equal by checksums.

use mcdeploy_api::{ErrorClass, Sha256Digest, TransferPlan};
use tokio_util::sync::CancellationToken;

use crate::{
    OnProgress, PublishError, Store, StoreError, open,
    publish::{Files, publish},
    verify::{Found, read_manifest, version_name},
};

/// A version that the target now holds whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Sum of the files' sizes, in bytes.
    pub size_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Whether the target lacked anything.
    pub is_new: bool,
}

/// Why a version could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source has no such version.
    #[error("{model} {version} is not in store {store:?}, the source")]
    SourceMissing {
        /// Model name.
        model: String,
        /// Version.
        version: String,
        /// Source store.
        store: String,
    },
    /// The source's manifest is not the one that was asked for.
    #[error("{detail} in store {store:?}, the source")]
    SourceManifest {
        /// Source store.
        store: String,
        /// File, expected and actual.
        detail: String,
    },
    /// Conflict, mismatch, or a store that did not do what was asked.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A store did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TransferError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::SourceMissing { .. } => ErrorClass::NotFound,
            Self::SourceManifest { .. } => ErrorClass::Permanent,
            Self::Publish(error) => error.class(),
            Self::Store(error) => error.class(),
        }
    }

    /// Whether bytes differ from what they should be.
    pub fn is_checksum_mismatch(&self) -> bool {
        match self {
            Self::SourceManifest { .. } => true,
            Self::Publish(error) => error.is_checksum_mismatch(),
            Self::SourceMissing { .. } | Self::Store(_) => false,
        }
    }
}

/// Makes the plan's target hold the plan's version. Idempotent.
///
/// # Errors
/// See [`TransferError`]; `Transient`, `Throttled` and `Unknown` may be tried again.
pub async fn transfer_version(
    plan: &TransferPlan,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Transferred, TransferError> {
    let source = open(&plan.source).await?;
    let target = open(&plan.target).await?;
    let TransferPlan {
        model,
        version,
        manifest_digest,
        source: _,
        target: _,
    } = plan;
    let stores = (source.as_ref(), target.as_ref());
    copy_version(stores, model, version, manifest_digest, on_progress, cancel).await
}

/// [`transfer_version`] between stores that are open: `(source, target)`.
///
/// # Errors
/// As [`transfer_version`].
pub async fn copy_version(
    (source, target): (&dyn Store, &dyn Store),
    model: &str,
    version: &str,
    digest: &Sha256Digest,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Transferred, TransferError> {
    let name = version_name(source, model, version)?;
    let manifest = match read_manifest(source, &name, digest, cancel).await? {
        Found::Manifest(manifest, _) => manifest,
        Found::Missing => {
            return Err(TransferError::SourceMissing {
                model: model.to_owned(),
                version: version.to_owned(),
                store: source.name().to_owned(),
            });
        }
        Found::Other(detail) => {
            return Err(TransferError::SourceManifest {
                store: source.name().to_owned(),
                detail,
            });
        }
    };
    let files = Files {
        store: source,
        version: Some(&name),
    };
    let is_new = publish(&files, target, &name, &manifest, on_progress, cancel).await?;
    Ok(Transferred {
        size_bytes: manifest.size_bytes(),
        files: manifest.files.len(),
        is_new,
    })
}
