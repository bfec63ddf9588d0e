//! Copies a version from one store to others, streaming, proved equal by checksums.

use std::time::Duration;

use mcdeploy_api::{ErrorClass, Sha256Digest, TransferPlan, names::MANIFEST_FILE};
use tokio_util::sync::CancellationToken;

use crate::{
    Manifest, OnProgress, PublishError, Store, StoreError, TransferOptions, VersionName,
    await_manifest,
    engine::{Job, TargetOutcome},
    lease::{Lease, Purpose},
    open,
    publish::{Files, still_wanted},
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
/// Targets do not wait for each other past a bound; with one that failed, or cannot even
/// be opened, the others are whole all the same, and the same call again does only what
/// is missing.
///
/// # Errors
/// The source's, see [`TransferError`]; `Transient`, `Throttled` and `Unknown` may be tried
/// again. What came of each target is in the answer.
pub async fn transfer_version(
    plan: &TransferPlan,
    options: &TransferOptions,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Replicated, TransferError> {
    let TransferPlan {
        model,
        version,
        manifest_digest,
        source,
        targets,
    } = plan;
    let source = open(source).await?;
    let (mut opened, mut closed) = (vec![], vec![]);
    for target in targets {
        match open(target).await {
            Ok(store) => opened.push(store),
            Err(error) => closed.push(TargetOutcome::not_opened(&target.name, error)),
        }
    }
    let targets: Vec<_> = opened.iter().map(AsRef::as_ref).collect();
    let request = Replication {
        source: source.as_ref(),
        targets: &targets,
        model,
        version,
        digest: manifest_digest,
    };
    let mut done = replicate_version(&request, options, on_progress, cancel).await?;
    done.targets.extend(closed);
    Ok(done)
}

/// What [`replicate_version`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Replication<'a> {
    /// A store with a verified copy, or, with [`TransferOptions::follow`], one that is still
    /// receiving it.
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
    /// One entry per target, in their order; last those that could not be opened.
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
    let (source, targets) = (request.source, request.targets);
    let name = version_name(source, request.model, request.version)?;
    let lease = hold_source(source, &name, targets, cancel).await?;
    let work = Box::pin(replicate_held(&name, request, options, on_progress, cancel));
    match lease {
        Some(lease) => lease.during(work, cancel).await,
        None => work.await,
    }
}

/// Tells whoever would remove the version from the source that it is read. None where this
/// process may only read: then what refers to the version has to protect it.
async fn hold_source<'a>(
    source: &'a dyn Store,
    name: &VersionName,
    targets: &[&dyn Store],
    cancel: &CancellationToken,
) -> Result<Option<Lease<'a>>, TransferError> {
    let targets: Vec<_> = targets.iter().map(|target| target.name()).collect();
    let holder = format!("a copy to {}", targets.join(", "));
    let lease = match Lease::take(source, name, Purpose::Copy, &holder, cancel).await {
        Ok(lease) => lease,
        Err(error) if error.class() == ErrorClass::Permanent => {
            tracing::debug!("the source is read without a lease: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match still_wanted(source, name, cancel).await {
        Ok(()) => Ok(Some(lease)),
        Err(error) => {
            lease.release().await;
            Err(error.into())
        }
    }
}

async fn replicate_held(
    name: &VersionName,
    request: &Replication<'_>,
    options: &TransferOptions,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Replicated, TransferError> {
    let Replication {
        source,
        targets,
        digest,
        ..
    } = *request;
    let manifest = match options.follow {
        None => source_manifest(source, name, digest, cancel).await?,
        Some(patience) => coming_manifest(source, name, (digest, patience), cancel).await?,
    };
    let job = Job {
        from: Files {
            store: source,
            version: Some(name),
        },
        name,
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
        Found::Missing => Err(missing(source, name)),
        Found::Other(detail) => Err(TransferError::SourceManifest {
            store: source.name().to_owned(),
            detail,
        }),
    }
}

/// The manifest of a source that may still be receiving the version.
async fn coming_manifest(
    source: &dyn Store,
    name: &VersionName,
    (digest, patience): (&Sha256Digest, Duration),
    cancel: &CancellationToken,
) -> Result<Manifest, TransferError> {
    let (model, version) = (name.model(), name.version());
    match await_manifest(source, model, version, patience, cancel).await? {
        Some((manifest, actual)) if actual == *digest => Ok(manifest),
        Some((_, actual)) => Err(TransferError::SourceManifest {
            store: source.name().to_owned(),
            detail: format!("{MANIFEST_FILE}: expected {digest}, actual {actual}"),
        }),
        None => Err(missing(source, name)),
    }
}

fn missing(source: &dyn Store, name: &VersionName) -> TransferError {
    TransferError::SourceMissing {
        model: name.model().to_owned(),
        version: name.version().to_owned(),
        store: source.name().to_owned(),
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
