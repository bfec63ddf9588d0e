//! An OCI registry on loopback.

use std::path::Path;

use tempfile::TempDir;

use super::{
    StartError,
    child::{Server, free_port, temporary_directory, write},
    stores::{READY_WITHIN, connect},
};

/// Debian's docker-registry on a directory: plain HTTP, anonymous, without the referrers
/// API (it is older than that).
#[derive(Debug)]
pub struct TestRegistry {
    _server: Server,
    directory: TempDir,
    authority: String,
}

impl TestRegistry {
    /// Starts one. Debian's package `docker-registry` must be there.
    ///
    /// # Errors
    /// The program is missing, ended, or nothing answered.
    pub async fn start() -> Result<Self, StartError> {
        let directory = temporary_directory("registry")?;
        let authority = format!("127.0.0.1:{}", free_port()?);
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\n\
             storage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {authority}\n",
            directory.path().join("data").display(),
        );
        let config = write(directory.path(), "registry.yml", &config)?;
        let arguments = ["serve".into(), config.display().to_string()];
        let program = Path::new("docker-registry");
        let mut server = Server::start("registry", directory.path(), program, &arguments, &[])?;
        let ready = async || connect(&authority).await;
        server.wait_ready(READY_WITHIN, ready).await?;
        Ok(Self {
            _server: server,
            directory,
            authority,
        })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The file that holds a blob's bytes, so that a test can change one. `digest` is 64 hex
    /// digits.
    pub fn blob_file(&self, digest: &str) -> std::path::PathBuf {
        let blobs = "data/docker/registry/v2/blobs/sha256";
        let place = self.directory.path().join(blobs);
        place.join(&digest[..2]).join(digest).join("data")
    }
}
