//! `cargo xtask test`: everything that exists, stage by stage.

use crate::{demo, generate, prerequisites, shell::run, stages::Stages, tidy};

/// Install what is missing, then check and test everything.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what needs root: the sandbox, the demo and its faults.
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
        run(
            "cargo",
            &["build", "--workspace", "--all-targets", "--locked"],
        )
    });
    stages.run("clippy", || {
        let lint = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        run("cargo", &lint)
    });
    stages.run("tidy", tidy::run);
    stages.run("generated", || generate::main(true));
    stages.run("tests", || {
        run(
            "cargo",
            &["test", "--workspace", "--locked", "--no-fail-fast"],
        )
    });
    stages.run("terraform", || {
        let mcdeploy = demo::target_binary("mcdeploy");
        let mcdeploy = std::path::absolute(mcdeploy)?;
        run(
            "python3",
            &[
                "terraform/check/run.py",
                "--mcdeploy",
                &mcdeploy.to_string_lossy(),
            ],
        )
    });
    if !args.no_sandbox {
        stages.run("sandbox", || sandbox_test("sandbox_lifecycle"));
        stages.run("demo", || {
            let words = ["--check", "--keep", "--report", DEMO_REPORT].map(str::to_owned);
            demo::run_demo(&words)
        });
        // In the sandbox that the demo keeps.
        stages.run("faults", || sandbox_test("sandbox_faults"));
        stages.run("down", || demo::mcdeploy(&["sandbox", "down"]));
    }
    stages.finish()
}

/// One sandbox a machine, so one test at a time.
fn sandbox_test(name: &str) -> anyhow::Result<()> {
    let words = [
        "test",
        "--workspace",
        "--locked",
        "--test",
        name,
        "--",
        "--test-threads",
        "1",
    ];
    run("cargo", &words)
}
