//! A disk that is soon full.

use std::{io, path::Path, process::Command};

use super::StartError;

/// A file system of its own in memory, of a few MiB; gone with the value. Needs root.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// One of `mib` MiB.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn new(mib: usize) -> Result<Self, StartError> {
        let dir = tempfile::tempdir().map_err(|source| prepare(Path::new("/tmp"), source))?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .status()
            .map_err(|source| prepare(dir.path(), source))?;
        if !mounted.success() {
            let refused = io::Error::other("mount refused; is this root?");
            return Err(prepare(dir.path(), refused));
        }
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn prepare(path: &Path, source: io::Error) -> StartError {
    StartError::Prepare {
        path: path.to_owned(),
        source,
    }
}
