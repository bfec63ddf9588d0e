//! What the process finds around it, read once. Variables that stand for a flag
//! (`MCDEPLOY_*`) are read with the flags, in [`crate::args`]; `KUBECONFIG` is read by
//! the Kubernetes client.

use std::{
    io::IsTerminal,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use mcdeploy_api::SecretValues;
use mcdeploy_registry::SourceSettings;

/// What the process finds around it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Environment {
    /// `user@host`, as well as it can be told.
    pub(crate) user_at_host: String,
    /// `NO_COLOR` is set and not empty.
    pub(crate) no_color: bool,
    /// `CLICOLOR_FORCE` is set and not `0`.
    pub(crate) force_color: bool,
    /// Stdout is a terminal that understands escapes.
    pub(crate) stdout_is_terminal: bool,
    /// Stderr is a terminal that understands escapes.
    pub(crate) stderr_is_terminal: bool,
    /// `AWS_REGION`, as Amazon's own tools read it.
    pub(crate) aws_region: Option<String>,
    /// `sasToken` from `AZURE_STORAGE_SAS_TOKEN`, as Azure's own tools read it.
    pub(crate) azure_sas: SecretValues,
    /// What the tools of Hugging Face and MLflow read.
    pub(crate) sources: SourceSettings,
    /// `XDG_CACHE_HOME`, or the usual place below `HOME`.
    pub(crate) cache_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads all of it.
    pub(crate) fn read() -> Self {
        let smart = variable("TERM").is_none_or(|term| term != "dumb");
        let user = variable("USER")
            .or_else(|| variable("LOGNAME"))
            .or_else(own_name);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .or_else(|| variable("HOSTNAME"));
        Self {
            user_at_host: format!(
                "{}@{}",
                user.as_deref().unwrap_or("unknown"),
                host.as_deref().unwrap_or("unknown")
            ),
            no_color: variable("NO_COLOR").is_some(),
            force_color: variable("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            stdout_is_terminal: smart && std::io::stdout().is_terminal(),
            stderr_is_terminal: smart && std::io::stderr().is_terminal(),
            aws_region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
            azure_sas: SecretValues(
                variable("AZURE_STORAGE_SAS_TOKEN")
                    .map(|sas| ("sasToken".to_owned(), sas))
                    .into_iter()
                    .collect(),
            ),
            sources: SourceSettings {
                hf_endpoint: variable("HF_ENDPOINT"),
                hf_token: variable("HF_TOKEN").or_else(|| kept_token(&hf_token_file(&variable)?)),
                mlflow_tracking_uri: variable("MLFLOW_TRACKING_URI"),
                mlflow_token: variable("MLFLOW_TRACKING_TOKEN"),
                mlflow_username: variable("MLFLOW_TRACKING_USERNAME"),
                mlflow_password: variable("MLFLOW_TRACKING_PASSWORD"),
                ..SourceSettings::default()
            },
            cache_dir: cache_dir(),
        }
    }
}

fn cache_dir() -> Option<PathBuf> {
    let given = variable("XDG_CACHE_HOME").map(PathBuf::from);
    given.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))
}

/// Where `hf auth login` keeps its token.
/// Source: <https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>
/// (2026-11-30).
fn hf_token_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = variable("HF_TOKEN_PATH") {
        return Some(path.into());
    }
    let home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
    let cache = || variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let place = variable("HF_HOME").map(PathBuf::from);
    let place = place.or_else(|| Some(cache()?.join("huggingface")));
    Some(place?.join("token"))
}

fn kept_token(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let token = text.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// Name of the user that the process runs as; pipelines often set no `USER`.
fn own_name() -> Option<String> {
    let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut entries = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let own = entries.find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    own.first().map(|&name| name.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_hf_auth_login_is_found_where_it_keeps_it() {
        let file = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.to_vec();
            let get = move |name: &str| {
                let mut all = set.iter();
                let found = all.find(|(known, _)| *known == name)?;
                Some(found.1.to_owned())
            };
            hf_token_file(&get).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/ann");
        let is = |set: &[_], path: &str| assert_eq!(file(set).as_deref(), Some(path));
        is(&[home], "/home/ann/.cache/huggingface/token");
        is(&[home, ("XDG_CACHE_HOME", "/c")], "/c/huggingface/token");
        is(&[home, ("HF_HOME", "/hf")], "/hf/token");
        is(&[home, ("HF_HOME", "/hf"), ("HF_TOKEN_PATH", "/t")], "/t");
        assert_eq!(file(&[]), None);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert_eq!(kept_token(&path), None);
        std::fs::write(&path, "hf_secret\n").unwrap();
        assert_eq!(kept_token(&path).as_deref(), Some("hf_secret"));
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(kept_token(&path), None);
    }
}
