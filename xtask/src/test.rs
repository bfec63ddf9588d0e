//! `cargo xtask test`: everything that exists, stage by stage.

use std::path::Path;

use anyhow::ensure;

use crate::{demo, generate, prerequisites, shell::run, stages::Stages, tidy};

/// Where the demo of a test run leaves its numbers.
const DEMO_REPORT: &str = "target/demo-report.json";
/// Tests that need a whole sandbox.
const SANDBOX_TESTS: [&str; 2] = ["sandbox_lifecycle", "sandbox_faults"];
/// What a sandbox keeps while it runs.
const SANDBOX_RECORD: &str = "/var/lib/mcdeploy-sandbox/record.json";

/// Install what is missing, then check and test everything.
pub(crate) fn main() -> anyhow::Result<()> {
    ensure!(
        !Path::new(SANDBOX_RECORD).exists(),
        "a sandbox runs that this test did not start, and the test needs one of its own: end \
         it with `target/debug/mcdeploy sandbox down`, then test again"
    );
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
        lint(&["--all-targets"])?;
        // Left out of `--all-targets`, because nobody runs them without a sandbox.
        let sandbox = SANDBOX_TESTS.map(|name| ["--test", name]);
        lint(sandbox.as_flattened())
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
    stages.run("sandbox", || sandbox_test("sandbox_lifecycle"));
    stages.run("demo", || {
        let words = ["--check", "--keep", "--report", DEMO_REPORT].map(str::to_owned);
        demo::run_demo(&words)
    });
    // In the sandbox that the demo keeps.
    stages.run("faults", || sandbox_test("sandbox_faults"));
    stages.run("down", || demo::mcdeploy(&["sandbox", "down"]));
    stages.finish()
}

fn lint(targets: &[&str]) -> anyhow::Result<()> {
    let before: &[&str] = &["clippy", "--workspace", "--locked"];
    let after: &[&str] = &["--", "-D", "warnings"];
    run("cargo", &[before, targets, after].concat())
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
