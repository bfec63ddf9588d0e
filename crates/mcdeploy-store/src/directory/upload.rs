//! Writing to a directory: parts go to their places in a hidden file, which then gets the
//! object's name by a link.
//!
//! A note beside the hidden file says which parts are there, so that an upload can go on
//! after a crash. It is believed only after reading: the note may have reached the disk
//! before the bytes.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use mcdeploy_api::Sha256Digest;
use tokio_util::sync::CancellationToken;

use super::{Directory, PARTIAL_PREFIX, blocking};
use crate::{
    Cause, Checksums, Crc32c, Crc64Nvme, Hasher, HeldPart, ObjectKey, Resume, StoreError, Upload,
    request::{Request, Requester},
    store::{Tally, is_pointless, part_bytes},
};

/// What the name of a note has after that of the file whose parts it tells of.
const NOTE_SUFFIX: &str = ".parts";

pub(super) async fn begin(
    store: &Directory,
    key: &ObjectKey,
    content: &Checksums,
    resume: Resume,
    cancel: &CancellationToken,
) -> Result<Box<dyn Upload>, StoreError> {
    let path = store.path(key);
    let part_bytes = part_bytes(content.size_bytes);
    let has_parts = content.size_bytes > part_bytes;
    let directory = path.parent().unwrap_or(&store.root).to_owned();
    let name = partial_name(key, content, has_parts);
    let request = Request::new("write", key.as_str()).bytes(content.size_bytes);
    let attempt = || {
        let (path, directory, name) = (path.clone(), directory.clone(), name.clone());
        let content = *content;
        blocking(move || {
            if std::fs::symlink_metadata(&path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::create_dir_all(&directory)?;
            let partial = Partial::open(directory.join(name), has_parts, resume)?;
            let tally = Tally::new(&content, part_bytes);
            partial.adopt_parts(&tally, part_bytes)?;
            Ok((partial, tally))
        })
    };
    let (partial, tally) = store.requester.send(request, cancel, attempt).await?;
    Ok(Box::new(FileUpload {
        requester: store.requester.clone(),
        key: key.clone(),
        part_bytes,
        tally,
        partial: Arc::new(partial),
        path,
    }))
}

/// A name that tells content apart, so that whoever writes the same finds it; for an object
/// of one part, which is not worth finding, a name of its own.
fn partial_name(key: &ObjectKey, content: &Checksums, has_parts: bool) -> String {
    let identity = Sha256Digest::of(format!("{key}\n{content}"));
    let own = if has_parts { String::new() } else { unique() };
    format!("{PARTIAL_PREFIX}{}{own}", identity.short(16))
}

/// A suffix that no other upload of this machine has.
fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("-{}-{count}", std::process::id())
}

/// A file that is not yet an object.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    file: File,
    /// Which parts are there; none for an object of one part.
    note: Option<(PathBuf, File)>,
    /// Whether it goes when dropped.
    is_fleeting: bool,
}

impl Partial {
    fn open(path: PathBuf, has_parts: bool, resume: Resume) -> io::Result<Self> {
        let open = |path: &PathBuf| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path)
        };
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            // Somebody is writing the same: they may be as slow as they like.
            Err(TryLockError::WouldBlock) => {
                let mut own = path.into_os_string();
                own.push(unique());
                return Self::open(own.into(), false, Resume::Never);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut note = None;
        if has_parts {
            let mut path = path.clone().into_os_string();
            path.push(NOTE_SUFFIX);
            let path = PathBuf::from(path);
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .open(&path)?;
            note = Some((path, file));
        }
        if resume == Resume::Never {
            file.set_len(0)?;
            if let Some((_, note)) = &note {
                note.set_len(0)?;
            }
        }
        Ok(Self {
            path,
            file,
            is_fleeting: note.is_none(),
            note,
        })
    }

    /// Reads the parts that the note tells of, and believes what it finds.
    fn adopt_parts(&self, tally: &Tally<()>, part_bytes: u64) -> io::Result<()> {
        let Some((path, _)) = &self.note else {
            return Ok(());
        };
        for line in String::from_utf8_lossy(&std::fs::read(path)?).lines() {
            let Some((index, noted)) = parse_line(line) else {
                continue;
            };
            let start = u64::from(index) * part_bytes;
            if self.read_checksums(start, noted.size_bytes)? == noted {
                tally.adopt(index, noted.into(), ());
            }
        }
        Ok(())
    }

    fn read_checksums(&self, start: u64, size_bytes: u64) -> io::Result<Checksums> {
        let (mut hasher, mut at) = (Hasher::default(), start);
        let mut block = vec![0; 1024 * 1024];
        while at < start + size_bytes {
            let left = usize::try_from(start + size_bytes - at).unwrap_or(usize::MAX);
            let room = left.min(block.len());
            let read = self.file.read_at(&mut block[..room], at)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            at += read as u64;
        }
        Ok(hasher.finish())
    }

    fn write(&self, index: u32, start: u64, bytes: &[u8], sums: Checksums) -> io::Result<()> {
        self.file.write_all_at(bytes, start)?;
        if let Some((_, note)) = &self.note {
            let Checksums {
                size_bytes,
                crc64nvme,
                crc32c,
            } = sums;
            let mut note = note;
            note.write_all(format!("{index} {size_bytes} {crc64nvme} {crc32c}\n").as_bytes())?;
        }
        Ok(())
    }

    fn remove(&self) {
        let note = self.note.iter().map(|(path, _)| path);
        for path in note.chain([&self.path]) {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!("a partial file stays: {error}");
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_fleeting {
            self.remove();
        }
    }
}

