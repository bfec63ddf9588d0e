//! `mcdeployd gateway`: routes inference in one region.

/// Routes inference in one region.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[expect(clippy::needless_pass_by_value, reason = "not built yet")]
pub(crate) fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
