//! `mcdeployd operator`: runs the control plane in the hub.

use tokio_util::sync::CancellationToken;

/// Runs the control plane in the hub.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "not built yet")]
pub(crate) async fn run(_args: Args, _cancel: CancellationToken) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
