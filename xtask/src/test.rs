//! `cargo xtask test`: everything that exists, stage by stage.

use anyhow::ensure;

use crate::{
    demo, dependency_cache, generate, leftovers, prerequisites,
    shell::{put_temporary_files_into, run, target_dir},
    stages::Stages,
    temporary::Temporary,
    tidy,
};

/// Tests that need a whole sandbox.
const SANDBOX_TESTS: [&str; 2] = ["sandbox_lifecycle", "sandbox_faults"];

/// `test`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this stage, on what earlier runs built; may be given again
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Compile every dependency anew instead of taking what an earlier clone compiled
    #[arg(long)]
    no_cache: bool,
    /// Also what passed before with exactly the same inputs
    #[arg(long)]
    full: bool,
}

/// Install what is missing, then check and test everything. Limits are several times what
/// two cores need with empty caches.
pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    ensure!(
        !leftovers::sandbox_runs(),
        "a sandbox runs that this test did not start, and the test needs one of its own: end \
         it with `target/debug/mcdeploy sandbox down`, then test again"
    );
    let whole = args.only.is_empty();
    let cache = !args.no_cache;
    let target = target_dir();
    let temporary = Temporary::make()?;
    put_temporary_files_into(temporary.path());
    let mut stages = Stages::begin(args.only);
    stages.run("prerequisites", 15, prerequisites::debian_packages);
    stages.run("format", 2, || run("cargo", &["fmt", "--all", "--check"]));
    stages.run("build", 60, || {
        if cache {
            dependency_cache::restore()?;
        }
        run(
            "cargo",
            &["build", "--workspace", "--all-targets", "--locked"],
        )
    });
    stages.run("clippy", 20, || {
        lint(&["--all-targets"])?;
        // Left out of `--all-targets`, because nobody runs them without a sandbox.
        let sandbox = SANDBOX_TESTS.map(|name| ["--test", name]);
        lint(sandbox.as_flattened())?;
        if cache {
            dependency_cache::keep()
        } else {
            Ok(())
        }
    });
    stages.run("tidy", 15, tidy::run);
    stages.run("generated", 10, || generate::main(true));
    stages.run("tools", 40, || demo::mcdeploy(&["sandbox", "tools"]));
    stages.run("tests", 45, || {
        run(
            "cargo",
            &["test", "--workspace", "--locked", "--no-fail-fast"],
        )
    });
    stages.run("terraform", 15, || {
        let mcdeploy = std::path::absolute(demo::target_binary("mcdeploy"))?;
        let mcdeploy = mcdeploy.to_string_lossy();
        let mut words = vec!["terraform/check/run.py", "--mcdeploy", &mcdeploy];
        if args.full {
            words.push("--anew");
        }
        run("python3", &words)
    });
    stages.run("sandbox", 15, || {
        leftovers::clear_sandbox()?;
        sandbox_test("sandbox_lifecycle")
    });
    stages.run("demo", 15, || {
        let report = target.join("demo-report.json");
        let words = ["--check", "--keep", "--report", &report.to_string_lossy()];
        demo::run_demo(&words.map(str::to_owned))
    });
    // In the sandbox that the demo keeps.
    stages.run("faults", 30, || sandbox_test("sandbox_faults"));
    if whole || leftovers::sandbox_is_recorded() {
        stages.clean_up("down", 3, || demo::mcdeploy(&["sandbox", "down"]));
    }
    stages.finish(&target.join("test-report.json"))
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
