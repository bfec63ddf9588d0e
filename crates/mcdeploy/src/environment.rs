//! What the process finds around it, read once. Variables that stand for a flag
//! (`MCDEPLOY_*`) are read with the flags, in [`crate::args`]; `KUBECONFIG` is read by
//! the Kubernetes client.

use std::{io::IsTerminal, os::unix::fs::MetadataExt, path::PathBuf};

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
                hf_token: variable("HF_TOKEN"),
                mlflow_tracking_uri: variable("MLFLOW_TRACKING_URI"),
                mlflow_token: variable("MLFLOW_TRACKING_TOKEN"),
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
