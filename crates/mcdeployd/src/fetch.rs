//! `mcdeployd fetch`: fetches one model version before a model server starts, through the
//! cache of its node where there is one.

use std::path::PathBuf;

use anyhow::Context as _;
use mcdeploy_api::{FetchPlan, Reason};
use mcdeploy_store::{FetchError, Fetched, NodeCache, fetch_through, fetch_version};
use tokio_util::sync::CancellationToken;

use crate::{
    plan_file::{read_plan, write_termination},
    progress_log::ProgressLog,
};

/// Fetches one model version before a model server starts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON file with what to fetch, and from where.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Directory that gets `<model>/<version>/`.
    #[arg(long, value_name = "DIR", default_value = mcdeploy_api::names::MODELS_DIR)]
    to: PathBuf,
    /// Cache of this node, shared by its pods. `<model>/<version>` becomes a link to it, or
    /// a copy of its own where the cache has no room or cannot be written.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where the model server sees the version's slot in the cache.
    #[arg(long, value_name = "DIR", default_value = mcdeploy_api::names::CACHED_DIR)]
    cached_at: PathBuf,
    /// File that gets one line about why it failed.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    termination_log: PathBuf,
}

pub(crate) async fn run(args: Args, cancel: CancellationToken) -> anyhow::Result<()> {
    let plan: FetchPlan = match read_plan(&args.plan) {
        Ok(plan) => plan,
        Err(error) => {
            let said = format!("{error:#}");
            write_termination(&args.termination_log, Reason::Invalid, &said);
            return Err(error);
        }
    };
    match fetch(&args, &plan, &cancel).await {
        Ok(fetched) => {
            tracing::info!(
                artifact.model = plan.model,
                artifact.version = plan.version,
                size_bytes = fetched.size_bytes,
                files = fetched.files,
                was_there = fetched.was_there,
                "fetched {} {} to {}",
                plan.model,
                plan.version,
                fetched.directory.display()
            );
            Ok(())
        }
        Err(error) => {
            write_termination(&args.termination_log, error.reason(), &error.to_string());
            Err(error).with_context(|| format!("fetch {} {}", plan.model, plan.version))
        }
    }
}

async fn fetch(
    args: &Args,
    plan: &FetchPlan,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    let log = ProgressLog::start();
    let show = |p: &_| log.show(p);
    let Some(dir) = &args.cache else {
        return fetch_version(plan, &args.to, &show, cancel).await;
    };
    let quota = plan.node_cache.map_or(u64::MAX, |cache| cache.quota_bytes);
    let cache = NodeCache::new(dir, quota);
    let through = fetch_through(&cache, plan, &args.to, &args.cached_at, &show, cancel).await?;
    if let Some(error) = through.beside {
        tracing::warn!(error = %error, "the node's cache was not used");
    }
    Ok(through.fetched)
}
