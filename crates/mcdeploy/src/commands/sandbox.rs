//! `mcdeploy sandbox …`: three clouds and a hub on this machine.

use mcdeploy_sandbox::{SandboxArgs, SandboxError, Say};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{ExitStatus, Failure},
    printer::Printer,
};

/// Runs a sandbox command.
pub(crate) async fn sandbox(
    args: SandboxArgs,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let program = std::env::current_exe()?;
    let notices = printer.clone();
    let say = Say::to(move |line| notices.notice(line));
    match mcdeploy_sandbox::run(args, program, &say, cancel).await {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error @ SandboxError::Interrupted) => {
            Err(Failure::new(ExitStatus::Interrupted, error.to_string()).into())
        }
        Err(error @ SandboxError::NotRunning) => {
            Err(Failure::new(ExitStatus::NotFound, error.to_string()).into())
        }
        Err(error) => Err(error.into()),
    }
}
