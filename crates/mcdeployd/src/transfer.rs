//! `mcdeployd transfer`: copies one model version from one store to others.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mcdeploy_api::{Reason, TransferPlan};
use mcdeploy_store::{PublishError, Replicated, TransferError, TransferOptions, transfer_version};
use tokio_util::sync::CancellationToken;

use crate::{
    plan_file::{read_plan, write_lines, write_termination},
    progress_log::ProgressLog,
};

/// Copies one model version from one store to others, reading it once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON file with what to copy, from where and to where.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// File that gets one line about why it failed, or one a store that did not get it.
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
    let done = transfer_version(&plan, &options, &|p| log.show(p), &cancel).await;
    let TransferPlan { model, version, .. } = &plan;
    let Replicated {
        size_bytes,
        files,
        targets,
    } = done.map_err(|error| {
        write_termination(&termination_log, reason(&error), &error.to_string());
        anyhow::Error::new(error).context(format!("transfer {model} {version}"))
    })?;
    let mut missed = vec![];
    for target in targets {
        let store = target.store;
        match target.outcome {
            Ok(is_new) => tracing::info!(
                adopted_files = target.adopted.len(),
                artifact.model = model,
                artifact.version = version,
                store.name = store,
                size_bytes,
                files,
                is_new,
                sent_bytes = target.sent_bytes,
                "copied {model} {version} from {:?} to {store:?}",
                plan.source.name
            ),
            Err(error) => missed.push((store, TransferError::from(error))),
        }
    }
    write_missed(&termination_log, &missed);
    match missed.into_iter().next() {
        Some((store, error)) => {
            Err(error).with_context(|| format!("transfer {model} {version} to {store:?}"))
        }
        None => Ok(()),
    }
}

/// One line a store that did not get the version, so that the operator can tell each of
/// its targets what became of it.
fn write_missed(termination_log: &Path, missed: &[(String, TransferError)]) {
    let lines = missed.iter().map(|(store, error)| {
        tracing::error!(store.name = store, "not copied to {store:?}: {error}");
        (Some(store.as_str()), reason(error), error.to_string())
    });
    write_lines(termination_log, &lines.collect::<Vec<_>>());
}

/// The word for it in a status and in a termination message.
fn reason(error: &TransferError) -> Reason {
    match error {
        _ if error.is_checksum_mismatch() => Reason::ChecksumMismatch,
        TransferError::SourceMissing { .. } => Reason::ArtifactMissing,
        TransferError::Store(error) | TransferError::Publish(PublishError::Store(error)) => {
            error.reason()
        }
        TransferError::SourceManifest { .. } | TransferError::Publish(_) => Reason::TransferFailed,
    }
}
