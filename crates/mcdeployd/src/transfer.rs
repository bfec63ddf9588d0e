//! `mcdeployd transfer`: copies one model version from one store to another.

use std::path::PathBuf;

use anyhow::Context as _;
use mcdeploy_api::{Reason, TransferPlan};
use mcdeploy_store::{TransferError, TransferOptions, transfer_version};
use tokio_util::sync::CancellationToken;

use crate::{
    plan_file::{read_plan, write_termination},
    progress_log::ProgressLog,
};

/// Copies one model version from one store to another.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON file with what to copy, from where and to where.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// File that gets one line about why it failed.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    termination_log: PathBuf,
    /// Most MiB of file content in memory at once. The default suits a container with 128
    /// MiB; more of it is faster over a long way.
    #[arg(long, value_name = "MIB", default_value_t = 48)]
    buffer_mib: u32,
}

pub(crate) async fn run(args: Args, cancel: CancellationToken) -> anyhow::Result<()> {
    let Args {
        plan,
        termination_log,
        buffer_mib,
    } = args;
    let options = TransferOptions {
        buffer_bytes: u64::from(buffer_mib) * 1024 * 1024,
        ..TransferOptions::default()
    };
    let plan: TransferPlan = match read_plan(&plan) {
        Ok(plan) => plan,
        Err(error) => {
            write_termination(&termination_log, Reason::Invalid, &format!("{error:#}"));
            return Err(error);
        }
    };
    let log = ProgressLog::start();
    match transfer_version(&plan, &options, &|p| log.show(p), &cancel).await {
        Ok(done) => {
            tracing::info!(
                artifact.model = plan.model,
                artifact.version = plan.version,
                size_bytes = done.size_bytes,
                files = done.files,
                is_new = done.is_new,
                "copied {} {} from {:?} to {:?}",
                plan.model,
                plan.version,
                plan.source.name,
                targets(&plan)
            );
            Ok(())
        }
        Err(error) => {
            write_termination(&termination_log, reason(&error), &error.to_string());
            let TransferPlan { model, version, .. } = &plan;
            Err(error).with_context(|| format!("transfer {model} {version}"))
        }
    }
}

/// Names of the stores that got it.
fn targets(plan: &TransferPlan) -> Vec<&str> {
    let more = plan.more_targets.iter();
    let all = std::iter::once(&plan.target).chain(more);
    all.map(|store| store.name.as_str()).collect()
}

/// The word for it in a status and in a termination message.
fn reason(error: &TransferError) -> Reason {
    match error {
        _ if error.is_checksum_mismatch() => Reason::ChecksumMismatch,
        TransferError::SourceMissing { .. } => Reason::ArtifactMissing,
        TransferError::Store(error) => error.reason(),
        TransferError::SourceManifest { .. } | TransferError::Publish(_) => Reason::TransferFailed,
    }
}
