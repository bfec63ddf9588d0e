//! Copies objects that are no version: one, or all below a prefix, each proved by checksums.
//!
//! Nothing is overwritten: an object that is there with the same bytes is left, one with
//! other bytes is a conflict. There is no manifest, so what the source's store knows of an
//! object is what the copy is proved against; where it knows less than the target needs,
//! an object of more than one part is read twice, and that is said.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, KeyError, ListedObject, ObjectInfo, ObjectKey, OnProgress, Resume, Step,
    Store, StoreError, Upload,
    compare::{self, Comparison},
    progress::Meter,
    store::{MAX_WHOLE_BYTES, part_ranges},
};

/// Objects that are copied at once.
const OBJECTS: usize = 4;
/// Parts of one object that are copied at once.
const PARTS: usize = 2;
/// What mcdeploy keeps for itself in a store.
const OWN_PREFIX: &str = ".mcdeploy/";

/// What is to be copied. Paths are keys, or what keys start with; empty is the whole store.
#[derive(Clone, Copy, Debug)]
pub struct CopyRequest<'a> {
    /// Where from.
    pub source: &'a dyn Store,
    /// One object, or a directory of them.
    pub from: &'a str,
    /// Where to.
    pub target: &'a dyn Store,
    /// The object's new key; a directory when it is empty, ends with a slash, or when
    /// `from` is one.
    pub to: &'a str,
    /// Whether it only says what it would do.
    pub dry_run: bool,
}

/// What came of one object.
#[derive(Debug)]
pub struct CopiedObject {
    /// Its key in the source.
    pub from: String,
    /// Its key in the target.
    pub to: ObjectKey,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What was done, or why it could not be.
    pub outcome: Result<CopyOutcome, CopyError>,
}

/// What was done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyOutcome {
    /// It was made.
    Copied {
        /// Whether the source had to be read twice, because its store has not every
        /// checksum that the target needs.
        read_twice: bool,
    },
    /// It was there with the same bytes.
    Unchanged,
    /// It would be copied; only in a dry run.
    Absent,
}

/// Why an object was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing to copy.
    #[error("there is no object {path:?} in store {store:?}, and none below it")]
    Missing {
        /// What was asked for.
        path: String,
        /// Source store.
        store: String,
    },
    /// The key holds other bytes.
    #[error(
        "{key:?} in store {store:?} has other bytes: expected {expected}, actual {actual}; nothing was overwritten: delete it, or copy to another key"
    )]
    Conflict {
        /// Target store.
        store: String,
        /// The key.
        key: ObjectKey,
        /// Size and checksums of the source's object.
        expected: String,
        /// What is there.
        actual: String,
    },
    /// A name that is not safe.
    #[error(transparent)]
    Name(#[from] KeyError),
    /// A store did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CopyError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Missing { .. } => ErrorClass::NotFound,
            Self::Conflict { .. } => ErrorClass::Precondition,
            Self::Name(_) => ErrorClass::Permanent,
            Self::Store(error) => error.class(),
        }
    }
}

/// Copies one object, or all below a directory. One entry per object, sorted by key; one
/// that fails stops no other. The same call again does only what is missing.
///
/// # Errors
/// Before anything was copied: nothing to copy, unusable names, a store that cannot be
/// listed.
pub async fn copy_objects(
    request: &CopyRequest<'_>,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Vec<CopiedObject>, CopyError> {
    let chosen = choose(request, cancel).await?;
    let there = present(request, &chosen, cancel).await?;
    let meter = Mutex::new(Meter {
        step: Step::Copy,
        store: Some(request.target),
        total_bytes: chosen.iter().map(|(object, _)| object.size_bytes).sum(),
        done_bytes: 0,
        on_progress,
    });
    let copy = Copy {
        request,
        there,
        meter,
        cancel,
    };
    let work = chosen.iter().map(|(object, to)| copy.object(object, to));
    let work: Vec<_> = work.collect();
    Ok(stream::iter(work).buffered(OBJECTS).collect().await)
}

