//! `mcdeployd agent`: brings model versions into the cache of its node before their pods
//! start.

use std::path::PathBuf;

use anyhow::Context as _;
use mcdeploy_agent::Settings;
use mcdeploy_cluster::ClusterClient;
use tokio_util::sync::CancellationToken;

/// Brings model versions into the cache of one node.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the node.
    #[arg(long, env = "NODE_NAME")]
    node: String,
    /// Directory of the node's cache.
    #[arg(long, value_name = "DIR", default_value = mcdeploy_api::names::CACHE_DIR)]
    cache: PathBuf,
    /// Namespace of what it is told and of what it says.
    #[arg(long, env = "POD_NAMESPACE", default_value = mcdeploy_api::names::SYSTEM_NAMESPACE)]
    namespace: String,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", requires = "pod_uid")]
    pod_name: Option<String>,
    /// Its uid: what it says goes with it.
    #[arg(long, env = "POD_UID")]
    pod_uid: Option<String>,
}

/// Works until `cancel`.
pub(crate) async fn run(args: Args, cancel: CancellationToken) -> anyhow::Result<()> {
    let client = ClusterClient::in_cluster(&args.node).context("connect to the API server")?;
    let settings = Settings {
        node: args.node,
        pod: args.pod_name.zip(args.pod_uid),
        namespace: args.namespace,
        cache: args.cache,
        retry: Settings::RETRY,
    };
    mcdeploy_agent::run(client, settings, cancel).await;
    Ok(())
}
