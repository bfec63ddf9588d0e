//! A source's files to a local directory: resumed, and checked.

use std::{
    io,
    path::{Path, PathBuf},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::{ErrorClass, Sha256Digest};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use tokio_util::sync::CancellationToken;

use super::{
    Reading, Source, SourceFile,
    plan::{PARTIAL, PlanError, plan},
};
use crate::{RegistryCause, RegistryError};

/// Files that are read at once.
const CONCURRENCY: usize = 4;
/// How often a file is taken up again after its stream broke off without a byte more than
/// was kept before.
const BREAKS: u32 = 5;
const BLOCK_BYTES: usize = 1024 * 1024;
/// What a pointer of Git LFS begins with.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// Longest pointer of Git LFS, in bytes, by its specification.
const MAX_POINTER_BYTES: u64 = 1024;

/// What is there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub size_bytes: u64,
    /// Bytes that were read from the source by this call.
    pub read_bytes: u64,
}

/// Why a source's files are not all there.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The source did not do what was asked.
    #[error(transparent)]
    Source(#[from] RegistryError),
    /// The names of the files cannot be those of a directory.
    #[error("{place}: {why}")]
    Names {
        /// The source.
        place: String,
        /// Why.
        why: PlanError,
    },
    /// A local file could not be written.
    #[error("write {path:?}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DownloadError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Source(error) => error.class(),
            Self::Names { .. } | Self::Write { .. } => ErrorClass::Permanent,
        }
    }
}

/// Makes `directory` hold every file of the source, each checked by length and, where the
/// source knows it, SHA-256. Files that are there whole are not read again, and one that
/// broke off goes on where it was, if its length is known. `on_bytes` is told what was kept.
///
/// # Errors
/// See [`DownloadError`]. What arrived stays, under a name that says that it is partial.
pub async fn download(
    source: &dyn Source,
    directory: &Path,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Downloaded, DownloadError> {
    let planned = plan(source.files()).map_err(|why| DownloadError::Names {
        place: source.pinned(),
        why,
    })?;
    let tasks = planned.into_iter().map(|(path, file)| {
        let task = Task {
            source,
            file,
            path: directory.join(path),
            on_bytes,
            cancel,
        };
        async move { task.run().await }
    });
    let tasks: Vec<_> = tasks.collect();
    let files = tasks.len();
    let done: Vec<(u64, u64)> = stream::iter(tasks)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(Downloaded {
        files,
        size_bytes: done.iter().map(|(size, _)| size).sum(),
        read_bytes: done.iter().map(|(_, read)| read).sum(),
    })
}

struct Task<'a> {
    source: &'a dyn Source,
    file: &'a SourceFile,
    path: PathBuf,
    on_bytes: &'a (dyn Fn(u64) + Send + Sync),
    cancel: &'a CancellationToken,
}

