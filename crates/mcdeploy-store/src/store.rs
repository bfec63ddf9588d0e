//! The one trait that every backend has, and the types that pass through it.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{Cause, Checksums, ObjectKey, StoreError, StoredChecksums};

/// A bucket, container or directory.
///
/// Every call is bounded in time, retries what may pass by itself, and ends with
/// `Cancelled` soon after `cancel` is cancelled. An object is visible whole or not at
/// all, and is never overwritten: see [`Store::begin`].
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Name of the store, as in its `ArtifactStore`.
    fn name(&self) -> &str;

    /// Where it is, such as `s3://bucket`, for people. Holds no secret.
    fn location(&self) -> &str;

    /// Objects whose keys start with `prefix`, sorted by key.
    ///
    /// # Errors
    /// Any class but `NotFound` and `Precondition`; a prefix without objects is an
    /// empty list.
    async fn list(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<ListedObject>, StoreError>;

    /// What the store knows of an object without reading it, and a pin on its content.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError>;

    /// Checksums of the object, as the store computed or checked them when it accepted
    /// the bytes. Reads no object bytes, except from a local directory, where reading
    /// is the only way to know.
    ///
    /// # Errors
    /// `Precondition` when the object changed since `object` was made.
    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError>;

    /// Bytes of the object. All of `range` or an error.
    ///
    /// # Errors
    /// `Precondition` when the object changed since `object` was made.
    async fn read(
        &self,
        object: &ObjectInfo,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError>;

    /// Begins to create an object whose content is known by size and checksums.
    ///
    /// Nothing is visible under `key` before [`Upload::complete`]. That one gives
    /// `Precondition` when another object took the key, and it never overwrites.
    ///
    /// # Errors
    /// May give `Precondition` already when the key is taken.
    async fn begin(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError>;

    /// Deletes exactly this content, where the store can tell; gone already is fine.
    ///
    /// # Errors
    /// `Precondition` when the object changed since `object` was made.
    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError>;
}

/// An object on its way. Dropped without [`Upload::complete`], it is never visible;
/// [`Upload::abort`] also frees what it took.
#[async_trait]
pub trait Upload: Send + Sync {
    /// Length of every part but the last, in bytes. An empty object has no parts.
    fn part_bytes(&self) -> u64;

    /// Sends part `index`, counted from 0. Parts are sent in order, each once.
    ///
    /// # Errors
    /// `Permanent` when the store computed another checksum than we did.
    async fn part(
        &mut self,
        index: u32,
        bytes: Bytes,
        checksums: Checksums,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError>;

    /// Makes the object visible, if nobody was first.
    ///
    /// # Errors
    /// `Precondition` when the key is taken. `Unknown` when no answer came: look.
    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<(), StoreError>;

    /// Frees what the parts took in the store. Never fails: what stays is not visible.
    async fn abort(self: Box<Self>);
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Key as the store has it; other tools may have written keys that we refuse.
    pub key: String,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// An object as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: ObjectKey,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What changes with the content: an `ETag`, a generation, inode and times.
    pub pin: String,
    /// Checksums that came along with the answer.
    pub checksums: StoredChecksums,
}

/// Smallest part, in bytes.
const MIN_PART_BYTES: u64 = 16 * MIB;
const MIB: u64 = 1024 * 1024;
/// Largest part that S3 takes.
const MAX_PART_BYTES: u64 = 5 * 1024 * MIB;

/// Part length for an object of `size_bytes`, in bytes.
///
/// `max(16 MiB, size / 9000)`, rounded up to a MiB, and at most 5 GiB, the largest part of
/// S3: within 10,000 parts on S3 up to its largest object (48.8 TiB), 50,000 blocks on
/// Azure, and two levels of compose on GCS.
pub fn part_bytes(size_bytes: u64) -> u64 {
    size_bytes
        .div_ceil(9_000)
        .next_multiple_of(MIB)
        .clamp(MIN_PART_BYTES, MAX_PART_BYTES)
}

/// The parts of an object: ranges in order, none for an empty object.
pub(crate) fn part_ranges(size_bytes: u64, part: u64) -> impl Iterator<Item = Range<u64>> + Send {
    (0..size_bytes.div_ceil(part)).map(move |i| i * part..((i + 1) * part).min(size_bytes))
}

/// Adds up the parts of an upload, so that it is completed only with the right content:
/// not every server compares the whole.
#[derive(Debug)]
pub(crate) struct Tally {
    content: Checksums,
    sent: Checksums,
}

impl Tally {
    pub(crate) fn new(content: &Checksums) -> Self {
        Self {
            content: *content,
            sent: Checksums::EMPTY,
        }
    }

    pub(crate) fn add(&mut self, part: Checksums) {
        self.sent = self.sent.followed_by(part);
    }

    pub(crate) fn check(&self) -> Result<(), Cause> {
        let Self { content, sent } = self;
        if sent == content {
            return Ok(());
        }
        Err(Cause::ChecksumMismatch {
            expected: content.to_string(),
            actual: sent.to_string(),
        })
    }
}

/// Whether the object is there with this content; gone is `false`, changed an error.
///
/// Asked before a delete, because not every server knows a conditional one.
pub(crate) async fn is_unchanged(
    store: &dyn Store,
    object: &ObjectInfo,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    match store.head(&object.key, cancel).await {
        Ok(now) if now.pin == object.pin => Ok(true),
        Ok(_) => Err(StoreError {
            store: store.name().to_owned(),
            location: store.location().into(),
            operation: "delete",
            key: Some(object.key.as_str().into()),
            cause: Cause::Changed,
        }),
        Err(error) if matches!(error.cause, Cause::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_the_limits_of_every_store() {
        assert_eq!(part_bytes(0), 16 * MIB);
        assert_eq!(part_bytes(16 * MIB + 1), 16 * MIB);
        for size in [141 * 1024 * MIB, 1024 * 1024 * MIB, 48 * 1024 * 1024 * MIB] {
            assert!(size.div_ceil(part_bytes(size)) <= 10_000);
            assert!(part_bytes(size) <= MAX_PART_BYTES, "{size}");
        }
    }

    #[test]
    fn ranges_cover_an_object_once() {
        let ranges = |size| {
            part_ranges(size, 16)
                .map(|r| (r.start, r.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(ranges(0), []);
        assert_eq!(ranges(15), [(0, 15)]);
        assert_eq!(ranges(16), [(0, 16)]);
        assert_eq!(ranges(17), [(0, 16), (16, 17)]);
    }
}
