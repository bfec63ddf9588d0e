//! One file per command.

mod artifacts;
mod clusters_add;
mod clusters_ls;
mod evaluate;
mod get;
mod init;
mod progress;
mod push;
mod reference;
mod rollout;
mod sandbox;
mod status;
mod version;

use tokio_util::sync::CancellationToken;

use crate::{
    args::{ArtifactsCommand, ClustersCommand, Command},
    environment::Environment,
    exit::{ExitStatus, Failure},
    printer::Printer,
};

/// Runs a command. Cancelling it ends it at the next wait.
pub(crate) async fn run(
    command: Command,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Init(args) => init::init(&args, printer),
        Command::Evaluate(args) => {
            unless(
                cancel,
                evaluate::evaluate(&args, environment, printer, cancel),
            )
            .await
        }
        Command::ExitCodes => {
            printer.data(crate::args::EXIT_CODES)?;
            Ok(ExitStatus::Success)
        }
        Command::Reference => reference::reference(printer),
        // These say themselves what an interruption leaves behind.
        Command::Push(args) | Command::Artifacts(ArtifactsCommand::Push(args)) => {
            Box::pin(push::push(&args, environment, printer, cancel)).await
        }
        Command::Artifacts(ArtifactsCommand::Ls(args)) => {
            unless(cancel, artifacts::ls(&args, environment, printer, cancel)).await
        }
        Command::Artifacts(ArtifactsCommand::Verify(args)) => {
            unless(
                cancel,
                artifacts::verify(&args, environment, printer, cancel),
            )
            .await
        }
        Command::Artifacts(ArtifactsCommand::Plan(args)) => {
            unless(cancel, artifacts::plan(&args, environment, printer, cancel)).await
        }
        Command::Artifacts(ArtifactsCommand::Replicate(args)) => {
            Box::pin(artifacts::replicate(&args, environment, printer, cancel)).await
        }
        Command::Artifacts(ArtifactsCommand::Cp(args)) => {
            Box::pin(artifacts::cp(&args, environment, printer, cancel)).await
        }
        Command::Artifacts(ArtifactsCommand::Scrub(args)) => {
            unless(
                cancel,
                artifacts::scrub(&args, environment, printer, cancel),
            )
            .await
        }
        Command::Artifacts(ArtifactsCommand::Gc(args)) => {
            unless(cancel, artifacts::gc(&args, environment, printer, cancel)).await
        }
        Command::Rollout(args) => {
            Box::pin(rollout::rollout(&args, environment, printer, cancel)).await
        }
        Command::Status(args) => unless(cancel, status::status(&args, printer)).await,
        Command::Get(args) => unless(cancel, get::get(&args, printer)).await,
        Command::Clusters(ClustersCommand::Add(args)) => {
            unless(cancel, clusters_add::clusters_add(&args, printer)).await
        }
        Command::Clusters(ClustersCommand::Ls(args)) => {
            unless(cancel, clusters_ls::clusters_ls(&args, printer)).await
        }
        Command::Sandbox(args) => Box::pin(sandbox::sandbox(args, printer, cancel)).await,
        Command::Version(args) => unless(cancel, version::version(&args, printer)).await,
    }
}

async fn unless(
    cancel: &CancellationToken,
    work: impl Future<Output = anyhow::Result<ExitStatus>>,
) -> anyhow::Result<ExitStatus> {
    match cancel.run_until_cancelled(Box::pin(work)).await {
        Some(result) => result,
        None => Ok(ExitStatus::Interrupted),
    }
}

/// The end of a command that was interrupted before it changed anything.
fn interrupted() -> anyhow::Error {
    Failure::new(ExitStatus::Interrupted, "interrupted; nothing was applied").into()
}

#[cfg(test)]
pub(crate) use init::template as init_template;
