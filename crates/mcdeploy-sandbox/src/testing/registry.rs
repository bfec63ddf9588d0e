//! An OCI registry on loopback.

use std::path::Path;

use mcdeploy_api::Sha256Digest;
use serde_json::json;
use tempfile::TempDir;

use super::{
    StartError,
    child::{Server, free_port, temporary_directory, write},
    stores::{READY_WITHIN, connect},
};

const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

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

    /// Puts an image of one layer, which is `text`, into a repository, as other tools would,
    /// and answers its digest.
    ///
    /// # Errors
    /// The registry refused.
    pub async fn put_image(
        &self,
        repository: &str,
        text: &str,
    ) -> Result<Sha256Digest, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let base = format!("http://{}/v2/{repository}", self.authority);
        let mut parts = Vec::new();
        for bytes in [format!("{{\"config\":{text:?}}}"), text.to_owned()] {
            let digest = Sha256Digest::of(&bytes);
            let begun = http.post(format!("{base}/blobs/uploads/")).send().await?;
            let begun = begun.error_for_status()?;
            let at = begun.headers().get("location");
            let at = at.and_then(|at| at.to_str().ok()).unwrap_or_default();
            let size = bytes.len();
            let put = http.put(format!("{at}&digest={digest}")).body(bytes);
            put.send().await?.error_for_status()?;
            parts.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest.to_string(), "size": size,
            }));
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": parts[0], "layers": [parts[1]],
        });
        let manifest = manifest.to_string();
        let digest = Sha256Digest::of(&manifest);
        let put = http.put(format!("{base}/manifests/{digest}"));
        let put = put.header("content-type", IMAGE_MANIFEST).body(manifest);
        put.send().await?.error_for_status()?;
        Ok(digest)
    }

    /// Gives an image a tag, as other tools would.
    ///
    /// # Errors
    /// The registry refused, or has no such image.
    pub async fn tag_image(
        &self,
        repository: &str,
        digest: Sha256Digest,
        tag: &str,
    ) -> Result<(), reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let base = format!("http://{}/v2/{repository}/manifests", self.authority);
        let got = http.get(format!("{base}/{digest}"));
        let got = got.header("accept", IMAGE_MANIFEST).send().await?;
        let manifest = got.error_for_status()?.bytes().await?;
        let put = http.put(format!("{base}/{tag}"));
        let put = put.header("content-type", IMAGE_MANIFEST).body(manifest);
        put.send().await?.error_for_status()?;
        Ok(())
    }

    /// The file that holds a blob's bytes, so that a test can change one. `digest` is 64 hex
    /// digits.
    pub fn blob_file(&self, digest: &str) -> std::path::PathBuf {
        let blobs = "data/docker/registry/v2/blobs/sha256";
        let place = self.directory.path().join(blobs);
        place.join(&digest[..2]).join(digest).join("data")
    }
}
