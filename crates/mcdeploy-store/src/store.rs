//! The one trait that every backend has, and the types that pass through it.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{Cause, Checksums, KeyError, ObjectKey, StoreError, StoredChecksums};

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

    /// What is there under names that start with `prefix` and can be no object, with why, in
    /// no order: pipes and links to nowhere, in a directory. Objects do not come here, not
    /// even those whose keys we refuse.
    ///
    /// # Errors
    /// As [`Store::list`].
    async fn others(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, &'static str)>, StoreError> {
        let _ = (prefix, cancel);
        Ok(vec![])
    }

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
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError>;

    /// Makes `to` of an object of this store, inside the store: no byte of it leaves.
    /// False, and nothing is done, where the store cannot, or not with this object. What it
    /// made is looked at as any other object before it counts.
    ///
    /// # Errors
    /// `Precondition` when the object changed since `object` was made, or `to` is taken.
    async fn duplicate(
        &self,
        object: &ObjectInfo,
        to: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let _ = (object, to, cancel);
        Ok(false)
    }

    /// Parts of an upload under way, of this content to this key, that can be read already:
    /// by index, counted in parts of [`part_bytes`]. Empty where the store shows none.
    ///
    /// # Errors
    /// Any class but `NotFound` and `Precondition`.
    async fn parts_under_way(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<u32, ObjectInfo>, StoreError> {
        let _ = (key, content, cancel);
        Ok(BTreeMap::new())
    }

    /// What a receipt of this store, the pins of objects that were proved once, is good for.
    fn receipts(&self) -> Receipts {
        Receipts::None
    }

    /// Deletes exactly this content, where the store can tell; gone already is fine.
    ///
    /// # Errors
    /// `Precondition` when the object changed since `object` was made.
    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError>;

    /// What uploads left behind and no listing shows, in no order; also those that are
    /// still under way, and those of others.
    ///
    /// # Errors
    /// Any class but `NotFound` and `Precondition`.
    async fn leftovers(&self, cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError>;

    /// When an upload got something last, in seconds since 1970 by the store's clock; none
    /// when that is not known, or the upload is gone. In the far future: it is under way.
    ///
    /// # Errors
    /// Any class but `NotFound` and `Precondition`.
    async fn last_activity(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<Option<i64>, StoreError> {
        let _ = cancel;
        Ok(leftover.began_s)
    }

    /// Frees one of [`Store::leftovers`]; gone already is fine.
    ///
    /// # Errors
    /// Any class but `NotFound` and `Precondition`.
    async fn discard(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError>;

    /// Requests that were made again since the store was opened.
    fn repeats(&self) -> u64 {
        0
    }
}

/// What the pins of objects that were proved once are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// Nothing: only reading tells what is there.
    None,
    /// They say where good copies are, to duplicate. A listing proves more by itself.
    Sources,
    /// Also proof: the same pin in a listing means that the store took no other bytes.
    Proof,
}

/// Whether an upload goes on where an earlier one with the same content stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It begins anew. The only right choice when somebody else may be writing other
    /// bytes to the same key.
    Never,
    /// It takes over the parts that the store has.
    IfThere,
}

/// An object on its way. Dropped without [`Upload::complete`], it is never visible, and
/// its parts stay for [`Resume::IfThere`]; [`Upload::abort`] frees what they took.
#[async_trait]
pub trait Upload: Send + Sync {
    /// Length of every part but the last, in bytes. An empty object has no parts.
    fn part_bytes(&self) -> u64;

    /// Parts that need not be sent, by index counted from 0: at first those that the
    /// store has from an earlier upload, then also those that were sent since.
    fn held(&self) -> BTreeMap<u32, HeldPart>;

    /// Sends part `index`, counted from 0. Parts go in any order, and several at once.
    ///
    /// # Errors
    /// `Permanent` when the store computed another checksum than we did, `Precondition`
    /// when the upload is gone: somebody else completed or swept it.
    async fn part(
        &self,
        index: u32,
        bytes: Bytes,
        checksums: Checksums,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError>;

    /// Makes the object visible, if nobody was first and all parts together have the
    /// content's checksums. Gives its pin; empty where the store does not tell it.
    ///
    /// # Errors
    /// `Precondition` when the key is taken. `Unknown` when no answer came: look.
    /// `Permanent` ([`Cause::ChecksumMismatch`]) when the parts make another content.
    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<String, StoreError>;

    /// Frees what the parts took in the store. Never fails: what stays is not visible.
    async fn abort(self: Box<Self>);
}

/// A part that a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPart {
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What the store knows of its bytes, at least one checksum.
    pub checksums: StoredChecksums,
}

impl From<Checksums> for HeldPart {
    fn from(checksums: Checksums) -> Self {
        Self {
            size_bytes: checksums.size_bytes,
            checksums: checksums.into(),
        }
    }
}

/// What an upload left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Key that the upload was for, as the store has it.
    pub key: String,
    /// What the store calls the upload.
    pub id: String,
    /// When it began, in seconds since 1970 by the store's clock; none when unknown.
    pub began_s: Option<i64>,
    /// Whose it can be.
    pub mark: Mark,
}