/// The objects with their new keys.
async fn choose(
    request: &CopyRequest<'_>,
    cancel: &CancellationToken,
) -> Result<Vec<(ListedObject, ObjectKey)>, CopyError> {
    let from = request.from.trim_end_matches('/');
    let listed = request.source.list(from, cancel).await?;
    let mut chosen = vec![];
    for object in listed {
        if let Some(to) = new_key(&object.key, request.from, request.to) {
            let to = ObjectKey::new(to)?;
            chosen.push((object, to));
        }
    }
    if chosen.is_empty() {
        return Err(CopyError::Missing {
            path: request.from.to_owned(),
            store: request.source.name().to_owned(),
        });
    }
    Ok(chosen)
}

/// Where an object goes; none when it is not meant.
fn new_key(key: &str, from: &str, to: &str) -> Option<String> {
    let (from, is_directory) = (from.trim_end_matches('/'), from.ends_with('/'));
    if key.starts_with(OWN_PREFIX) && !from.starts_with(OWN_PREFIX) {
        return None;
    }
    let below = |name: &str| match to.trim_end_matches('/') {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    };
    if from.is_empty() {
        return Some(below(key));
    }
    match key.strip_prefix(from)? {
        "" if is_directory => None,
        "" if to.is_empty() || to.ends_with('/') => Some(below(key.rsplit('/').next()?)),
        "" => Some(to.to_owned()),
        rest => rest.strip_prefix('/').map(below),
    }
}

/// What the target has, by key.
async fn present(
    request: &CopyRequest<'_>,
    chosen: &[(ListedObject, ObjectKey)],
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, ListedObject>, CopyError> {
    let prefix = match chosen {
        [(_, only)] => only.as_str(),
        _ => request.to,
    };
    let listed = request.target.list(prefix, cancel).await?;
    let by_key = listed
        .into_iter()
        .map(|object| (object.key.clone(), object));
    Ok(by_key.collect())
}

/// A copy under way.
struct Copy<'a> {
    request: &'a CopyRequest<'a>,
    there: BTreeMap<String, ListedObject>,
    meter: Mutex<Meter<'a>>,
    cancel: &'a CancellationToken,
}

/// An object of the source with its checksums, and its bytes when they had to be read.
struct Known {
    object: ObjectInfo,
    content: Checksums,
    bytes: Option<Bytes>,
    read_twice: bool,
}

