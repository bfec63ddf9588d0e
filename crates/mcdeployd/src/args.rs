//! The command line of the daemon.

use clap::{Parser, Subcommand};

use crate::{agent, copy_image, fetch, gateway, operator, transfer};

/// The daemon of mcdeploy: control plane, gateway, and the jobs that move models.
#[derive(Debug, Parser)]
#[command(name = "mcdeployd", version)]
pub(crate) struct Cli {
    /// What to log, as `tracing` filters have it. Libraries that would show requests with
    /// their signatures stay quieter.
    #[arg(long, env = "MCDEPLOYD_LOG", default_value = "info", global = true)]
    pub(crate) log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One role of the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the control plane in the hub.
    Operator(operator::Args),
    /// Routes inference in one region.
    Gateway(Box<gateway::Args>),
    /// Brings model versions into the cache of one node.
    Agent(agent::Args),
    /// Copies one model version from one store to another.
    Transfer(transfer::Args),
    /// Copies one image, by digest, to another registry.
    CopyImage(copy_image::Args),
    /// Fetches one model version before a model server starts.
    Fetch(fetch::Args),
}
