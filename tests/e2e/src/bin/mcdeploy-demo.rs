//! `cargo xtask demo`: three clouds on this machine, a rollout, an outage, and a report.

use std::process::ExitCode;

use clap::Parser;
use mcdeploy_e2e::demo::{Args, Story, run};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            Story.trouble(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
