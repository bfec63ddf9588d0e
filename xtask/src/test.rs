//! `cargo xtask test`: everything that exists, stage by stage.

use crate::{demo, generate, prerequisites, shell::run, stages::Stages, tidy};

/// Install what is missing, then check and test everything.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what needs root: the demo and the faults in the sandbox.
    #[arg(long)]
    no_sandbox: bool,
}

/// Where the demo of a test run leaves its numbers.
const DEMO_REPORT: &str = "target/demo-report.json";

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let mut stages = Stages::default();
    stages.run("prerequisites", prerequisites::debian_packages);
    stages.run("format", || run("cargo", &["fmt", "--all", "--check"]));
    stages.run("build", || {
        run("cargo", &["build", "--workspace", "--all-targets", "--locked"])
    });
    stages.run("clippy", || {
        let lint = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        run("cargo", &lint)
    });
    stages.run("tidy", tidy::run);
    stages.run("generated", || generate::main(true));
    stages.run("tests", || {
        run("cargo", &["test", "--workspace", "--locked", "--no-fail-fast"])
    });
    stages.run("terraform", || run("python3", &["terraform/check/run.py"]));
    if !args.no_sandbox {
        stages.run("demo", || {
            let words = ["--check", "--report", DEMO_REPORT].map(str::to_owned);
            demo::run_demo(&words)
        });
        stages.run("faults", || {
            // One sandbox a machine, so one test at a time.
            let words = ["test", "--workspace", "--locked", "--test", "sandbox_faults"];
            run("cargo", &[&words[..], &["--", "--test-threads", "1"]].concat())
        });
    }
    stages.finish()
}
