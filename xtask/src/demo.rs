//! `cargo xtask demo` and `cargo xtask images`: build, then run the programs that do it.

use std::process::Command;

use crate::{
    dependency_cache, leftovers,
    shell::{run, run_command, target_dir},
};

/// Bring up three clouds, roll a model out, lose one, and tell what happened.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for the demo, such as --keep or --report FILE; `-- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds everything and runs the demo.
pub(crate) fn run_demo(args: &[String]) -> anyhow::Result<()> {
    crate::prerequisites::debian_packages()?;
    dependency_cache::restore()?;
    run("cargo", &["build", "--workspace", "--bins"])?;
    leftovers::clear_sandbox()?;
    // Told with their cost as what they are, and not as the time that a sandbox takes.
    mcdeploy(&["sandbox", "tools"])?;
    run_command(Command::new(target_binary("mcdeploy-demo")).args(args))
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    run_demo(&args.rest)
}

/// Builds the container images.
pub(crate) fn images() -> anyhow::Result<()> {
    crate::prerequisites::debian_packages()?;
    dependency_cache::restore()?;
    run("cargo", &["build", "--workspace", "--bins"])?;
    mcdeploy(&["sandbox", "images"])
}

/// Runs the command line of the dev profile.
pub(crate) fn mcdeploy(args: &[&str]) -> anyhow::Result<()> {
    run_command(Command::new(target_binary("mcdeploy")).args(args))
}

/// A binary of the dev profile.
pub(crate) fn target_binary(name: &str) -> std::path::PathBuf {
    target_dir().join("debug").join(name)
}
