//! Copies a version from one store to another, streaming, proved equal by checksums.

use mcdeploy_api::{ErrorClass, Sha256Digest, TransferPlan};
use tokio_util::sync::CancellationToken;

use crate::{
    Manifest, OnProgress, PublishError, Store, StoreError, TransferOptions, VersionName,
    engine::{Job, TargetOutcome},
    open,
    publish::Files,
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

/// Makes every target of the plan hold the plan's version. Idempotent.
///
/// Targets do not wait for each other past a bound; with one that failed the others are
/// whole all the same, and the same call again does only what is missing.
///
/// # Errors
/// The first target's that failed, see [`TransferError`]; `Transient`, `Throttled` and
/// `Unknown` may be tried again.
pub async fn transfer_version(
    plan: &TransferPlan,
    options: &TransferOptions,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Transferred, TransferError> {
    let TransferPlan {
        model,
        version,
        manifest_digest,
        source,
        target,
        more_targets,
    } = plan;
    let source = open(source).await?;
    let mut opened = vec![];
    for target in std::iter::once(target).chain(more_targets) {
        opened.push(open(target).await?);
    }
    let targets: Vec<_> = opened.iter().map(AsRef::as_ref).collect();
    let request = Replication {
        source: source.as_ref(),
        targets: &targets,
        model,
        version,
        digest: manifest_digest,
    };
    let replicated = replicate_version(&request, options, on_progress, cancel).await?;
    let mut done = Transferred {
        size_bytes: replicated.size_bytes,
        files: replicated.files,
        is_new: false,
    };
    for target in replicated.targets {
        done.is_new |= target.outcome?;
    }
    Ok(done)
}

/// What [`replicate_version`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Replication<'a> {
    /// A store with a verified copy.
    pub source: &'a dyn Store,
    /// Stores that get one, each at most once.
    pub targets: &'a [&'a dyn Store],
    /// Model name.
    pub model: &'a str,
    /// Model version.
    pub version: &'a str,
    /// Digest that the manifest must have.
    pub digest: &'a Sha256Digest,
}

/// What [`replicate_version`] did.
#[derive(Debug)]
pub struct Replicated {
    /// Sum of the files' sizes, in bytes.
    pub size_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// One entry per target, in their order.
    pub targets: Vec<TargetOutcome>,
}

/// Makes every target hold the version, reading each byte of the source once for all of
/// them as long as they keep up with each other. Idempotent: what a target has from an
/// earlier run, finished or not, is not sent again.
///
/// # Errors
/// The source's, before anything was written. What came of each target is in the answer.
pub async fn replicate_version(
    request: &Replication<'_>,
    options: &TransferOptions,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Replicated, TransferError> {
    let Replication {
        source,
        targets,
        model,
        version,
        digest,
    } = *request;
    let name = version_name(source, model, version)?;
    let manifest = source_manifest(source, &name, digest, cancel).await?;
    let job = Job {
        from: Files {
            store: source,
            version: Some(&name),
        },
        name: &name,
        manifest: &manifest,
        options,
        on_progress,
        cancel,
    };
    Ok(Replicated {
        size_bytes: manifest.size_bytes(),
        files: manifest.files.len(),
        targets: job.replicate(targets).await?,
    })
}

async fn source_manifest(
    source: &dyn Store,
    name: &VersionName,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<Manifest, TransferError> {
    match read_manifest(source, name, digest, cancel).await? {
        Found::Manifest(manifest, _) => Ok(manifest),
        Found::Missing => Err(TransferError::SourceMissing {
            model: name.model().to_owned(),
            version: name.version().to_owned(),
            store: source.name().to_owned(),
        }),
        Found::Other(detail) => Err(TransferError::SourceManifest {
            store: source.name().to_owned(),
            detail,
        }),
    }
}

/// [`replicate_version`] to one target with the default options: `(source, target)`.
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
    let request = Replication {
        source,
        targets: &[target],
        model,
        version,
        digest,
    };
    let options = TransferOptions::default();
    let mut done = replicate_version(&request, &options, on_progress, cancel).await?;
    let outcome = done
        .targets
        .pop()
        .map_or(Ok(false), |target| target.outcome);
    Ok(Transferred {
        size_bytes: done.size_bytes,
        files: done.files,
        is_new: outcome?,
    })
}
