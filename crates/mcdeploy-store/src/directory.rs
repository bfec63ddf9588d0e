//! A local directory as a store: objects are plain files, nothing else is kept.
//!
//! Writes go to a hidden file beside the target and appear by `link`, which fails when
//! the name is taken, so creating is atomic and never overwrites.
//!
//! `upload` is the writing half.

use std::{
    fs::Metadata,
    io,
    ops::Range,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    fs,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Leftover, ListedObject, Mark, ObjectInfo, ObjectKey, Resume, Store,
    StoreError, StoredChecksums, Upload, local,
    request::{Request, Requester},
};

mod upload;

/// Prefix of files that are not yet objects.
const PARTIAL_PREFIX: &str = ".mcdeploy-partial-";

/// Opens a directory as a store named `local`.
///
/// # Errors
/// `Permanent` when it is not a directory that can be read.
pub fn open_directory(path: impl AsRef<Path>) -> Result<Arc<dyn Store>, StoreError> {
    open_directory_below(path, "")
}

/// [`open_directory`] whose files are read only when they are below `top`, a path within it,
/// wherever links lead; where there is nothing at `top`, below what would hold it.
///
/// # Errors
/// As [`open_directory`].
pub fn open_directory_below(
    path: impl AsRef<Path>,
    top: &str,
) -> Result<Arc<dyn Store>, StoreError> {
    let root = path.as_ref().to_owned();
    let top = nearest(&root, top);
    let location = format!("file://{}", root.display());
    let requester = Requester::new("local", location, []);
    match std::fs::metadata(&root) {
        Ok(metadata) if metadata.is_dir() => match top {
            Ok(top) => Ok(Arc::new(Directory {
                root,
                top,
                requester,
            })),
            Err(error) => Err(requester.error("open", None, cause(error))),
        },
        Ok(_) => {
            let detail = "not a directory".to_owned();
            Err(requester.error("open", None, Cause::Configuration { detail }))
        }
        Err(error) => Err(requester.error("open", None, cause(error))),
    }
}

/// `top`, or the nearest directory above it that exists, down to `root`; without links.
fn nearest(root: &Path, top: &str) -> io::Result<PathBuf> {
    let wanted = root.join(top);
    let mut above = wanted.ancestors().take_while(|path| path.starts_with(root));
    let found = above.find_map(|path| std::fs::canonicalize(path).ok());
    found.map_or_else(|| std::fs::canonicalize(root), Ok)
}

#[derive(Clone, Debug)]
struct Directory {
    root: PathBuf,
    /// No file outside of it is read; without links.
    top: PathBuf,
    requester: Requester,
}

fn cause(error: io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Cause::NotFound,
        io::ErrorKind::AlreadyExists => Cause::AlreadyExists,
        io::ErrorKind::PermissionDenied => Cause::Denied {
            detail: error.to_string(),
        },
        _ => Cause::Local(Arc::new(error)),
    }
}

