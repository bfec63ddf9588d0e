//! An MLflow registry whose server hands out the artifacts itself (`--serve-artifacts`, its
//! default), by MLflow's REST API 2.0.

use async_trait::async_trait;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    Body, MlflowVersion, Source, SourceFile, SourceSettings,
    http::{Http, encode, encode_path},
};
use crate::{RegistryCause, RegistryError, request::Call};

/// Deepest directory that is entered.
const MAX_DEPTH: usize = 32;

#[derive(Deserialize)]
struct ByAlias {
    model_version: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct DownloadUri {
    artifact_uri: String,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    is_dir: bool,
    #[serde(default)]
    file_size: u64,
}

pub(super) struct Mlflow {
    http: Http,
    api: String,
    model: String,
    version: String,
    /// Directory of the artifacts on the server.
    root: String,
    files: Vec<SourceFile>,
}

impl std::fmt::Debug for Mlflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.pinned())
    }
}

pub(super) async fn open(
    model: &str,
    version: &MlflowVersion,
    settings: &SourceSettings,
    cancel: &CancellationToken,
) -> Result<Mlflow, RegistryError> {
    let place = match version {
        MlflowVersion::Number(number) => format!("models:/{model}/{number}"),
        MlflowVersion::Alias(alias) => format!("models:/{model}@{alias}"),
    };
    let refused = |detail: String| {
        Call::new("open", "").error(place.clone(), RegistryCause::Refused { detail })
    };
    let Some(server) = &settings.mlflow_tracking_uri else {
        let detail = "MLFLOW_TRACKING_URI is not set; set it to the server's http(s) address";
        return Err(refused(detail.to_owned()));
    };
    let api = format!("{}/api/2.0", server.trim_end_matches('/'));
    let http = Http::new(place.clone(), settings.mlflow_token.clone())?;
    let name = encode(model);
    let version = match version {
        MlflowVersion::Number(number) => number.to_string(),
        MlflowVersion::Alias(alias) => {
            let alias = encode(alias);
            let url = format!("{api}/mlflow/registered-models/alias?name={name}&alias={alias}");
            let found: ByAlias = http.json("look up the alias", &url, cancel).await?;
            found.model_version.version
        }
    };
    let query = format!("name={name}&version={}", encode(&version));
    let url = format!("{api}/mlflow/model-versions/get-download-uri?{query}");
    let found: DownloadUri = http.json("look up the version", &url, cancel).await?;
    let Some(root) = found.artifact_uri.strip_prefix("mlflow-artifacts:/") else {
        return Err(refused(format!(
            "its files are at {}, which the MLflow server does not hand out; copy them from there",
            found.artifact_uri
        )));
    };
    let mut source = Mlflow {
        http,
        api,
        model: model.to_owned(),
        version,
        root: root.trim_matches('/').to_owned(),
        files: vec![],
    };
    source.files = source.list(cancel).await?;
    Ok(source)
}

impl Mlflow {
    async fn list(&self, cancel: &CancellationToken) -> Result<Vec<SourceFile>, RegistryError> {
        let mut files = vec![];
        let mut open = vec![(String::new(), 0)];
        while let Some((directory, depth)) = open.pop() {
            let path = encode(&format!("{}/{directory}", self.root));
            let url = format!("{}/mlflow-artifacts/artifacts?path={path}", self.api);
            let listing: Listing = self.http.json("list the files", &url, cancel).await?;
            for entry in listing.files {
                let path = format!("{directory}{}", entry.path);
                if !entry.is_dir {
                    files.push(SourceFile {
                        path,
                        size_bytes: entry.file_size,
                        sha256: None,
                    });
                } else if depth == MAX_DEPTH {
                    let detail = format!("{path:?} is over {MAX_DEPTH} levels deep");
                    let call = Call::new("list the files", "");
                    let cause = RegistryCause::Refused { detail };
                    return Err(call.error(self.http.place.clone(), cause));
                } else {
                    open.push((format!("{path}/"), depth + 1));
                }
            }
        }
        Ok(files)
    }
}

#[async_trait]
impl Source for Mlflow {
    fn pinned(&self) -> String {
        format!("models:/{}/{}", self.model, self.version)
    }

    fn files(&self) -> &[SourceFile] {
        &self.files
    }

    async fn read(
        &self,
        file: &SourceFile,
        offset: u64,
        cancel: &CancellationToken,
    ) -> Result<(u64, Body), RegistryError> {
        let path = encode_path(&format!("{}/{}", self.root, file.path));
        let url = format!("{}/mlflow-artifacts/artifacts/{path}", self.api);
        self.http.body(&file.path, &url, offset, cancel).await
    }
}
