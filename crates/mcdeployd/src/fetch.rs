//! `mcdeployd fetch`: fetches one model version before a model server starts.

use std::path::PathBuf;

use anyhow::Context as _;
use mcdeploy_api::{FetchPlan, Reason};
use mcdeploy_store::fetch_version;
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
    /// File that gets one line about why it failed.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    termination_log: PathBuf,
}

pub(crate) async fn run(args: Args, cancel: CancellationToken) -> anyhow::Result<()> {
    let Args {
        plan,
        to,
        termination_log,
    } = args;
    let plan: FetchPlan = match read_plan(&plan) {
        Ok(plan) => plan,
        Err(error) => {
            write_termination(&termination_log, Reason::Invalid, &format!("{error:#}"));
            return Err(error);
        }
    };
    let log = ProgressLog::start();
    let outcome = fetch_version(&plan, &to, &|p| log.show(p), &cancel).await;
    match outcome {
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
            write_termination(&termination_log, error.reason(), &error.to_string());
            Err(error).with_context(|| format!("fetch {} {}", plan.model, plan.version))
        }
    }
}
