//! A source's files to a local directory: resumed, and checked.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::{ErrorClass, Sha256Digest};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use tokio_util::sync::CancellationToken;

use super::{Source, SourceFile};
use crate::{RegistryCause, RegistryError};

/// Files that are read at once.
const CONCURRENCY: usize = 4;
/// How often a file is taken up again after its stream broke off without a byte.
const BREAKS: u32 = 5;
const BLOCK_BYTES: usize = 1024 * 1024;
/// What a file is called until it is whole.
const PARTIAL: &str = ".mcdeploy-part";

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
    /// A name that would leave the directory, or mean another file elsewhere.
    #[error("{place}: the file name {path:?} is not safe; nothing was read")]
    Path {
        /// The source.
        place: String,
        /// The name.
        path: String,
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
            Self::Path { .. } | Self::Write { .. } => ErrorClass::Permanent,
        }
    }
}

/// Makes `directory` hold every file of the source, each checked by length and, where the
/// source knows it, SHA-256. Files that are there whole are not read again, and one that
/// broke off goes on where it was.
///
/// # Errors
/// See [`DownloadError`]. What arrived stays, under a name that says that it is partial.
pub async fn download(
    source: &dyn Source,
    directory: &Path,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Downloaded, DownloadError> {
    let mut tasks = vec![];
    for file in source.files() {
        let path = safe_path(&file.path).ok_or_else(|| DownloadError::Path {
            place: source.pinned(),
            path: file.path.clone(),
        })?;
        let task = Task {
            source,
            file,
            path: directory.join(path),
            on_bytes,
            cancel,
        };
        tasks.push(async move { task.run().await });
    }
    let read: Vec<u64> = stream::iter(tasks)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(Downloaded {
        files: source.files().len(),
        size_bytes: source.files().iter().map(|file| file.size_bytes).sum(),
        read_bytes: read.iter().sum(),
    })
}

/// The path within the directory; none where it would lead elsewhere.
fn safe_path(path: &str) -> Option<PathBuf> {
    let is_safe = !path.is_empty()
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && !path.ends_with(PARTIAL)
        && path.split('/').all(|name| !name.is_empty())
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    // `Path` drops `.` in the middle, which would make two names one.
    let is_plain = path.split('/').all(|name| name != "." && name != "..");
    (is_safe && is_plain).then(|| PathBuf::from(path))
}

struct Task<'a> {
    source: &'a dyn Source,
    file: &'a SourceFile,
    path: PathBuf,
    on_bytes: &'a (dyn Fn(u64) + Send + Sync),
    cancel: &'a CancellationToken,
}

impl Task<'_> {
    /// Gives the bytes that were read.
    async fn run(&self) -> Result<u64, DownloadError> {
        if self.is_whole(&self.path).await? {
            (self.on_bytes)(self.file.size_bytes);
            return Ok(0);
        }
        let mut partial = self.path.clone().into_os_string();
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        if let Some(parent) = partial.parent() {
            fs::create_dir_all(parent).await.map_err(self.write())?;
        }
        let read = self.fill(&partial).await?;
        if !self.is_whole(&partial).await? {
            // Going on from wrong bytes would give wrong bytes for ever.
            fs::remove_file(&partial).await.map_err(self.write())?;
            let detail = format!(
                "expected {} bytes{}",
                self.file.size_bytes,
                self.file
                    .sha256
                    .map(|d| format!(", {d}"))
                    .unwrap_or_default()
            );
            return Err(self.error(RegistryCause::DigestMismatch { detail }));
        }
        fs::rename(&partial, &self.path)
            .await
            .map_err(self.write())?;
        Ok(read)
    }

    /// Appends to the partial file until it has every byte.
    async fn fill(&self, partial: &Path) -> Result<u64, DownloadError> {
        let (mut read, mut breaks) = (0, 0);
        loop {
            let there = fs::metadata(partial).await.map_or(0, |m| m.len());
            if there >= self.file.size_bytes {
                self.touch(partial).await?;
                return Ok(read);
            }
            let (begin, body) = self.source.read(self.file, there, self.cancel).await?;
            let (got, outcome) = self.append(partial, begin, body).await?;
            read += got;
            match outcome {
                Ok(()) => return Ok(read),
                Err(cause) if !cause.class().is_retryable() => return Err(self.error(cause)),
                Err(cause) => {
                    breaks = if got == 0 { breaks + 1 } else { 1 };
                    if breaks > BREAKS {
                        return Err(self.error(cause));
                    }
                    tracing::debug!(file = self.file.path, got, "goes on: {cause}");
                }
            }
        }
    }

    /// An empty file is there without a read.
    async fn touch(&self, partial: &Path) -> Result<(), DownloadError> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(true).open(partial).await;
        opened.map(|_| ()).map_err(self.write())
    }

    /// Writes what arrives; says how much, and how it ended.
    async fn append(
        &self,
        partial: &Path,
        begin: u64,
        mut body: super::Body,
    ) -> Result<(u64, Result<(), RegistryCause>), DownloadError> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let mut out = options.open(partial).await.map_err(self.write())?;
        // A source without ranges begins anew.
        out.set_len(begin).await.map_err(self.write())?;
        let mut got = 0;
        let outcome = loop {
            let next = tokio::select! {
                biased;
                () = self.cancel.cancelled() => Some(Err(RegistryCause::Cancelled)),
                next = body.next() => next,
            };
            match next {
                None => break Ok(()),
                Some(Err(cause)) => break Err(cause),
                Some(Ok(bytes)) => {
                    got += bytes.len() as u64;
                    if begin + got > self.file.size_bytes {
                        let detail = format!("more than {} bytes", self.file.size_bytes);
                        break Err(RegistryCause::Refused { detail });
                    }
                    out.write_all(&bytes).await.map_err(self.write())?;
                    (self.on_bytes)(bytes.len() as u64);
                }
            }
        };
        out.flush().await.map_err(self.write())?;
        let short = begin + got < self.file.size_bytes;
        let outcome = match outcome {
            Ok(()) if short => Err(RegistryCause::Unreachable {
                detail: format!("ended after {} bytes", begin + got),
            }),
            outcome => outcome,
        };
        Ok((got, outcome))
    }

    /// Whether a file has the length and, where it is known, the digest.
    async fn is_whole(&self, path: &Path) -> Result<bool, DownloadError> {
        let size = match fs::metadata(path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.write()(error)),
        };
        if size != self.file.size_bytes {
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
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in [
            "",
            "/a",
            "../a",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            ".",
            "x.mcdeploy-part",
        ] {
            assert_eq!(safe_path(bad), None, "{bad:?}");
        }
        assert_eq!(safe_path("a b/ü.bin"), Some(PathBuf::from("a b/ü.bin")));
    }
}
