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
    /// Metrics of answers beside scikit-learn's, and the rate of asking: goals E1 to E4.
    Eval(EvalArgs),
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

/// `bench eval`
#[derive(clap::Args)]
pub(crate) struct EvalArgs {
    /// Where the report goes.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
}

pub(crate) fn main(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Replication(args) => replication(args),
        Bench::Eval(args) => eval(args),
    }
}

/// Builds and measures, each program on the second core.
fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let measured = "mcdeploy-bench-eval";
    run(
        "cargo",
        &["build", "--workspace", "--release", "--bin", measured],
    )?;
    run(
        "cargo",
        &["build", "--workspace", "--bin", "mcdeploy-bench"],
    )?;
    let mut command = Command::new(target_binary("mcdeploy-bench"));
    command
        .args(["eval", "--report"])
        .arg(&args.report)
        .arg("--measured")
        .arg(target_dir().join("release").join(measured));
    run_command(&mut command)
}

/// Builds and measures. Servers and proxies stay on the first core; what is measured gets
/// the second, so that they do not take time from each other.
fn replication(args: &Args) -> anyhow::Result<()> {
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
        .args(["replication", "--report"])
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
