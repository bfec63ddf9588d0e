//! Creates one small object of bytes in memory: a claim, a manifest, a check.

use bytes::Bytes;
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, ObjectInfo, ObjectKey, Resume, Store, StoreError,
    compare::{self, Comparison},
    store::part_ranges,
};

/// How often an object is begun anew after a write without an answer.
const ATTEMPTS: u32 = 3;

/// What the target has now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It was made, by us as far as can be told.
    New,
    /// It was there with the same bytes.
    AlreadyThere,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key holds other bytes.
    #[error("expected {expected}, actual {actual}")]
    Taken { expected: String, actual: String },
}

/// Makes `key` hold exactly these bytes. Idempotent; never overwrites.
pub(crate) async fn create_bytes(
    to: &dyn Store,
    key: &ObjectKey,
    bytes: &Bytes,
    cancel: &CancellationToken,
) -> Result<Created, CreateError> {
    let content = Checksums::of(bytes);
    let mut made = 0;
    loop {
        made += 1;
        match to.head(key, cancel).await {
            Ok(object) => return settle(to, object, &content, made, cancel).await,
            Err(error) if error.class() == ErrorClass::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        match attempt(to, key, bytes, &content, cancel).await {
            Ok(()) => return Ok(Created::New),
            // Somebody was first, or the answer was lost: look again.
            Err(error)
                if made < ATTEMPTS
                    && matches!(
                        error.class(),
                        ErrorClass::Precondition | ErrorClass::Unknown
                    ) =>
            {
                tracing::debug!(object.key = key.as_str(), "looking again: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn settle(
    to: &dyn Store,
    object: ObjectInfo,
    content: &Checksums,
    made: u32,
    cancel: &CancellationToken,
) -> Result<Created, CreateError> {
    match compare::compare(to, &object, content, cancel).await {
        Ok(Comparison::Equal { .. }) if made > 1 => Ok(Created::New),
        Ok(Comparison::Equal { .. }) => Ok(Created::AlreadyThere),
        Ok(Comparison::Differs { actual }) => Err(CreateError::Taken {
            expected: content.to_string(),
            actual,
        }),
        // Gone or replaced while we looked: whoever did it decides what it is now.
        Err(error) if matches!(error.cause, Cause::NotFound | Cause::Changed) => {
            Err(CreateError::Taken {
                expected: content.to_string(),
                actual: error.cause.to_string(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

async fn attempt(
    to: &dyn Store,
    key: &ObjectKey,
    bytes: &Bytes,
    content: &Checksums,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    let upload = to.begin(key, content, Resume::Never, cancel).await?;
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    let ranges = part_ranges(content.size_bytes, upload.part_bytes());
    for (index, range) in (0..).zip(ranges) {
        let part = bytes.slice(at(range.start)..at(range.end));
        let checksums = Checksums::of(&part);
        upload.part(index, part, checksums, cancel).await?;
    }
    upload.complete(cancel).await.map(drop)
}