/// Changes with every write: inode, length, and both times to the nanosecond.
fn pin(metadata: &Metadata) -> String {
    format!(
        "{}-{}-{}.{:09}-{}.{:09}",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}

impl Directory {
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// An error when the object is a link that leads out of the directory.
    async fn stays_inside(&self, key: &ObjectKey) -> Result<(), Cause> {
        let path = self.path(key);
        let real = fs::canonicalize(&path).await.map_err(cause)?;
        if real.starts_with(&self.top) {
            return Ok(());
        }
        let (real, top) = (real.display(), self.top.display());
        Err(Cause::Refused {
            detail: format!("it is a link to {real}, outside of {top}: put a copy there instead"),
        })
    }

    async fn pinned(&self, object: &ObjectInfo) -> Result<(), Cause> {
        let metadata = fs::metadata(self.path(&object.key)).await.map_err(cause)?;
        if pin(&metadata) == object.pin {
            Ok(())
        } else {
            Err(Cause::Changed)
        }
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        self.stays_inside(&object.key).await?;
        self.pinned(object).await?;
        let mut file = fs::File::open(self.path(&object.key))
            .await
            .map_err(cause)?;
        file.seek(io::SeekFrom::Start(range.start))
            .await
            .map_err(cause)?;
        let length = range.end.saturating_sub(range.start);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.take(length)
            .read_to_end(&mut bytes)
            .await
            .map_err(cause)?;
        self.pinned(object).await?;
        if bytes.len() as u64 == length {
            Ok(bytes.into())
        } else {
            Err(Cause::Changed)
        }
    }
}

#[async_trait]
impl Store for Directory {
    fn name(&self) -> &str {
        &self.requester.store
    }

    fn location(&self) -> &str {
        &self.requester.location
    }

    async fn list(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<ListedObject>, StoreError> {
        self.requester
            .send(Request::new("list", prefix), cancel, || {
                let (root, prefix) = (self.root.clone(), prefix.to_owned());
                blocking(move || list(&root, &prefix, |name| !name.starts_with(PARTIAL_PREFIX)))
            })
            .await
    }

    async fn others(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, &'static str)>, StoreError> {
        self.requester
            .send(Request::new("list", prefix), cancel, || {
                let (root, prefix) = (self.root.clone(), prefix.to_owned());
                blocking(move || others(&root, &prefix))
            })
            .await
    }

    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError> {
        self.requester
            .send(Request::new("head", key.as_str()), cancel, || async {
                let metadata = fs::metadata(self.path(key)).await.map_err(cause)?;
                if !metadata.is_file() {
                    return Err(Cause::NotFound);
                }
                Ok(ObjectInfo {
                    key: key.clone(),
                    size_bytes: metadata.len(),
                    pin: pin(&metadata),
                    checksums: StoredChecksums::default(),
                })
            })
            .await
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        let request = Request::new("hash", object.key.as_str()).bytes(object.size_bytes);
        self.requester
            .send(request, cancel, || async {
                self.stays_inside(&object.key).await?;
                self.pinned(object).await?;
                let (path, token) = (self.path(&object.key), cancel.clone());
                let (checksums, _) =
                    tokio::task::spawn_blocking(move || local::hash_file(&path, &token))
                        .await
                        .map_err(|error| Cause::Local(Arc::new(error.into())))?
                        .map_err(cause)?;
                self.pinned(object).await?;
                Ok(checksums.into())
            })
            .await
    }

    async fn read(
        &self,
        object: &ObjectInfo,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError> {
        let request = Request::new("read", object.key.as_str()).bytes(range.end - range.start);
        self.requester
            .send(request, cancel, || self.read_range(object, range.clone()))
            .await
    }

    async fn begin(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        upload::begin(self, key, content, resume, cancel).await
    }

    async fn leftovers(&self, cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError> {
        self.requester
            .send(Request::new("list uploads to", ""), cancel, || {
                let root = self.root.clone();
                blocking(move || list(&root, "", |name| name.starts_with(PARTIAL_PREFIX)))
            })
            .await
            .map(|found| found.into_iter().map(leftover).collect())
    }

    /// A file that somebody writes is locked.
    async fn last_activity(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<Option<i64>, StoreError> {
        let request = Request::new("look at", &leftover.key);
        self.requester
            .send(request, cancel, || {
                let path = self.root.join(&leftover.id);
                blocking(move || upload::last_activity(&path))
            })
            .await
    }

    async fn discard(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let request = Request::new("discard", &leftover.key);
        self.requester
            .send(request, cancel, || {
                let path = self.root.join(&leftover.id);
                blocking(move || upload::discard(&path))
            })
            .await
    }

    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.requester
            .send(
                Request::new("delete", object.key.as_str()),
                cancel,
                || async {
                    let path = self.path(&object.key);
                    match self.pinned(object).await {
                        Ok(()) => fs::remove_file(path).await.map_err(cause),
                        Err(Cause::NotFound) => Ok(()),
                        Err(other) => Err(other),
                    }
                },
            )
            .await
    }
}

/// Runs file system calls that would hold up the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Cause> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome
        .map_err(|error| Cause::Local(Arc::new(error.into())))?
        .map_err(cause)
}

fn leftover(file: ListedObject) -> Leftover {
    let directory = file
        .key
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    Leftover {
        key: directory.to_owned(),
        id: file.key,
        began_s: file.modified_s,
        mark: Mark::Ours,
    }
}

/// Files with these names whose keys start with the prefix, sorted by key.
fn list(
    root: &Path,
    prefix: &str,
    is_meant: impl Fn(&str) -> bool,
) -> io::Result<Vec<ListedObject>> {
    let mut found = vec![];
    walk(root, prefix, |entry| {
        // A link to a file is that file.
        if let Entry::File(key, metadata) = entry
            && is_meant(key.rsplit('/').next().unwrap_or_default())
        {
            found.push(ListedObject {
                key,
                size_bytes: metadata.len(),
                pin: pin(&metadata),
                checksums: StoredChecksums::default(),
                modified_s: Some(metadata.mtime()),
            });
        }
    })?;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// What is neither a file nor a directory, and why.
fn others(root: &Path, prefix: &str) -> io::Result<Vec<(String, &'static str)>> {
    let mut found = vec![];
    walk(root, prefix, |entry| {
        if let Entry::Other(key, why) = entry {
            found.push((key, why));
        }
    })?;
    Ok(found)
}

/// One entry of a directory tree, with its key.
enum Entry {
    File(String, Metadata),
    /// With what it is.
    Other(String, &'static str),
}

/// Everything whose key starts with the prefix.
fn walk(root: &Path, prefix: &str, mut visit: impl FnMut(Entry)) -> io::Result<()> {
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((dir, base)) = pending.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let key = format!("{base}{}", name.to_string_lossy());
            if entry.file_type()?.is_dir() && name.to_str().is_some() {
                let directory = format!("{key}/");
                if directory.starts_with(prefix) || prefix.starts_with(&directory) {
                    pending.push((entry.path(), directory));
                }
                continue;
            }
            if !key.starts_with(prefix) {
                continue;
            }
            if name.to_str().is_none() {
                visit(Entry::Other(key, "a name that is not UTF-8"));
                continue;
            }
            match std::fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => visit(Entry::File(key, metadata)),
                Ok(metadata) if metadata.is_dir() => {
                    visit(Entry::Other(key, "a link to a directory"));
                }
                Ok(metadata) => {
                    let kind = local::other_kind(metadata.file_type());
                    visit(Entry::Other(key, kind));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    visit(Entry::Other(key, "a link to nowhere"));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