impl Task<'_> {
    /// Gives the length of the file, and the bytes that were read.
    async fn run(&self) -> Result<(u64, u64), DownloadError> {
        if let Some(size) = self.whole(&self.path).await? {
            (self.on_bytes)(size);
            return Ok((size, 0));
        }
        let mut partial = self.path.clone().into_os_string();
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        if let Some(parent) = partial.parent() {
            fs::create_dir_all(parent).await.map_err(self.write())?;
        }
        let (size, read) = self.fill(&partial).await?;
        if !self.is_right(&partial, size).await? {
            // Going on from wrong bytes would give wrong bytes for ever.
            fs::remove_file(&partial).await.map_err(self.write())?;
            let digest = self.file.sha256.map(|digest| format!(", {digest}"));
            let detail = format!("expected {size} bytes{}", digest.unwrap_or_default());
            return Err(self.error(RegistryCause::DigestMismatch { detail }));
        }
        if is_pointer(&partial, size).await.map_err(self.write())? {
            fs::remove_file(&partial).await.map_err(self.write())?;
            let detail = "it is a pointer of Git LFS, and not the file itself: publish the \
                          file, or fetch it with `git lfs pull` and push the directory"
                .to_owned();
            return Err(self.error(RegistryCause::Refused { detail }));
        }
        fs::rename(&partial, &self.path)
            .await
            .map_err(self.write())?;
        Ok((size, read))
    }

    /// Appends to the partial file until it has every byte. Gives the length of the file,
    /// and how much was read.
    async fn fill(&self, partial: &Path) -> Result<(u64, u64), DownloadError> {
        let mut fill = Fill {
            size: self.file.size_bytes,
            kept: 0,
            read: 0,
        };
        if fill.size.is_none() {
            // What an earlier run left may be whole, of another file, or a half: begun anew.
            match fs::remove_file(partial).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.write()(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let mut breaks = 0;
        loop {
            let there = fs::metadata(partial).await.map_or(0, |m| m.len());
            self.keep(&mut fill, there);
            let before = fill.kept;
            // That a file is empty is believed when nothing comes: mirrors say it of others.
            if fill.size.is_some_and(|size| size > 0 && there >= size) {
                return Ok((there, fill.read));
            }
            let reading = self.source.read(self.file, there, self.cancel).await?;
            match self.append(partial, reading, &mut fill).await? {
                Ok(length) => return Ok((length, fill.read)),
                Err(cause) if !cause.class().is_retryable() => return Err(self.error(cause)),
                Err(cause) => {
                    // A source without ranges gives the same bytes again and again: only
                    // what is new is progress.
                    breaks = if fill.kept > before { 1 } else { breaks + 1 };
                    if breaks > BREAKS {
                        return Err(self.error(cause));
                    }
                    tracing::debug!(file = self.file.path, kept = fill.kept, "goes on: {cause}");
                }
            }
        }
    }

    /// The file has this length now, of which what is new counts.
    fn keep(&self, fill: &mut Fill, length: u64) {
        if length > fill.kept {
            (self.on_bytes)(length - fill.kept);
            fill.kept = length;
        }
    }

    /// Writes what arrives. Gives the length of the file when it is whole, or how it broke
    /// off.
    async fn append(
        &self,
        partial: &Path,
        reading: Reading,
        fill: &mut Fill,
    ) -> Result<Result<u64, RegistryCause>, DownloadError> {
        let Reading {
            begin,
            whole_bytes,
            mut body,
        } = reading;
        // What the listing said comes first: another length is another file.
        fill.size = fill.size.or(whole_bytes);
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let mut out = options.open(partial).await.map_err(self.write())?;
        // A source without ranges begins anew.
        out.set_len(begin).await.map_err(self.write())?;
        let mut length = begin;
        let outcome = loop {
            let next = tokio::select! {
                biased;
                () = self.cancel.cancelled() => Some(Err(RegistryCause::Cancelled)),
                next = body.next() => next,
            };
            match next {
                None => break Ok(length),
                Some(Err(cause)) => break Err(cause),
                Some(Ok(bytes)) => {
                    let got = bytes.len() as u64;
                    if let Some(size) = fill.size.filter(|size| length + got > *size) {
                        let detail = format!("more than {size} bytes");
                        break Err(RegistryCause::Refused { detail });
                    }
                    out.write_all(&bytes).await.map_err(self.write())?;
                    length += got;
                    fill.read += got;
                    self.keep(fill, length);
                }
            }
        };
        out.flush().await.map_err(self.write())?;
        let is_short = fill.size.is_some_and(|size| length < size);
        Ok(match outcome {
            Ok(length) if is_short => Err(RegistryCause::Unreachable {
                detail: format!("ended after {length} bytes"),
            }),
            outcome => outcome,
        })
    }

    /// The length of a file that is there whole. One whose length is not known got its name
    /// only when it was whole; an empty one is looked at again, for it costs nothing.
    async fn whole(&self, path: &Path) -> Result<Option<u64>, DownloadError> {
        let there = match fs::metadata(path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.write()(error)),
        };
        let expected = self.file.size_bytes;
        if expected.is_none() && there == 0 {
            return Ok(None);
        }
        let is_right = self.is_right(path, expected.unwrap_or(there)).await?;
        Ok(is_right.then_some(there))
    }

    /// Whether a file has the length and, where it is known, the digest.
    async fn is_right(&self, path: &Path, size: u64) -> Result<bool, DownloadError> {
        if fs::metadata(path).await.map_err(self.write())?.len() != size {
            return Ok(false);
        }
        let Some(expected) = self.file.sha256 else {
            return Ok(true);
        };
        let actual = sha256(path).await.map_err(self.write())?;
        Ok(actual == expected)
    }

    fn write(&self) -> impl Fn(io::Error) -> DownloadError + use<> {
        let path = self.path.clone();
        move |source| DownloadError::Write {
            path: path.clone(),
            source,
        }
    }

    fn error(&self, cause: RegistryCause) -> DownloadError {
        DownloadError::Source(RegistryError {
            place: self.source.pinned(),
            operation: "read",
            what: self.file.path.clone(),
            cause,
        })
    }
}

/// How far a file is.
struct Fill {
    /// Its length, as soon as it is said.
    size: Option<u64>,
    /// The most that its partial file ever held, in bytes.
    kept: u64,
    /// What was read from the source, in bytes.
    read: u64,
}

/// Whether a file stands for another one, which is in Git's large-file storage.
async fn is_pointer(path: &Path, size: u64) -> io::Result<bool> {
    if size > MAX_POINTER_BYTES {
        return Ok(false);
    }
    Ok(fs::read(path).await?.starts_with(LFS_POINTER))
}

async fn sha256(path: &Path) -> io::Result<Sha256Digest> {
    let mut file = File::open(path).await?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut hasher = Sha256::new();
    loop {
        match file.read(&mut block).await? {
            0 => return Ok(Sha256Digest::from_bytes(hasher.finalize().into())),
            n => hasher.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests;
