//! Programs that the sandbox runs, and that it installs or builds itself.
//!
//! Sources (a Go module or an npm lock file each) are embedded here; what they
//! build to lies in a cache directory named by the hash of the recipe, so that an
//! upgrade builds anew and nothing else does. One build runs at a time on a
//! machine: others wait for the lock and find the result.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest as _, Sha256};

use crate::{Say, clock, paths};

mod packages;
mod recipe;

pub(crate) use packages::allow_services;
pub use packages::{Package, SANDBOX_PACKAGES, ensure_packages};
pub use recipe::Tool;
use recipe::{Recipe, Steps};

/// Why a tool is not there.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A program that this machine must bring along is missing.
    #[error("{program} is not on the PATH; {hint}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where to get it.
        hint: &'static str,
    },
    /// A build or an installation ended with an error.
    #[error("{what} ended with {status}; the end of its output:\n{output}")]
    Build {
        /// Command line.
        what: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines that it wrote.
        output: String,
    },
    /// A program could not be started.
    #[error("start {what}")]
    Start {
        /// Command line.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cache directory could not be written.
    #[error("write {path:?}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Packages are missing and this process may not install them.
    #[error("missing Debian packages, and only root can install them: apt-get install {packages}")]
    NeedsRoot {
        /// Package names, separated by spaces.
        packages: String,
    },
    /// The thread that built the tool ended early.
    #[error("the build was interrupted")]
    Interrupted,
}

/// Path of a tool; builds it first if the cache lacks it.
///
/// # Errors
/// See [`ToolError`]; all of them are permanent until somebody changes the machine.
pub async fn ensure(tool: Tool, say: &Say) -> Result<PathBuf, ToolError> {
    let say = say.clone();
    let work = tokio::task::spawn_blocking(move || ensure_blocking(tool, &say));
    work.await.map_err(|_| ToolError::Interrupted)?
}

/// As [`ensure`], on this thread.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_blocking(tool: Tool, say: &Say) -> Result<PathBuf, ToolError> {
    let cache = paths::tools_cache();
    let recipe = tool.recipe();
    let home = cache.join(format!("{}-{}", recipe.name, recipe_hash(&recipe)));
    let result = home.join(recipe.result);
    if result.exists() {
        return Ok(result);
    }
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| ToolError::Write { path, source }
    };
    fs::create_dir_all(&cache).map_err(write(&cache))?;
    let lock_path = cache.join("lock");
    let lock = fs::File::create(&lock_path).map_err(write(&lock_path))?;
    if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
        say.line(format!(
            "waiting for another build of tools: {}",
            lock_path.display()
        ));
    }
    lock.lock().map_err(write(&lock_path))?;
    if result.exists() {
        return Ok(result);
    }
    say.line(format!("building {} ({})", recipe.name, recipe.cost));
    let start = clock::now();
    let workshop = cache.join(format!(".building-{}", recipe.name));
    remove_all(&workshop).map_err(write(&workshop))?;
    for (name, text) in recipe.files {
        let path = workshop.join(name);
        let parent = path.parent().unwrap_or(&workshop);
        fs::create_dir_all(parent).map_err(write(parent))?;
        fs::write(&path, text).map_err(write(&path))?;
    }
    build(&recipe, &workshop)?;
    fs::rename(&workshop, &home).map_err(write(&home))?;
    let seconds = start.elapsed().as_secs();
    say.line(format!("built {} in {seconds} s", recipe.name));
    Ok(result)
}

fn build(recipe: &Recipe, workshop: &Path) -> Result<(), ToolError> {
    match recipe.steps {
        Steps::Go { package, ldflags } => {
            let mut go = Command::new("go");
            go.args(["build", "-mod=readonly", "-trimpath", "-ldflags", ldflags])
                .args(["-o", recipe.result, package])
                .env("CGO_ENABLED", "0")
                .env("GOWORK", "off")
                .env_remove("GOFLAGS");
            run(
                &mut go,
                workshop,
                "go",
                "install Go 1.26 from https://go.dev/dl",
            )
        }
        Steps::Npm => {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .arg("--loglevel=error");
            run(&mut npm, workshop, "npm", "apt-get install nodejs npm")
        }
        Steps::Pip => pip(workshop),
    }
}

/// Into a directory of its own, which can be moved; a virtual environment brings only pip.
fn pip(workshop: &Path) -> Result<(), ToolError> {
    let hint = "apt-get install python3 python3-venv";
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "venv"]);
    run(&mut venv, workshop, "python3", hint)?;
    let mut install = Command::new(workshop.join("venv/bin/python"));
    install
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--target", "site"])
        .args(["-r", "requirements.txt"]);
    run(&mut install, workshop, "pip", hint)?;
    let venv = workshop.join("venv");
    remove_all(&venv).map_err(|source| ToolError::Write { path: venv, source })
}

/// Runs a command to its end; its output is kept for the error.
pub(crate) fn run(
    command: &mut Command,
    directory: &Path,
    program: &'static str,
    hint: &'static str,
) -> Result<(), ToolError> {
    let what = describe(command);
    let ended = command
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                ToolError::Missing { program, hint }
            } else {
                let what = what.clone();
                ToolError::Start { what, source }
            }
        })?;
    if ended.status.success() {
        return Ok(());
    }
    let output = [ended.stdout, ended.stderr].concat();
    Err(ToolError::Build {
        what,
        status: ended.status,
        output: last_lines(&String::from_utf8_lossy(&output), 15),
    })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn recipe_hash(recipe: &Recipe) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {}\n", recipe.steps, recipe.result));
    for (name, text) in recipe.files {
        hash.update(format!("{name} {}\n", text.len()));
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..6])
}
