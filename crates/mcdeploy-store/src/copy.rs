//! Creates one object from a source whose content is known, in bounded memory.
//!
//! **Invariant:** the last part is sent only when all bytes together have the expected
//! checksums, so that wrong bytes never become visible under a key.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use crate::{
    Checksums, ObjectInfo, ObjectKey, Store, StoreError, Upload, compare, compare::Comparison,
    progress::Meter, store::part_ranges,
};

/// How often an object is begun anew after a write without an answer.
const ATTEMPTS: u32 = 3;
/// Parts of the source that are read at once, one of them ahead.
const READ_AHEAD: usize = 2;

/// Where the bytes come from.
pub(crate) enum Source<'a> {
    Object(&'a dyn Store, &'a ObjectKey),
    Bytes(&'a Bytes),
}

/// What the target has now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// It was made.
    Created,
    /// It was there with the same bytes.
    AlreadyThere,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source's bytes are not the expected ones.
    #[error("source: expected {expected}, actual {actual}")]
    Source { expected: String, actual: String },
    /// The target's key holds other bytes.
    #[error("target: expected {expected}, actual {actual}")]
    Taken {
        object: ObjectInfo,
        expected: String,
        actual: String,
    },
}

/// Makes `to_key` hold exactly `content`. Idempotent; never overwrites.
pub(crate) async fn create_object(
    source: &Source<'_>,
    to: &dyn Store,
    to_key: &ObjectKey,
    content: &Checksums,
    mut meter: Option<(&mut Meter<'_>, &ObjectKey)>,
    cancel: &CancellationToken,
) -> Result<Copied, CopyError> {
    let mut made = 0;
    loop {
        made += 1;
        match to.head(to_key, cancel).await {
            Ok(object) => return settle(to, object, content, made, cancel).await,
            Err(error) if error.class() == ErrorClass::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let before = meter.as_ref().map(|(meter, _)| meter.done_bytes);
        match attempt(source, to, to_key, content, &mut meter, cancel).await {
            Ok(()) => return Ok(Copied::Created),
            // Somebody was first, or the answer was lost: look again.
            Err(CopyError::Store(error))
                if made < ATTEMPTS
                    && error.store == to.name()
                    && matches!(
                        error.class(),
                        ErrorClass::Precondition | ErrorClass::Unknown
                    ) =>
            {
                tracing::debug!(object.key = to_key.as_str(), "looking again: {error}");
            }
            Err(error) => return Err(error),
        }
        if let (Some((meter, _)), Some(before)) = (&mut meter, before) {
            meter.done_bytes = before;
        }
    }
}

async fn settle(
    to: &dyn Store,
    object: ObjectInfo,
    content: &Checksums,
    made: u32,
    cancel: &CancellationToken,
) -> Result<Copied, CopyError> {
    match compare::compare(to, &object, content, cancel).await? {
        Comparison::Equal { .. } if made > 1 => Ok(Copied::Created),
        Comparison::Equal { .. } => Ok(Copied::AlreadyThere),
        Comparison::Differs { actual } => Err(CopyError::Taken {
            object,
            expected: content.to_string(),
            actual,
        }),
    }
}

async fn attempt(
    source: &Source<'_>,
    to: &dyn Store,
    to_key: &ObjectKey,
    content: &Checksums,
    meter: &mut Option<(&mut Meter<'_>, &ObjectKey)>,
    cancel: &CancellationToken,
) -> Result<(), CopyError> {
    let pinned = match source {
        Source::Object(from, key) => Pinned::Object(*from, from.head(key, cancel).await?),
        Source::Bytes(bytes) => Pinned::Bytes(bytes),
    };
    if pinned.size_bytes() != content.size_bytes {
        return Err(CopyError::Source {
            expected: format!("{} bytes", content.size_bytes),
            actual: format!("{} bytes", pinned.size_bytes()),
        });
    }
    let mut upload = to.begin(to_key, content, cancel).await?;
    match send_parts(upload.as_mut(), content, &pinned, meter, cancel).await {
        Ok(()) => Ok(upload.complete(cancel).await?),
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

async fn send_parts(
    upload: &mut dyn Upload,
    content: &Checksums,
    source: &Pinned<'_>,
    meter: &mut Option<(&mut Meter<'_>, &ObjectKey)>,
    cancel: &CancellationToken,
) -> Result<(), CopyError> {
    let ranges = part_ranges(content.size_bytes, upload.part_bytes());
    let mut parts = std::pin::pin!(
        stream::iter(ranges)
            .map(|range| source.read(range, cancel))
            .buffered(READ_AHEAD)
    );
    let mut whole = Checksums::EMPTY;
    let mut index = 0;
    while let Some(bytes) = parts.next().await {
        let bytes = bytes?;
        let checksums = Checksums::of(&bytes);
        whole = whole.followed_by(checksums);
        let is_last = whole.size_bytes == content.size_bytes;
        if is_last && whole != *content {
            return Err(CopyError::Source {
                expected: content.to_string(),
                actual: whole.to_string(),
            });
        }
        upload.part(index, bytes, checksums, cancel).await?;
        if let Some((meter, file)) = meter {
            meter.add(file, checksums.size_bytes);
        }
        index += 1;
    }
    Ok(())
}

/// A source whose content can no longer change unseen.
enum Pinned<'a> {
    Object(&'a dyn Store, ObjectInfo),
    Bytes(&'a Bytes),
}

impl Pinned<'_> {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Object(_, object) => object.size_bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    async fn read(
        &self,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError> {
        match self {
            Self::Object(store, object) => store.read(object, range, cancel).await,
            Self::Bytes(bytes) => {
                let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(at(range.start)..at(range.end)))
            }
        }
    }
}