/// The file that is locked as long as this one, itself or the note of its parts, is used.
fn locked_file(path: &Path) -> io::Result<Option<File>> {
    let name = path.to_string_lossy();
    let data = name.strip_suffix(NOTE_SUFFIX).unwrap_or(&name);
    match File::open(data) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// When a partial file got something last, in seconds since 1970; the far future while
/// somebody writes it, none when it is gone.
pub(super) fn last_activity(path: &Path) -> io::Result<Option<i64>> {
    if let Some(file) = locked_file(path)? {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Some(i64::MAX)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.mtime())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a partial file that nobody writes; gone already is fine.
pub(super) fn discard(path: &Path) -> io::Result<()> {
    // Held until the file is gone, so that nobody begins to write it meanwhile.
    let lock = locked_file(path)?;
    if let Some(file) = &lock {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A line of the note. One that was cut off is none.
fn parse_line(line: &str) -> Option<(u32, Checksums)> {
    let mut fields = line.split(' ');
    let index = fields.next()?.parse().ok()?;
    let checksums = Checksums {
        size_bytes: fields.next()?.parse().ok()?,
        crc64nvme: Crc64Nvme::from_hex(fields.next()?)?,
        crc32c: Crc32c::from_hex(fields.next()?)?,
    };
    fields.next().is_none().then_some((index, checksums))
}

struct FileUpload {
    requester: Requester,
    key: ObjectKey,
    part_bytes: u64,
    tally: Tally<()>,
    partial: Arc<Partial>,
    path: PathBuf,
}

impl FileUpload {
    fn error(&self, cause: Cause) -> StoreError {
        let key = Some(self.key.as_str());
        self.requester.error("write", key, cause)
    }

    async fn commit(&self, cancel: &CancellationToken) -> Result<(), StoreError> {
        if cancel.is_cancelled() {
            return Err(self.error(Cause::Cancelled));
        }
        self.tally.finish().map_err(|cause| self.error(cause))?;
        let (partial, path) = (self.partial.clone(), self.path.clone());
        let linked = blocking(move || {
            partial.file.sync_all()?;
            std::fs::hard_link(&partial.path, &path)?;
            if !partial.is_fleeting {
                partial.remove();
            }
            Ok(())
        });
        linked.await.map_err(|cause| self.error(cause))
    }
}

#[async_trait]
impl Upload for FileUpload {
    fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    fn held(&self) -> BTreeMap<u32, HeldPart> {
        self.tally.held()
    }

    async fn part(
        &self,
        index: u32,
        bytes: Bytes,
        checksums: Checksums,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        if cancel.is_cancelled() {
            return Err(self.error(Cause::Cancelled));
        }
        let (partial, start) = (self.partial.clone(), u64::from(index) * self.part_bytes);
        let written = blocking(move || partial.write(index, start, &bytes, checksums)).await;
        written.map_err(|cause| self.error(cause))?;
        self.tally.record(index, checksums.into(), ());
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<String, StoreError> {
        let outcome = self.commit(cancel).await;
        if is_pointless(&outcome) {
            self.abort().await;
        }
        outcome.map(|()| String::new())
    }

    async fn abort(self: Box<Self>) {
        if !self.partial.is_fleeting {
            self.partial.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_were_cut_off_say_nothing() {
        let sums = Checksums::of(b"weights");
        let line = format!("3 7 {} {}", sums.crc64nvme, sums.crc32c);
        assert_eq!(parse_line(&line), Some((3, sums)));
        for end in 0..line.len() {
            assert_eq!(parse_line(&line[..end]), None, "{end}");
        }
    }
}
