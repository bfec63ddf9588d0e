//! Copies objects that are no version: one, or all below a prefix, each proved by checksums.
//!
//! Nothing is overwritten: an object that is there with the same bytes is left, one with
//! other bytes is a conflict. There is no manifest, so what the source's store knows of an
//! object is what the copy is proved against; where it knows less than the target needs,
//! an object of more than one part is read twice, and that is said.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    /// Its key in the target; empty when it is none to copy.
    pub to: String,
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
    /// It is no object to copy.
    Skipped {
        /// What it is.
        what: &'static str,
    },
}

/// What an empty object is that only stands for a directory.
const MARKER: &str = "a marker of a directory, without bytes";

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
    /// What is there is no object.
    #[error("there is nothing to copy at {path:?} in store {store:?}: {found:?} is {what}")]
    NothingToCopy {
        /// What was asked for.
        path: String,
        /// Source store.
        store: String,
        /// The first that is there.
        found: String,
        /// What that is.
        what: &'static str,
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
            Self::NothingToCopy { .. } | Self::Name(_) => ErrorClass::Permanent,
            Self::Store(error) => error.class(),
        }
    }
}

/// Copies one object, or all below a directory. One entry per object, sorted by key, then
/// one for each thing that is none to copy; one that fails stops no other. The same call
/// again does only what is missing.
///
/// # Errors
/// Before anything was copied: nothing to copy, a store that cannot be listed.
pub async fn copy_objects(
    request: &CopyRequest<'_>,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Vec<CopiedObject>, CopyError> {
    let Chosen { objects, skipped } = choose(request, cancel).await?;
    let there = present(request, &objects, cancel).await?;
    let meter = Mutex::new(Meter {
        step: Step::Copy,
        store: Some(request.target),
        total_bytes: objects.iter().map(|(object, _)| object.size_bytes).sum(),
        done_bytes: 0,
        on_progress,
    });
    let copy = Copy {
        request,
        there,
        meter,
        cancel,
    };
    let work = objects.iter().map(|(object, to)| copy.object(object, to));
    let work: Vec<_> = work.collect();
    let mut done: Vec<_> = stream::iter(work).buffered(OBJECTS).collect().await;
    done.extend(skipped.into_iter().map(|(from, what)| CopiedObject {
        from,
        to: String::new(),
        size_bytes: 0,
        outcome: Ok(CopyOutcome::Skipped { what }),
    }));
    Ok(done)
}

/// What is there to copy, and what is not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    /// With their new keys, which may be none that can be held.
    objects: Vec<(ListedObject, String)>,
    /// Keys, with what they are.
    skipped: Vec<(String, &'static str)>,
}

async fn choose(
    request: &CopyRequest<'_>,
    cancel: &CancellationToken,
) -> Result<Chosen, CopyError> {
    let from = request.from.trim_end_matches('/');
    let listed = request.source.list(from, cancel).await?;
    let others = request.source.others(from, cancel).await?;
    let chosen = sort_out(listed, others, request.from, request.to);
    if !chosen.objects.is_empty() {
        return Ok(chosen);
    }
    let (path, store) = (request.from.to_owned(), request.source.name().to_owned());
    Err(match chosen.skipped.into_iter().next() {
        None => CopyError::Missing { path, store },
        Some((found, what)) => CopyError::NothingToCopy {
            path,
            store,
            found,
            what,
        },
    })
}

/// Which of a listing are meant, and which of those are objects with bytes of their own.
fn sort_out(
    listed: Vec<ListedObject>,
    others: Vec<(String, &'static str)>,
    from: &str,
    to: &str,
) -> Chosen {
    // Some write a directory's marker without the slash at the end. Beside what is below it,
    // no directory could hold a file of that name.
    let directories: BTreeSet<String> = listed
        .iter()
        .flat_map(|object| {
            let slashes = object.key.match_indices('/');
            slashes.map(move |(at, _)| &object.key[..at])
        })
        .map(str::to_owned)
        .collect();
    let is_marker = |object: &ListedObject| {
        object.is_marker() || object.size_bytes == 0 && directories.contains(&object.key)
    };
    let mut chosen = Chosen::default();
    for object in listed {
        match new_key(&object.key, from, to) {
            Some(_) if is_marker(&object) => chosen.skipped.push((object.key, MARKER)),
            Some(to) => chosen.objects.push((object, to)),
            None => {}
        }
    }
    let others = others.into_iter();
    let meant = others.filter(|(key, _)| new_key(key, from, to).is_some());
    chosen.skipped.extend(meant);
    chosen.skipped.sort();
    chosen
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
    objects: &[(ListedObject, String)],
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, ListedObject>, CopyError> {
    let prefix = match objects {
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
    async fn object(&self, listed: &ListedObject, to: &str) -> CopiedObject {
        let outcome = match (ObjectKey::new(to), listed.object()) {
            (Ok(to), Ok(object)) => self.try_object(object, &to).await,
            (Err(error), _) | (_, Err(error)) => Err(error.into()),
        };
        CopiedObject {
            from: listed.key.clone(),
            to: to.to_owned(),
            size_bytes: listed.size_bytes,
            outcome,
        }
    }

    async fn try_object(
        &self,
        object: ObjectInfo,
        to: &ObjectKey,
    ) -> Result<CopyOutcome, CopyError> {
        let there = self.there.get(to.as_str());
        if self.request.dry_run && there.is_none() {
            return Ok(CopyOutcome::Absent);
        }
        let known = self.know(object).await?;
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

    #[test]
    fn a_marker_or_a_key_that_cannot_be_held_stops_no_other() {
        let object = |key: &str, size_bytes| ListedObject {
            key: key.to_owned(),
            size_bytes,
            pin: String::new(),
            checksums: crate::StoredChecksums::default(),
            modified_s: None,
        };
        let listed = vec![
            object("data/", 0),
            object("data/a", 5),
            object("data/dot.", 1),
            object("data/empty", 0),
            object("data/sub", 0),
            object("data/sub/b", 2),
            object("data/sub2/", 3),
            object("other/c", 1),
        ];
        let others = vec![
            ("data/pipe".to_owned(), "a pipe"),
            ("x".to_owned(), "a pipe"),
        ];
        let chosen = sort_out(listed, others, "data/", "to/");
        let names: Vec<_> = chosen.objects.iter().map(|(_, to)| to.as_str()).collect();
        // What has bytes is tried, and fails for itself.
        assert_eq!(
            names,
            ["to/a", "to/dot.", "to/empty", "to/sub/b", "to/sub2/"]
        );
        assert_eq!(
            chosen.skipped,
            [
                ("data/".to_owned(), MARKER),
                ("data/pipe".to_owned(), "a pipe"),
                ("data/sub".to_owned(), MARKER),
            ]
        );
    }
}
