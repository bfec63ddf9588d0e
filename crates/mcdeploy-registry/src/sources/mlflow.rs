//! An MLflow registry whose server hands out the artifacts itself (`--serve-artifacts`, its
//! default), by MLflow's REST API 2.0.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    MlflowVersion, Reading, Source, SourceFile, SourceSettings,
    http::{Authorization, Http, encode, encode_path},
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
    /// MLflow leaves out that of an empty file, and of those whose store does not tell.
    file_size: Option<u64>,
}

pub(super) struct Mlflow {
    http: Http,
    /// Where the artifacts are asked for.
    artifacts: String,
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
    let Some(tracking) = Server::parse(server) else {
        return Err(refused(format!(
            "MLFLOW_TRACKING_URI is {:?}, which is no server: set it to its http(s) address",
            without_password(server)
        )));
    };
    let api = format!("{}/api/2.0", server.trim_end_matches('/'));
    let http = Http::new(place.clone(), authorization(settings))?;
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
    let Some(found) = Artifacts::parse(&found.artifact_uri) else {
        return Err(refused(format!(
            "its files are at {}, which the MLflow server does not hand out; copy them from there",
            without_password(&found.artifact_uri)
        )));
    };
    let (http, artifacts) = match &found.host {
        Some(host) if !host.eq_ignore_ascii_case(&tracking.host) => {
            // Whoever registered the version chose this server: it gets no credentials.
            let http = Http::new(format!("{place} at {host}"), Authorization::None)?;
            (http, format!("{}://{host}/api/2.0", tracking.scheme))
        }
        Some(_) | None => (http, api),
    };
    let mut source = Mlflow {
        http,
        artifacts: format!("{artifacts}/mlflow-artifacts/artifacts"),
        model: model.to_owned(),
        version,
        root: found.root,
        files: vec![],
    };
    source.files = source.list(cancel).await?;
    Ok(source)
}

/// A directory's marker in a bucket behind the server is listed as an empty file: without a
/// name, or with that of the directory.
fn without_markers(entries: Vec<Entry>) -> Vec<Entry> {
    let directories = entries.iter().filter(|entry| entry.is_dir);
    let directories: BTreeSet<String> = directories.map(|entry| entry.path.clone()).collect();
    let is_marker = |entry: &Entry| {
        let is_empty = entry.file_size.is_none_or(|size| size == 0);
        let name = entry.path.trim_end_matches('/');
        !entry.is_dir && is_empty && (name.is_empty() || directories.contains(name))
    };
    let mut entries = entries;
    entries.retain(|entry| !is_marker(entry));
    entries
}

/// User and password come before the token, as in MLflow.
fn authorization(settings: &SourceSettings) -> Authorization {
    match (&settings.mlflow_username, &settings.mlflow_token) {
        (Some(username), _) => Authorization::Basic {
            username: username.clone(),
            password: settings.mlflow_password.clone(),
        },
        (None, token) => Authorization::bearer(token.clone()),
    }
}

/// A tracking server.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    scheme: &'static str,
    /// With the port, where one was written.
    host: String,
}

impl Server {
    fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = ["http", "https"]
            .into_iter()
            .find(|known| *known == scheme)?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        (!host.is_empty()).then(|| Self {
            scheme,
            host: host.to_owned(),
        })
    }
}

/// Where artifacts are that an MLflow server hands out.
#[derive(Debug, PartialEq, Eq)]
struct Artifacts {
    /// A server that is not said is the one that was asked.
    host: Option<String>,
    /// Directory on the server.
    root: String,
}

impl Artifacts {
    fn parse(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("mlflow-artifacts:")?;
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest),
        };
        let host = host.rsplit('@').next().unwrap_or_default();
        // Some write the whole path of the server's interface.
        let path = path.trim_matches('/');
        let path = path
            .strip_prefix("api/2.0/mlflow-artifacts/artifacts")
            .unwrap_or(path);
        Some(Self {
            host: (!host.is_empty()).then(|| host.to_owned()),
            root: path.trim_matches('/').to_owned(),
        })
    }
}

/// An address as it may be shown.
fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    let path = rest[end..].split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

impl Mlflow {
    async fn list(&self, cancel: &CancellationToken) -> Result<Vec<SourceFile>, RegistryError> {
        let mut files = vec![];
        let mut open = vec![(String::new(), 0)];
        while let Some((directory, depth)) = open.pop() {
            let path = encode(&format!("{}/{directory}", self.root));
            let url = format!("{}?path={path}", self.artifacts);
            let listing: Listing = self.http.json("list the files", &url, cancel).await?;
            for entry in without_markers(listing.files) {
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
    ) -> Result<Reading, RegistryError> {
        let path = encode_path(&format!("{}/{}", self.root, file.path));
        let url = format!("{}/{path}", self.artifacts);
        self.http.body(&file.path, &url, offset, cancel).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_in_an_artifact_uri_is_no_part_of_its_path() {
        let table = [
            (
                "mlflow-artifacts:/1/run/artifacts/m",
                None,
                "1/run/artifacts/m",
            ),
            ("mlflow-artifacts:///1/run/", None, "1/run"),
            (
                "mlflow-artifacts://h.test:5000/1/run",
                Some("h.test:5000"),
                "1/run",
            ),
            ("mlflow-artifacts://me:pw@h.test/1", Some("h.test"), "1"),
            ("mlflow-artifacts://h.test", Some("h.test"), ""),
            (
                "mlflow-artifacts://h.test/api/2.0/mlflow-artifacts/artifacts/1/m",
                Some("h.test"),
                "1/m",
            ),
        ];
        for (uri, host, root) in table {
            let expected = Artifacts {
                host: host.map(str::to_owned),
                root: root.to_owned(),
            };
            assert_eq!(Artifacts::parse(uri), Some(expected), "{uri}");
        }
        for other in ["s3://bucket/m", "dbfs:/m", "models:/m-1", ""] {
            assert_eq!(Artifacts::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_tracking_uri_is_a_server_and_its_password_is_never_shown() {
        let server = Server::parse("https://me:pw@h.test:5000/base").unwrap();
        assert_eq!(
            (server.scheme, server.host.as_str()),
            ("https", "h.test:5000")
        );
        for other in [
            "databricks",
            "file:///mlruns",
            "sqlite:///x",
            "h.test:5000",
            "http://",
        ] {
            assert_eq!(Server::parse(other), None, "{other}");
        }
        let shown = without_password("ftp://me:pw@h.test/a?token=x");
        assert_eq!(shown, "ftp://h.test/a");
    }

    #[test]
    fn a_marker_of_a_directory_is_no_file() {
        let entry = |path: &str, is_dir, file_size| Entry {
            path: path.to_owned(),
            is_dir,
            file_size,
        };
        let listed = vec![
            entry("", false, None),
            entry("data", true, None),
            entry("data", false, Some(0)),
            entry("empty", false, None),
            entry("model", false, Some(7)),
        ];
        let kept = without_markers(listed);
        let kept: Vec<_> = kept.iter().map(|e| (e.path.as_str(), e.is_dir)).collect();
        assert_eq!(kept, [("data", true), ("empty", false), ("model", false)]);
    }

    #[test]
    fn a_user_comes_before_a_token_as_in_mlflow() {
        let mut settings = SourceSettings {
            mlflow_token: Some("t".to_owned()),
            ..SourceSettings::default()
        };
        assert!(matches!(authorization(&settings), Authorization::Bearer(_)));
        settings.mlflow_username = Some("u".to_owned());
        assert!(matches!(
            authorization(&settings),
            Authorization::Basic { .. }
        ));
    }
}
