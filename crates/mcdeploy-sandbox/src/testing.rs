//! Real servers on loopback for tests: one Kubernetes API server, one object store,
//! one registry, or one MLflow server.
//!
//! Each takes free ports and a temporary directory, any number may run at once, and
//! each is gone when its value is dropped, or when the test process dies however it
//! dies. The first use builds the tool (see [`crate::tools`]).

use std::{io, path::PathBuf, time::Duration};

use crate::tools::ToolError;

mod api_server;
mod child;
mod mlflow;
mod proxy;
mod registry;
mod small_disk;
mod stores;

pub use api_server::TestApiServer;
pub use mlflow::TestMlflow;
pub use proxy::{Counts, Exchange, Fault, Link, Proxy, ProxyRequest};
pub use registry::TestRegistry;
pub use small_disk::SmallDisk;
pub use stores::{Azurite, FakeGcs, Versitygw};

/// Why a test server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its program is not there.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file or directory could not be made.
    #[error("prepare {path:?}")]
    Prepare {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No port was free.
    #[error("find a free port")]
    Port(#[source] io::Error),
    /// The program could not be started.
    #[error("start {name}")]
    Spawn {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It started and ended by itself.
    #[error("{name} ended by itself; the end of its log:\n{log}")]
    Ended {
        /// Which.
        name: &'static str,
        /// Its last lines.
        log: String,
    },
    /// It runs and does not answer.
    #[error("{name} did not answer within {waited:?} ({last}); the end of its log:\n{log}")]
    Silent {
        /// Which.
        name: &'static str,
        /// How long it was asked.
        waited: Duration,
        /// What the last try gave.
        last: String,
        /// Its last lines.
        log: String,
    },
    /// A certificate could not be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A bucket or container could not be made.
    #[error("make the bucket on {name}: {problem}")]
    Bucket {
        /// Which server.
        name: &'static str,
        /// What it answered.
        problem: String,
    },
    /// The kubeconfig is not one.
    #[error("read the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No client could be made from it.
    #[error("make a client")]
    Client(#[source] Box<kube::Error>),
}
