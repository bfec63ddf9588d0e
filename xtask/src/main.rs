//! Chores of this repository. `cargo xtask --help` lists them.
//!
//! No heavy dependency: whatever needs one is a program of the workspace that a
//! chore builds and runs.

mod bench;
mod demo;
mod dependency_cache;
mod generate;
mod leftovers;
mod prerequisites;
mod shell;
mod stages;
mod temporary;
mod test;
mod tidy;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the rules of the house: rings, file sizes, lints, licences, TLS stacks.
    Tidy,
    /// Write the generated files (CRDs, CLI reference).
    Gen {
        /// Write nothing; fail when a generated file is stale.
        #[arg(long)]
        check: bool,
    },
    /// Build the container images of `mcdeployd` and `mcserve`.
    Images,
    /// Bring up three clouds, roll a model out, lose one, and tell what happened.
    Demo(demo::Args),
    /// Measure against the tools that people use now, and write a report.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Install what is missing, then check and test everything.
    Test(test::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> anyhow::Result<()> {
    std::env::set_current_dir(root())?;
    match chore {
        Chore::Tidy => tidy::run(),
        Chore::Gen { check } => generate::main(check),
        Chore::Images => demo::images(),
        Chore::Demo(args) => demo::main(&args),
        Chore::Bench(bench) => bench::main(&bench),
        Chore::Test(args) => test::main(args),
    }
}

/// Root of the repository. As cargo says it now: the one of the build is another one when the
/// repository was moved since, which cargo does not notice.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(PathBuf::from).unwrap_or(package)
}
