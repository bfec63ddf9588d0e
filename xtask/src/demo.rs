//! `cargo xtask demo` and `cargo xtask images`: build, then run the programs that do it.

use std::process::Command;

use crate::shell::{run, run_command};

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
    run("cargo", &["build", "--workspace", "--bins"])?;
    run_command(Command::new(target_binary("mcdeploy-demo")).args(args))
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    run_demo(&args.rest)
}

/// Builds the container images.
pub(crate) fn images() -> anyhow::Result<()> {
    crate::prerequisites::debian_packages()?;
    run("cargo", &["build", "--workspace", "--bins"])?;
    mcdeploy(&["sandbox", "images"])
}

/// Runs the command line of the dev profile.
pub(crate) fn mcdeploy(args: &[&str]) -> anyhow::Result<()> {
    run_command(Command::new(target_binary("mcdeploy")).args(args))
}

/// A binary of the dev profile.
pub(crate) fn target_binary(name: &str) -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    std::path::PathBuf::from(target).join("debug").join(name)
}
