//! `cargo xtask bench`: build what is measured, then run the program that measures.

use std::{path::PathBuf, process::Command};

use crate::{
    demo::target_binary,
    shell::{run, run_command, target_dir},
};

/// What to measure.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Copies of model versions between stores: goals R1 to R14.
    Replication(Args),
}

/// `bench replication`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the report goes.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Large objects and many repeats instead of ten minutes in all.
    #[arg(long)]
    full: bool,
    /// Only these goals, such as R4,R12.
    #[arg(long, value_name = "GOALS")]
    only: Option<String>,
}

/// Builds and measures. Servers and proxies stay on the first core; what is measured gets
/// the second, so that they do not take time from each other.
pub(crate) fn main(bench: &Bench) -> anyhow::Result<()> {
    let Bench::Replication(args) = bench;
    run(
        "cargo",
        &["build", "--workspace", "--release", "--bin", "mcdeploy"],
    )?;
    run(
        "cargo",
        &["build", "--workspace", "--bin", "mcdeploy-bench"],
    )?;
    let measured = target_dir().join("release").join("mcdeploy");
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0"])
        .arg(target_binary("mcdeploy-bench"))
        .arg("--report")
        .arg(&args.report)
        .arg("--mcdeploy")
        .arg(measured);
    if args.full {
        command.arg("--full");
    }
    if let Some(only) = &args.only {
        command.arg("--only").arg(only);
    }
    run_command(&mut command)
}
