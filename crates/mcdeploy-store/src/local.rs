//! Reads a local directory: which files it has, and every digest of each.

use std::{
    fs::{File, FileType},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use mcdeploy_api::Sha256Digest;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{
    Checksums, Hasher, ManifestFile, ObjectKey, OnProgress, PushError, Step, progress::Meter,
};

/// Deepest directory that is entered.
const MAX_DEPTH: usize = 32;
/// How much is read at a time, in bytes.
const BLOCK_BYTES: usize = 1024 * 1024;
/// What a pointer of Git LFS begins with, and its greatest length in bytes.
/// Source: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md> (2026-11-30).
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
const MAX_POINTER_BYTES: u64 = 1024;
/// What tools keep beside the files that they fetched, and no version is made of: the
/// history of a clone, and the notes of `hf download --local-dir`.
const LEFT_OUT: [&str; 2] = [".git", ".cache/huggingface"];

/// A file below a directory.
struct Found {
    path: PathBuf,
    key: ObjectKey,
    size_bytes: u64,
}

/// Hashes every file below `dir`, sorted by key.
pub(crate) async fn hash_files(
    dir: &Path,
    on_progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<Vec<ManifestFile>, PushError> {
    let root = dir.to_owned();
    let found = blocking(move || walk(&root)).await?;
    let mut meter = Meter {
        step: Step::Hash,
        store: None,
        total_bytes: found.iter().map(|f| f.size_bytes).sum(),
        done_bytes: 0,
        on_progress,
    };
    let mut files = Vec::with_capacity(found.len());
    for Found { path, key, .. } in found {
        let token = cancel.clone();
        let (checksums, sha256) = blocking(move || {
            hash_file(&path, &token).map_err(|source| PushError::Read { path, source })
        })
        .await?;
        if cancel.is_cancelled() {
            return Err(PushError::Cancelled);
        }
        meter.add(&key, checksums.size_bytes);
        files.push(ManifestFile {
            path: key,
            size_bytes: checksums.size_bytes,
            sha256,
            crc64nvme: checksums.crc64nvme,
            crc32c: checksums.crc32c,
        });
    }
    Ok(files)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    // A blocking task ends only by returning, by a panic, or with the runtime.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(PushError::Cancelled))
}

/// All three digests of a file in one pass. Stops early when cancelled.
pub(crate) fn hash_file(
    path: &Path,
    cancel: &CancellationToken,
) -> io::Result<(Checksums, Sha256Digest)> {
    let mut file = File::open(path)?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut crcs = Hasher::default();
    let mut sha256 = Sha256::new();
    while !cancel.is_cancelled() {
        let n = match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        crcs.update(&block[..n]);
        sha256.update(&block[..n]);
    }
    Ok((
        crcs.finish(),
        Sha256Digest::from_bytes(sha256.finalize().into()),
    ))
}

/// What a push of `dir` leaves out, as paths within it, sorted: what Git and the tools of
/// Hugging Face keep there for themselves. What cannot be read is left to the push to tell.
pub fn left_out(dir: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut pending = vec![(dir.to_owned(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = pending.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let key = format!("{prefix}{name}");
            if is_left_out(&key) {
                found.push(key);
            } else if depth < MAX_DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push((entry.path(), format!("{key}/"), depth + 1));
            }
        }
    }
    found.sort();
    found
}

fn is_left_out(key: &str) -> bool {
    LEFT_OUT.iter().any(|name| {
        let above = key.strip_suffix(name);
        above.is_some_and(|above| above.is_empty() || above.ends_with('/'))
    })
}

fn walk(root: &Path) -> Result<Vec<Found>, PushError> {
    let mut found = vec![];
    let inside = std::fs::canonicalize(root).map_err(|source| PushError::Read {
        path: root.to_owned(),
        source,
    })?;
    let mut pending = vec![(root.to_owned(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = pending.pop() {
        let read = |source| PushError::Read {
            path: dir.clone(),
            source,
        };
        for entry in std::fs::read_dir(&dir).map_err(read)? {
            let entry = entry.map_err(read)?;
            let path = entry.path();
            let unsupported = |why: String| PushError::Unsupported {
                path: path.clone(),
                why,
            };
            let name = entry
                .file_name()
                .into_string()
                .map_err(|_| unsupported("its name is not UTF-8".to_owned()))?;
            let key = format!("{prefix}{name}");
            if is_left_out(&key) {
                continue;
            }
            let is_link = entry.file_type().map_err(read)?.is_symlink();
            // A link to a file is that file, but only to one of the directory: a repository
            // that somebody else wrote may have one to a key of this user.
            if is_link {
                stays_inside(&path, &inside, &unsupported)?;
            }
            let metadata = std::fs::metadata(&path).map_err(|source| PushError::Read {
                path: path.clone(),
                source,
            })?;
            match kind(metadata.file_type()) {
                Kind::File if is_pointer(&path, metadata.len()).map_err(read)? => {
                    return Err(unsupported(
                        "it is a pointer of Git LFS, and not the file itself: run `git lfs \
                         pull` where it was cloned"
                            .to_owned(),
                    ));
                }
                Kind::File => found.push(Found {
                    key: ObjectKey::new(key).map_err(|e| unsupported(e.to_string()))?,
                    size_bytes: metadata.len(),
                    path,
                }),
                Kind::Directory if is_link => {
                    return Err(unsupported("it is a link to a directory".to_owned()));
                }
                Kind::Directory if depth == MAX_DEPTH => {
                    return Err(unsupported(format!("it is over {MAX_DEPTH} levels deep")));
                }
                Kind::Directory => pending.push((path, format!("{key}/"), depth + 1)),
                Kind::Other => {
                    let what = other_kind(metadata.file_type());
                    return Err(unsupported(format!("it is {what}, and no file")));
                }
            }
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// An error when a link leads out of the directory.
fn stays_inside(
    link: &Path,
    inside: &Path,
    unsupported: &impl Fn(String) -> PushError,
) -> Result<(), PushError> {
    let target = std::fs::canonicalize(link).map_err(|source| PushError::Read {
        path: link.to_owned(),
        source,
    })?;
    if target.starts_with(inside) {
        return Ok(());
    }
    Err(unsupported(format!(
        "it is a link to {}, outside of {}: put a copy there instead",
        target.display(),
        inside.display()
    )))
}

/// Whether a file stands for another one, which is in Git's large-file storage.
fn is_pointer(path: &Path, size_bytes: u64) -> io::Result<bool> {
    if size_bytes > MAX_POINTER_BYTES {
        return Ok(false);
    }
    Ok(std::fs::read(path)?.starts_with(LFS_POINTER))
}

/// The word for what is neither a file nor a directory.
pub(crate) fn other_kind(file_type: FileType) -> &'static str {
    if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else if file_type.is_block_device() || file_type.is_char_device() {
        "a device"
    } else {
        "something else"
    }
}

enum Kind {
    File,
    Directory,
    Other,
}

fn kind(file_type: FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_dir() {
        Kind::Directory
    } else {
        Kind::Other
    }
}
