//! Replaces wrong bytes by those of a verified replica, without overwriting anything.
//!
//! The wrong object is moved below [`QUARANTINE_PREFIX`], then the file is created as in
//! any transfer. In between the version is not verified, which is the truth.

use mcdeploy_api::{ErrorClass, ReplicaState, Sha256Digest};
use tokio_util::sync::CancellationToken;

use crate::{
    Checksums, Finding, KeyError, ObjectInfo, ObjectKey, OnProgress, Replication, Resume, Rot,
    Store, StoreError, TransferError, TransferOptions, VersionName,
    compare::read_checksums,
    key::QUARANTINE_PREFIX,
    store::part_ranges,
    transfer::replicate_version,
    verify::{verify_replica_fully, version_name},
};

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Keys of the objects that were moved away, in the order of the findings.
    pub quarantined: Vec<ObjectKey>,
    /// Bytes that were sent to the store to make it whole.
    pub sent_bytes: u64,
}

/// Why a replica could not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The replica to repair from is not whole itself.
    #[error("store {store:?} cannot give good bytes: {message}; repair from another replica")]
    SourceNotVerified {
        /// The store that was to give them.
        store: String,
        /// What is wrong with it.
        message: String,
    },
    /// The version's names or a path are not usable.
    #[error(transparent)]
    Name(#[from] KeyError),
    /// The file could not be created anew. The version stays not verified.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A store did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RepairError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::SourceNotVerified { .. } | Self::Name(_) => ErrorClass::Permanent,
            Self::Transfer(error) => error.class(),
            Self::Store(error) => error.class(),
        }
    }
}

/// Moves what the findings name out of the way and creates it from `request.source`, a
/// replica that must be verified; `request.targets` are the stores to repair, most often
/// one, each with the same findings. Idempotent.
///
/// # Errors
/// [`RepairError::SourceNotVerified`] before anything was moved.
pub async fn repair_replica(
    request: &Replication<'_>,
    findings: &[Finding],
    options: &TransferOptions,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Repaired, RepairError> {
    let Replication {
        source,
        targets,
        model,
        version,
        digest,
    } = *request;
    must_be_verified(source, model, version, digest, cancel).await?;
    let name = version_name(source, model, version)?;
    let mut quarantined = vec![];
    for store in targets {
        for Finding { file, rot, .. } in findings {
            if *rot == Rot::Differs
                && let Some(key) = quarantine(*store, &name, file, cancel).await?
            {
                quarantined.push(key);
            }
        }
    }
    let done = replicate_version(request, options, on_progress, cancel).await?;
    let mut sent_bytes = 0;
    for target in done.targets {
        target.outcome.map_err(TransferError::Publish)?;
        sent_bytes += target.sent_bytes;
    }
    Ok(Repaired {
        quarantined,
        sent_bytes,
    })
}

async fn must_be_verified(
    source: &dyn Store,
    model: &str,
    version: &str,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<(), RepairError> {
    let report = verify_replica_fully(source, model, version, digest, cancel).await?;
    if report.state == ReplicaState::Verified {
        return Ok(());
    }
    Err(RepairError::SourceNotVerified {
        store: source.name().to_owned(),
        message: format!("{:?}: {}", report.state, report.message),
    })
}

/// Where wrong bytes of a file go: one place for each content.
///
/// # Errors
/// When the key is too long.
pub fn quarantine_key(
    name: &VersionName,
    file: &ObjectKey,
    content: &Checksums,
) -> Result<ObjectKey, KeyError> {
    let prefix = name.prefix();
    ObjectKey::new(format!(
        "{QUARANTINE_PREFIX}{prefix}{file}/{}",
        content.crc64nvme
    ))
}

/// Moves an object away. None when it is gone already.
async fn quarantine(
    store: &dyn Store,
    name: &VersionName,
    file: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<Option<ObjectKey>, RepairError> {
    let object = match store.head(&name.key(file)?, cancel).await {
        Ok(object) => object,
        Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let content = read_checksums(store, &object, cancel).await?;
    let key = quarantine_key(name, file, &content)?;
    match copy_within(store, &object, &content, &key, cancel).await {
        // There from an earlier repair that was cut off.
        Err(error) if error.class() == ErrorClass::Precondition => {}
        other => other?,
    }
    store.delete(&object, cancel).await?;
    tracing::warn!(
        store = store.name(),
        object.key = object.key.as_str(),
        "moved wrong bytes to {key:?}"
    );
    Ok(Some(key))
}

async fn copy_within(
    store: &dyn Store,
    object: &ObjectInfo,
    content: &Checksums,
    to: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    let upload = store.begin(to, content, Resume::Never, cancel).await?;
    let ranges = part_ranges(content.size_bytes, upload.part_bytes());
    for (index, range) in (0..).zip(ranges) {
        let bytes = store.read(object, range, cancel).await?;
        let checksums = Checksums::of(&bytes);
        upload.part(index, bytes, checksums, cancel).await?;
    }
    upload.complete(cancel).await.map(drop)
}
