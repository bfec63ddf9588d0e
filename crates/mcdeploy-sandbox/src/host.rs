//! Files and commands of the host, with errors that name them.

use std::{ffi::OsStr, fs, io, path::Path, process::Stdio, time::Duration};

use crate::SandboxError;

const COMMAND_LIMIT: Duration = Duration::from_mins(3);

/// Runs a command to its end and gives what it wrote to standard output.
pub(crate) async fn run<I, S>(words: I) -> Result<String, SandboxError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    run_with_input(words, "").await
}

/// As [`run`], with a text on standard input.
pub(crate) async fn run_with_input<I, S>(words: I, input: &str) -> Result<String, SandboxError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    use tokio::io::AsyncWriteExt as _;
    let words: Vec<_> = words
        .into_iter()
        .map(|word| word.as_ref().to_owned())
        .collect();
    let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let command = shown.join(" ");
    let (program, arguments) = words.split_first().ok_or_else(|| SandboxError::Run {
        command: command.clone(),
        source: io::ErrorKind::InvalidInput.into(),
    })?;
    let work = async {
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take()
            && let Err(error) = stdin.write_all(input.as_bytes()).await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
        child.wait_with_output().await
    };
    let ended = tokio::time::timeout(COMMAND_LIMIT, work)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut));
    let output = match ended {
        Ok(Ok(output)) => output,
        Ok(Err(source)) | Err(source) => return Err(SandboxError::Run { command, source }),
    };
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(written);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = format!("{written}{errors}");
    Err(SandboxError::Command {
        command,
        status: output.status.to_string(),
        output: crate::tools::last_lines(text.trim(), 8),
    })
}

/// Whether a command succeeds.
pub(crate) async fn succeeds<I, S>(words: I) -> bool
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    run(words).await.is_ok()
}

/// Reads a text file; `None` if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, SandboxError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SandboxError::file("read", path)(source)),
    }
}

/// Writes a text file whole or not at all; only its owner may read it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    let new = path.with_added_extension("new");
    let written = (|| {
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(&new)?.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    })();
    written.map_err(SandboxError::file("write", path))
}

/// Makes a directory and its parents.
pub(crate) fn make_directory(path: &Path) -> Result<(), SandboxError> {
    fs::create_dir_all(path).map_err(SandboxError::file("make the directory", path))
}

/// Removes a file or a directory with all that is in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), SandboxError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(SandboxError::file("remove", path)),
    }
}

/// An error and its sources in one line, without saying the same twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
