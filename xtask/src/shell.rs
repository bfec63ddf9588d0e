//! Runs programs and says what failed.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

/// A line of progress for the person in front.
pub(crate) fn say(line: impl AsRef<str>) {
    // A closed stderr is no reason to stop.
    let _closed = writeln!(io::stderr(), "{}", line.as_ref());
}

/// Runs a program with our own streams.
pub(crate) fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    run_command(Command::new(program).args(args))
}

/// Runs a prepared command with our own streams.
pub(crate) fn run_command(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Standard output of a program.
pub(crate) fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(args).stderr(Stdio::inherit());
    let shown = show(&command);
    let output = command
        .output()
        .with_context(|| format!("start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("read the output of `{shown}`"))
}

/// Whether a program is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Where this project keeps tools that are too large to build twice.
pub(crate) fn cache_dir() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("mcdeploy")
}

fn show(command: &Command) -> String {
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    let program = command.get_program().to_string_lossy();
    std::iter::once(program)
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}
