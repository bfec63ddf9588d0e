//! `cargo xtask test`: everything that exists, stage by stage.

use crate::{generate, prerequisites, shell::run, stages::Stages, tidy};

/// Install what is missing, then check and test everything.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the stages that need root and the sandbox.
    #[arg(long)]
    no_sandbox: bool,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let mut stages = Stages::default();
    stages.run("prerequisites", prerequisites::debian_packages);
    stages.run("format", || run("cargo", &["fmt", "--all", "--check"]));
    stages.run("clippy", || {
        run(
            "cargo",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
        )
    });
    stages.run("build", || {
        run(
            "cargo",
            &["build", "--workspace", "--all-targets", "--locked"],
        )
    });
    stages.run("tidy", tidy::run);
    stages.run("generated", || generate::main(true));
    stages.run("tests", || {
        run(
            "cargo",
            &["test", "--workspace", "--locked", "--no-fail-fast"],
        )
    });
    let _ = args;
    stages.finish()
}
