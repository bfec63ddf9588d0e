//! What can go wrong with the sandbox.

use std::{io, path::PathBuf, time::Duration};

use crate::{Cloud, tools::ToolError};

/// Why a sandbox command failed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine cannot carry a sandbox; nothing was changed.
    #[error("{0}")]
    Unfit(String),
    /// No sandbox runs here.
    #[error("no sandbox runs on this machine; start one with: mcdeploy sandbox up")]
    NotRunning,
    /// A program is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file could not be read or written.
    #[error("{what} {path:?}")]
    File {
        /// Verb.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command of the system failed.
    #[error("{command:?} ended with {status}: {output}")]
    Command {
        /// Command line.
        command: String,
        /// Exit status.
        status: String,
        /// What it wrote.
        output: String,
    },
    /// A command of the system could not be started, or did not end.
    #[error("run {command:?}")]
    Run {
        /// Command line.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in a cloud did not become ready.
    #[error("{cloud}: {what} was not ready within {waited:?}: {last}{log}")]
    NotReady {
        /// Where.
        cloud: Cloud,
        /// What.
        what: String,
        /// How long it was asked.
        waited: Duration,
        /// What the last try gave.
        last: String,
        /// End of its log, on lines of its own; empty without one.
        log: String,
    },
    /// A certificate could not be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The API server of a cloud answered with an error.
    #[error("{cloud}: {what}")]
    Api {
        /// Where.
        cloud: Cloud,
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// A kubeconfig that is none.
    #[error("{cloud}: read the kubeconfig")]
    Kubeconfig {
        /// Where.
        cloud: Cloud,
        /// Why.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// A registry refused an image.
    #[error("push to {registry}: {problem}")]
    Push {
        /// URL of the registry.
        registry: String,
        /// Why.
        problem: String,
    },
    /// The hub or a member refused what `clusters add` does.
    #[error("{cloud}: make it known to the hub")]
    Register {
        /// The member.
        cloud: Cloud,
        /// Why.
        #[source]
        source: Box<mcdeploy_cluster::RegisterError>,
    },
    /// A call by the product's own client failed.
    #[error("{cloud}: {what}")]
    Cluster {
        /// Where.
        cloud: Cloud,
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<mcdeploy_cluster::ClusterError>,
    },
    /// A store refused to make its bucket.
    #[error("{cloud}: make the bucket: {problem}")]
    Bucket {
        /// Where.
        cloud: Cloud,
        /// Why.
        problem: String,
    },
    /// A file of the sandbox holds nonsense.
    #[error("{path:?} is damaged; run `mcdeploy sandbox down`, then `up` again")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The user asked to stop.
    #[error("interrupted; run the same command again to go on, or `mcdeploy sandbox down`")]
    Interrupted,
}

impl SandboxError {
    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
