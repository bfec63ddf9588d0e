//! The reference model server: Open Inference Protocol v2 over REST, ONNX by tract.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use mcserve::{Args, Server, args::Command, check::check, panics};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    start_log(&args);
    panics::log_them();
    if let Some(Command::Check { dir }) = &args.command {
        return run_check(dir);
    }
    let termination_log = args.termination_log.clone();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let said = format!("{error:#}");
            tracing::error!(error = said, "cannot serve");
            leave_reason(&termination_log, &said);
            ExitCode::FAILURE
        }
    }
}

/// Best effort: without the file nobody asked, and with a full disk the log has it.
fn leave_reason(path: &Path, said: &str) {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(said.as_bytes()));
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "no termination log"
        );
    }
}

fn run_check(dir: &Path) -> ExitCode {
    match check(dir, &mut std::io::stdout().lock()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "cannot check");
            ExitCode::from(2)
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for SIGINT")?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    Server::bind(&args).await?.run(stop).await?;
    Ok(())
}

fn start_log(args: &Args) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&args.log))
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().init();
    }
}
