//! `mcdeployd operator`: runs the control plane in the hub.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use mcdeploy_cluster::{ClusterClient, lease};
use mcdeploy_operator::{Pace, Settings, log_follower, store_opener};
use mcdeploy_plan::Timings;
use tokio_util::sync::CancellationToken;

use crate::listen::on_this_machine;

/// Runs the control plane in the hub.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to answer /healthz and /metrics.
    #[arg(long, default_value = "[::]:9090")]
    admin: SocketAddr,
    /// Namespace with the Lease and with the Secrets of clusters and stores.
    #[arg(long, env = "POD_NAMESPACE", default_value = "mcdeploy-system")]
    namespace: String,
    /// Name of this process in the election; something random is added.
    #[arg(long, env = "POD_NAME", default_value = "mcdeploy-operator")]
    identity: String,
    /// Image of mcdeployd, by digest, for the pods and Jobs that the operator makes.
    #[arg(long, env = "MCDEPLOY_IMAGE")]
    image: String,
    /// Kubeconfig of the hub, where the operator does not run in a pod of it.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Seconds between "traffic has moved" and the removal of the old revision's pods.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(i64).range(5..=3600))]
    drain_seconds: i64,
    /// Seconds after which a cluster that makes no progress is blocked.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(i64).range(10..=86_400))]
    progress_deadline_seconds: i64,
    /// Seconds that another process waits for the lease of a leader that fell silent.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=300))]
    lease_seconds: u64,
}

pub(crate) async fn run(args: Args, cancel: CancellationToken) -> anyhow::Result<()> {
    let hub = match &args.kubeconfig {
        Some(path) => {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.with_context(|| format!("read {}", path.display()))?;
            ClusterClient::from_kubeconfig("hub", &text)?
        }
        None => ClusterClient::in_cluster("hub")?,
    };
    let random = tokio::fs::read_to_string("/proc/sys/kernel/random/uuid");
    let random = random.await.context("read a random word")?;
    let lease = Duration::from_secs(args.lease_seconds);
    let settings = Settings {
        namespace: args.namespace,
        identity: format!("{}_{}", args.identity, random.trim()),
        daemon_image: args.image,
        admin: Some(on_this_machine(args.admin)),
        timings: Timings {
            drain: jiff::SignedDuration::from_secs(args.drain_seconds),
            progress_deadline: jiff::SignedDuration::from_secs(args.progress_deadline_seconds),
            ..Timings::default()
        },
        lease: lease::Timing {
            lease,
            renew_deadline: lease * 2 / 3,
            retry: (lease * 2 / 15).max(Duration::from_millis(200)),
        },
        pace: Pace::default(),
        open_store: store_opener(),
        follow_log: log_follower(),
    };
    Box::pin(mcdeploy_operator::run(settings, hub, cancel)).await?;
    Ok(())
}
