//! `mcdeployd fetch`: fetches one model version before a model server starts.

use tokio_util::sync::CancellationToken;

/// Fetches one model version before a model server starts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "not built yet")]
pub(crate) async fn run(_args: Args, _cancel: CancellationToken) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
