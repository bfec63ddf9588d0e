//! The daemon: operator, gateway, agent, transfer, copy-image, fetch.
//!
//! Each subcommand is one module with `Args` and `run`. SIGTERM or Ctrl-C cancels it.

mod agent;
mod args;
mod copy_image;
mod fetch;
mod gateway;
mod listen;
mod log;
mod operator;
mod plan_file;
mod progress_log;
mod transfer;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "mcdeployd ends");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<()> {
    log::start(&cli.log)?;
    // Fails only when a provider is there already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli.command {
        Command::Gateway(args) => block_on(|cancel| gateway::run(args, cancel)),
        Command::Operator(args) => block_on(|cancel| operator::run(args, cancel)),
        Command::Agent(args) => block_on(|cancel| agent::run(args, cancel)),
        Command::Transfer(args) => block_on(|cancel| transfer::run(args, cancel)),
        Command::CopyImage(args) => block_on(|cancel| copy_image::run(args, cancel)),
        Command::Fetch(args) => block_on(|cancel| fetch::run(args, cancel)),
    }
}

/// Runs one subcommand on two worker threads until it ends or a signal cancels it.
fn block_on<F>(run: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let on_signal = cancel.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            on_signal.cancel();
        });
        run(cancel).await
    })
}