/// Whose an upload can be, by what the store shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It carries a name that only mcdeploy gives.
    Ours,
    /// It looks like those of mcdeploy. Others may look the same.
    Possible,
    /// mcdeploy begins none like it.
    Foreign,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Key as the store has it; other tools may have written keys that we refuse.
    pub key: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// As [`ObjectInfo::pin`].
    pub pin: String,
    /// Checksums that the listing carries; most stores give none.
    pub checksums: StoredChecksums,
    /// Last change, in seconds since 1970 by the store's clock; none when unknown.
    pub modified_s: Option<i64>,
}

impl ListedObject {
    /// Whether it only stands for a directory: consoles and tools of the stores make empty
    /// objects with a slash at the end, so that a directory without files can be shown.
    pub fn is_marker(&self) -> bool {
        self.size_bytes == 0 && self.key.ends_with('/')
    }

    /// The object that the entry is about.
    ///
    /// # Errors
    /// A key that we refuse.
    pub fn object(&self) -> Result<ObjectInfo, KeyError> {
        Ok(ObjectInfo {
            key: ObjectKey::new(self.key.as_str())?,
            size_bytes: self.size_bytes,
            pin: self.pin.clone(),
            checksums: self.checksums,
        })
    }
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

/// Smallest part, in bytes; the smallest that S3 takes. What is in flight when a run is
/// killed is lost, so parts are small where their number allows it.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html> (2026-11-23).
const MIN_PART_BYTES: u64 = 5 * MIB;
/// Largest object that goes by one request, in bytes: three requests and more for parts are
/// not worth what they save.
pub(crate) const MAX_WHOLE_BYTES: u64 = 16 * MIB;
const MIB: u64 = 1024 * 1024;
/// Largest part that S3 takes.
const MAX_PART_BYTES: u64 = 5 * 1024 * MIB;

/// Part length for an object of `size_bytes`, in bytes.
///
/// An object of up to 16 MiB is one part. Above, `max(5 MiB, size / 9000)`, rounded up to a
/// MiB, and at most 5 GiB, the largest part of S3: within 10,000 parts on S3 up to its
/// largest object (48.8 TiB), 50,000 blocks on Azure, and three levels of compose on GCS.
pub fn part_bytes(size_bytes: u64) -> u64 {
    if size_bytes <= MAX_WHOLE_BYTES {
        return MAX_WHOLE_BYTES;
    }
    size_bytes
        .div_ceil(9_000)
        .next_multiple_of(MIB)
        .clamp(MIN_PART_BYTES, MAX_PART_BYTES)
}

/// The parts of an object: ranges in order, none for an empty object.
pub(crate) fn part_ranges(size_bytes: u64, part: u64) -> impl Iterator<Item = Range<u64>> + Send {
    (0..size_bytes.div_ceil(part)).map(move |i| i * part..((i + 1) * part).min(size_bytes))
}

/// The parts of an upload that the store has, so that it is completed only with the right
/// content: not every server compares the whole. `E` is what the store calls a part.
#[derive(Debug)]
pub(crate) struct Tally<E> {
    content: Checksums,
    part_bytes: u64,
    parts: Mutex<BTreeMap<u32, (HeldPart, E)>>,
}

impl<E: Clone> Tally<E> {
    pub(crate) fn new(content: &Checksums, part_bytes: u64) -> Self {
        Self {
            content: *content,
            part_bytes,
            parts: Mutex::default(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<u32, (HeldPart, E)>> {
        // Nothing panics while it is held.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, index: u32, part: HeldPart, name: E) {
        self.parts().insert(index, (part, name));
    }

    /// Records a part of an earlier upload, if it can be one of this content.
    pub(crate) fn adopt(&self, index: u32, part: HeldPart, name: E) {
        let start = u64::from(index) * self.part_bytes;
        let left = self.content.size_bytes.saturating_sub(start);
        let fits = part.size_bytes == left.min(self.part_bytes) && part.size_bytes > 0;
        if fits && !part.checksums.is_empty() {
            self.record(index, part, name);
        }
    }

    pub(crate) fn held(&self) -> BTreeMap<u32, HeldPart> {
        let parts = self.parts();
        parts
            .iter()
            .map(|(index, (part, _))| (*index, *part))
            .collect()
    }

    /// What the store calls the parts, in order.
    pub(crate) fn names(&self) -> Vec<E> {
        let parts = self.parts();
        parts.values().map(|(_, name)| name.clone()).collect()
    }

    /// The parts in order, when together they are the content.
    pub(crate) fn finish(&self) -> Result<Vec<E>, Cause> {
        let parts = self.parts();
        let in_order = (0..).zip(parts.keys()).all(|(index, key)| index == *key);
        let mut whole = HeldPart::from(Checksums::EMPTY);
        for (part, _) in parts.values() {
            whole = HeldPart {
                checksums: whole.checksums.followed_by(part.checksums, part.size_bytes),
                size_bytes: whole.size_bytes + part.size_bytes,
            };
        }
        let is_whole = in_order
            && whole.size_bytes == self.content.size_bytes
            && !whole.checksums.is_empty()
            && whole.checksums.agree_with(&self.content);
        if is_whole {
            return Ok(parts.values().map(|(_, name)| name.clone()).collect());
        }
        Err(Cause::ChecksumMismatch {
            expected: self.content.to_string(),
            actual: format!("{} bytes {}", whole.size_bytes, whole.checksums),
        })
    }
}

/// Whether there is an object under this key.
pub(crate) async fn is_taken(
    store: &dyn Store,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    match store.head(key, cancel).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.cause, Cause::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an upload that ended like this can never be completed: its parts are of no use.
pub(crate) fn is_pointless<T>(outcome: &Result<T, StoreError>) -> bool {
    let cause = outcome.as_ref().err().map(|error| &error.cause);
    matches!(
        cause,
        Some(Cause::AlreadyExists | Cause::ChecksumMismatch { .. })
    )
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
        assert_eq!(part_bytes(16 * MIB), 16 * MIB);
        assert_eq!(part_bytes(16 * MIB + 1), 5 * MIB);
        for size in [141 * 1024 * MIB, 1024 * 1024 * MIB, 48 * 1024 * 1024 * MIB] {
            assert!(size.div_ceil(part_bytes(size)) <= 10_000);
            assert!(part_bytes(size) <= MAX_PART_BYTES, "{size}");
        }
    }

    #[test]
    fn parts_in_any_order_make_the_content_or_nothing() {
        let parts = [&b"wei"[..], b"ght", b"s"].map(Checksums::of);
        let tally = || Tally::new(&Checksums::of(b"weights"), 3);
        let whole = tally();
        for index in [2, 0, 1] {
            assert!(whole.finish().is_err(), "a part is missing");
            whole.record(index, parts[index as usize].into(), index);
        }
        assert_eq!(whole.finish().unwrap(), [0, 1, 2]);
        whole.record(1, Checksums::of(b"gHt").into(), 1);
        assert!(matches!(
            whole.finish(),
            Err(Cause::ChecksumMismatch { .. })
        ));
        let half_known = tally();
        for (index, part) in (0..).zip(parts) {
            let mut part = HeldPart::from(part);
            part.checksums.crc32c = None;
            half_known.adopt(index, part, 0);
        }
        assert!(half_known.finish().is_ok());
        let unknown = tally();
        let checksums = StoredChecksums::default();
        unknown.adopt(
            0,
            HeldPart {
                size_bytes: 3,
                checksums,
            },
            0,
        );
        unknown.adopt(1, Checksums::of(b"gh").into(), 0);
        unknown.adopt(7, Checksums::of(b"").into(), 0);
        assert_eq!(unknown.held(), BTreeMap::new());
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
