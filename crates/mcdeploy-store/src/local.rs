//! Reads a local directory: which files it has, and every digest of each.

use std::{
    fs::{File, FileType},
    io::{self, Read as _},
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
            let key = format!("{prefix}{name}");
            match kind(metadata.file_type()) {
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
                Kind::Other => return Err(unsupported("it is not a regular file".to_owned())),
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
