//! `mcdeploy`, the command line: pushes model versions to the hub's stores, asks the
//! hub for rollouts and shows how they go.
//!
//! Layers: [`args`] (as typed) → [`settings`] (flag > environment > `mcdeploy.yaml` >
//! default) → one file per command in [`commands`] → [`exit::ExitStatus`]. Commands
//! print through [`printer::Printer`] only: data to stdout, the rest to stderr.
//!
//! It never talks to a member cluster, except in `clusters add`, and never moves
//! traffic: it applies objects to the hub and watches.

mod args;
mod clock;
mod commands;
mod environment;
mod exit;
#[cfg(test)]
mod fixtures;
mod hub;
mod image;
mod image_registry;
mod inventory;
mod live;
mod names;
mod object_url;
mod output;
mod percent;
mod printer;
mod project;
mod request;
mod rollout_verdict;
mod settings;
mod store_ref;
mod stores;
mod table;
mod tree;

use std::process::ExitCode;

use clap::FromArgMatches;
use tokio_util::sync::CancellationToken;

use crate::{args::Cli, environment::Environment, exit::ExitStatus, printer::Printer};

fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&args::command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let environment = Environment::read();
    let printer = Printer::new(&cli.global, &environment);
    start_logs(cli.global.verbose, &printer);
    let status = match run(cli, &environment, &printer) {
        Ok(status) => status,
        Err(error) => exit::report(&error, &printer),
    };
    status.into()
}

fn run(cli: Cli, environment: &Environment, printer: &Printer) -> anyhow::Result<ExitStatus> {
    // One TLS provider for every client in the process. A second install is refused,
    // which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let status = runtime.block_on(async {
        let cancel = CancellationToken::new();
        tokio::spawn(exit::cancel_on_signals(cancel.clone()));
        commands::run(cli.command, environment, printer, &cancel).await
    });
    // A watch that hangs must not hold the terminal.
    runtime.shutdown_background();
    status
}

fn start_logs(verbose: u8, printer: &Printer) {
    let level = match verbose {
        0 => return,
        1 => "mcdeploy=info,kube=info",
        2 => "mcdeploy=debug,kube=debug",
        // Those that would show requests, with their signatures, stay quieter.
        _ => {
            "trace,typespec=warn,azure_=warn,aws_=info,google_cloud=info,gaxi=info,h2=info,hyper=info,reqwest=info,tonic=info,tower_http=info"
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(printer.colors())
        .init();
}
