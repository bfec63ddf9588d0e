//! The last good input on disk, so that a gateway that starts while the API server is
//! down serves what it served before.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{fs, io::AsyncWriteExt, sync::watch, time::sleep};

use crate::{input::Input, state::State};

/// First and longest wait after a copy that could not be written.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

const FILE: &str = "routing.json";
const NEW_FILE: &str = "routing.json.new";

/// Where the last good input is kept.
#[derive(Clone, Debug)]
pub struct Disk {
    dir: PathBuf,
}

/// The copy on disk is of no use; the gateway starts without.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Disk {
    /// Keeps the copy in `dir`, which is made if it is absent.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Reads the copy; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be read or parsed.
    pub async fn load(&self) -> Result<Option<Input>, DiskError> {
        let path = self.dir.join(FILE);
        let bytes = match fs::read(&path).await {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DiskError::Read { path, source }),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| DiskError::Parse { path, source })
    }

    /// Replaces the copy: whole or not at all, whenever the machine stops.
    ///
    /// # Errors
    /// It cannot be written; the old copy stays.
    pub async fn store(&self, input: &Input) -> Result<(), DiskError> {
        let path = self.dir.join(FILE);
        let bytes = serde_json::to_vec(input).map_err(|source| DiskError::Parse {
            path: path.clone(),
            source,
        })?;
        self.replace(&path, &bytes)
            .await
            .map_err(|source| DiskError::Write { path, source })
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.dir).await?;
        let new = self.dir.join(NEW_FILE);
        let mut file = fs::File::create(&new).await?;
        file.write_all(bytes).await?;
        // Writes go on behind: only this tells that the last one failed.
        file.flush().await?;
        file.sync_all().await?;
        fs::rename(&new, path).await?;
        fs::File::open(&self.dir).await?.sync_all().await
    }
}

/// Writes each new state to disk, apart from routing: a slow disk delays no route. What
/// cannot be written is tried again, and `not_kept` says why as long as it is so.
pub(crate) async fn keep(
    disk: Disk,
    mut good: watch::Receiver<Input>,
    state: Arc<State>,
    not_kept: watch::Sender<Option<String>>,
) {
    let mut pause = PAUSE.0;
    let mut news = good.changed().await;
    while news.is_ok() {
        let input = good.borrow_and_update().clone();
        let stored = disk.store(&input).await;
        state.metrics.copy_stale.set(i64::from(stored.is_err()));
        match stored {
            Ok(()) => {
                if not_kept.send_replace(None).is_some() {
                    tracing::info!("the copy of the snapshots is written again");
                }
                pause = PAUSE.0;
                news = good.changed().await;
            }
            Err(error) => {
                state.metrics.copy_failures.inc();
                tell(&error, &not_kept);
                tokio::select! {
                    () = sleep(pause) => {}
                    changed = good.changed() => news = changed,
                }
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// Logs a failure once for as long as it stays the same.
fn tell(error: &DiskError, not_kept: &watch::Sender<Option<String>>) {
    let reason = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    if not_kept.borrow().as_deref() == Some(&reason) {
        return;
    }
    tracing::error!(
        reason,
        "the copy of the snapshots was not written; until it is, a restart needs the API server"
    );
    not_kept.send_replace(Some(reason));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_torn_or_absent_copy_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path().join("state"));
        assert!(disk.load().await.unwrap().is_none());
        disk.store(&Input::default()).await.unwrap();
        assert_eq!(disk.load().await.unwrap(), Some(Input::default()));
        fs::write(dir.path().join("state").join(FILE), b"{\"snaps")
            .await
            .unwrap();
        assert!(matches!(disk.load().await, Err(DiskError::Parse { .. })));
    }
}