impl Copy<'_> {
    async fn object(&self, listed: &ListedObject, to: &ObjectKey) -> CopiedObject {
        CopiedObject {
            from: listed.key.clone(),
            to: to.clone(),
            size_bytes: listed.size_bytes,
            outcome: self.try_object(listed, to).await,
        }
    }

    async fn try_object(
        &self,
        listed: &ListedObject,
        to: &ObjectKey,
    ) -> Result<CopyOutcome, CopyError> {
        let there = self.there.get(to.as_str());
        if self.request.dry_run && there.is_none() {
            return Ok(CopyOutcome::Absent);
        }
        let known = self.know(listed.object()?).await?;
        if let Some(there) = there {
            return self.is_same(&known, to, &there.object()?).await;
        }
        match self.send(&known, to).await {
            Ok(()) => Ok(CopyOutcome::Copied {
                read_twice: known.read_twice,
            }),
            // Somebody was first, or the answer was lost.
            Err(error)
                if matches!(
                    error.class(),
                    ErrorClass::Precondition | ErrorClass::Unknown
                ) =>
            {
                let there = match self.request.target.head(to, self.cancel).await {
                    Ok(there) => there,
                    Err(gone) if gone.class() == ErrorClass::NotFound => return Err(error.into()),
                    Err(other) => return Err(other.into()),
                };
                self.is_same(&known, to, &there).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn is_same(
        &self,
        known: &Known,
        to: &ObjectKey,
        there: &ObjectInfo,
    ) -> Result<CopyOutcome, CopyError> {
        let (target, content) = (self.request.target, &known.content);
        match compare::compare(target, there, content, self.cancel).await? {
            Comparison::Equal { .. } => {
                self.done(to, content.size_bytes);
                Ok(CopyOutcome::Unchanged)
            }
            Comparison::Differs { actual } => Err(CopyError::Conflict {
                store: target.name().to_owned(),
                key: to.clone(),
                expected: content.to_string(),
                actual,
            }),
        }
    }

    /// Finds out the object's checksums, by reading what its store cannot tell.
    async fn know(&self, object: ObjectInfo) -> Result<Known, StoreError> {
        let (source, cancel) = (self.request.source, self.cancel);
        let stored = source.stored_checksums(&object, cancel).await?;
        if let (Some(crc64nvme), Some(crc32c)) = (stored.crc64nvme, stored.crc32c) {
            let content = Checksums {
                size_bytes: object.size_bytes,
                crc64nvme,
                crc32c,
            };
            return Ok(Known {
                object,
                content,
                bytes: None,
                read_twice: false,
            });
        }
        let mut bytes = None;
        let content = if object.size_bytes <= MAX_WHOLE_BYTES {
            let all = source.read(&object, 0..object.size_bytes, cancel).await?;
            Checksums::of(bytes.insert(all))
        } else {
            compare::read_checksums(source, &object, cancel).await?
        };
        if stored.agree_with(&content) {
            let read_twice = bytes.is_none();
            return Ok(Known {
                object,
                content,
                bytes,
                read_twice,
            });
        }
        Err(StoreError {
            store: source.name().to_owned(),
            location: source.location().into(),
            operation: "read",
            key: Some(object.key.as_str().into()),
            cause: Cause::ChecksumMismatch {
                expected: stored.to_string(),
                actual: content.to_string(),
            },
        })
    }

    async fn send(&self, known: &Known, to: &ObjectKey) -> Result<(), StoreError> {
        // No claim keeps other writers of this key away: parts are not taken over.
        let begun = self
            .request
            .target
            .begin(to, &known.content, Resume::Never, self.cancel);
        let upload = begun.await?;
        let ranges = part_ranges(known.content.size_bytes, upload.part_bytes());
        let parts = (0..).zip(ranges).map(|(index, range)| {
            let upload = upload.as_ref();
            async move {
                let bytes = if let Some(bytes) = &known.bytes {
                    bytes.clone()
                } else {
                    let source = self.request.source;
                    source.read(&known.object, range, self.cancel).await?
                };
                self.part(upload, index, bytes, to).await
            }
        });
        let parts: Vec<_> = parts.collect();
        let sent = stream::iter(parts).buffer_unordered(PARTS);
        match sent.try_collect::<()>().await {
            Ok(()) => upload.complete(self.cancel).await.map(drop),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn part(
        &self,
        upload: &dyn Upload,
        index: u32,
        bytes: Bytes,
        to: &ObjectKey,
    ) -> Result<(), StoreError> {
        let checksums = Checksums::of(&bytes);
        upload.part(index, bytes, checksums, self.cancel).await?;
        self.done(to, checksums.size_bytes);
        Ok(())
    }

    fn done(&self, to: &ObjectKey, bytes: u64) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.add(to, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_or_a_directory_goes_where_it_is_meant() {
        let table = [
            ("a/b", "a/b", "c", Some("c")),
            ("a/b", "a/b", "c/", Some("c/b")),
            ("a/b", "a/b", "", Some("b")),
            ("a/b/x", "a/b", "c", Some("c/x")),
            ("a/b/x/y", "a/b/", "c/", Some("c/x/y")),
            ("a/b/x", "", "", Some("a/b/x")),
            ("a/b/x", "", "c", Some("c/a/b/x")),
            ("a/bc", "a/b", "c", None),
            ("a/b", "a/b/", "c", None),
            ("a", "b", "c", None),
            (".mcdeploy/receipts/x", "", "c", None),
        ];
        for (key, from, to, expected) in table {
            assert_eq!(
                new_key(key, from, to).as_deref(),
                expected,
                "{key} {from} {to}"
            );
        }
    }
}
