//! `mcdeployd transfer`: copies one model version from one store to another.

use tokio_util::sync::CancellationToken;

/// Copies one model version from one store to another.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "not built yet")]
pub(crate) async fn run(_args: Args, _cancel: CancellationToken) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
