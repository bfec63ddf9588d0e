//! The Hugging Face Hub.
//!
//! Its API is documented at <https://huggingface.co/docs/hub/api> (read 2026-11-23):
//! `GET /api/models/{repo}/revision/{revision}?blobs=true` lists files with their sizes and,
//! for files in large-file storage, SHA-256; `GET /{repo}/resolve/{commit}/{path}` gives the
//! bytes, by redirect, and knows ranges.

use async_trait::async_trait;
use mcdeploy_api::Sha256Digest;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    Reading, Source, SourceFile, SourceSettings,
    http::{Authorization, Http, encode, encode_path},
};
use crate::RegistryError;

const ENDPOINT: &str = "https://huggingface.co";

#[derive(Deserialize)]
struct Model {
    /// Commit that the revision is now.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    /// Mirrors leave it out.
    size: Option<u64>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: Option<String>,
    size: Option<u64>,
}

pub(super) struct HuggingFace {
    http: Http,
    endpoint: String,
    repository: String,
    commit: String,
    files: Vec<SourceFile>,
}

impl std::fmt::Debug for HuggingFace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.pinned())
    }
}

pub(super) async fn open(
    repository: &str,
    revision: &str,
    settings: &SourceSettings,
    cancel: &CancellationToken,
) -> Result<HuggingFace, RegistryError> {
    let place = format!("hf://{repository}@{revision}");
    let token = settings.hf_token.clone();
    let http = Http::new(place, Authorization::bearer(token))?;
    let endpoint = settings.hf_endpoint.as_deref().unwrap_or(ENDPOINT);
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    let revision = encode(revision);
    let url = format!("{endpoint}/api/models/{repository}/revision/{revision}?blobs=true");
    let model: Model = http.json("look up the revision", &url, cancel).await?;
    let files = model.siblings.into_iter().map(|sibling| {
        // Beside `lfs`, the plain size may be that of the pointer in git.
        let (size_bytes, digest) = match sibling.lfs {
            Some(LargeFile { sha256, size }) => (size, sha256),
            None => (sibling.size, None),
        };
        let digest = digest.map(|hex| format!("sha256:{hex}"));
        SourceFile {
            path: sibling.rfilename,
            size_bytes,
            sha256: digest.and_then(|text| text.parse::<Sha256Digest>().ok()),
        }
    });
    Ok(HuggingFace {
        http,
        endpoint,
        repository: repository.to_owned(),
        commit: model.sha,
        files: files.collect(),
    })
}

#[async_trait]
impl Source for HuggingFace {
    fn pinned(&self) -> String {
        format!("hf://{}@{}", self.repository, self.commit)
    }

    fn files(&self) -> &[SourceFile] {
        &self.files
    }

    async fn read(
        &self,
        file: &SourceFile,
        offset: u64,
        cancel: &CancellationToken,
    ) -> Result<Reading, RegistryError> {
        let Self {
            endpoint,
            repository,
            commit,
            ..
        } = self;
        let path = encode_path(&file.path);
        let commit = encode(commit);
        let url = format!("{endpoint}/{repository}/resolve/{commit}/{path}");
        self.http.body(&file.path, &url, offset, cancel).await
    }
}
