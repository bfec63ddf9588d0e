//! `mcdeploy clusters ls`: the member clusters, as `get memberclusters` shows them.

use super::get;
use crate::{args::ClustersLsArgs, exit::ExitStatus, hub::Hub, printer::Printer};

/// Lists the member clusters.
pub(crate) async fn clusters_ls(
    args: &ClustersLsArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let hub = Hub::connect(&args.hub).await?;
    let kind = get::find_kind("memberclusters")?;
    get::print_objects(&hub, &kind, &get::Which::All, args.output, printer).await?;
    Ok(ExitStatus::Success)
}
