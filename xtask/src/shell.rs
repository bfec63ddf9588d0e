//! Runs programs and says what failed.
//!
//! No program reads our standard input, and every one has a time after which it is ended
//! with all that it started: a run that nobody watches must not wait for ever.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// Lines of a failed stage that are shown again at the end.
const LAST_LINES: usize = 60;
/// Lines that name a failure, at the most.
const FAILURES: usize = 20;
/// Daemons that a program leaves behind may hold its output open: nobody waits for those.
const REST_OF_OUTPUT: Duration = Duration::from_secs(2);

/// What the stage that runs now has printed, and until when it may.
static STAGE: Mutex<Option<Stage>> = Mutex::new(None);

/// Where programs put temporary files, when that is not the machine's directory for them.
static TEMPORARY: OnceLock<PathBuf> = OnceLock::new();

/// From now on programs put their temporary files there.
pub(crate) fn put_temporary_files_into(directory: &Path) {
    // A run has one such directory.
    let _same = TEMPORARY.set(directory.to_owned());
}

/// Limit and output of a stage.
#[derive(Default)]
pub(crate) struct Stage {
    until: Option<Instant>,
    last: VecDeque<String>,
    failures: Vec<String>,
}

impl Stage {
    /// The last lines that its programs printed, oldest first.
    pub(crate) fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// Lines that name a failure: of compilers, tests and panics.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    fn note(&mut self, line: String) {
        if names_a_failure(&line) && self.failures.len() < FAILURES {
            self.failures.push(line.clone());
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

fn names_a_failure(line: &str) -> bool {
    let is_test = line.starts_with("test ") && line.ends_with("FAILED");
    is_test || line.starts_with("error") || line.starts_with("FAIL") || line.contains("panicked at")
}

/// Until [`end_stage`], what programs print is kept as well, and they must end in time.
pub(crate) fn begin_stage(until: Instant) {
    *stage() = Some(Stage {
        until: Some(until),
        ..Stage::default()
    });
}

/// What the stage printed.
pub(crate) fn end_stage() -> Stage {
    stage().take().unwrap_or_default()
}

fn stage() -> std::sync::MutexGuard<'static, Option<Stage>> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line of progress for the person in front.
pub(crate) fn say(line: impl AsRef<str>) {
    // A closed stderr is no reason to stop.
    let _closed = writeln!(io::stderr(), "{}", line.as_ref());
}

/// Runs a program with our own streams.
pub(crate) fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    run_command(Command::new(program).args(args))
}

/// Runs a prepared command; what it prints passes through.
pub(crate) fn run_command(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    command.stdin(Stdio::null());
    if let Some(directory) = TEMPORARY.get() {
        command.env("TMPDIR", directory);
    }
    let until = stage().as_ref().and_then(|stage| stage.until);
    let status = match until {
        None => command.status(),
        Some(until) => run_watched(command, until),
    }
    .with_context(|| format!("start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

fn run_watched(command: &mut Command, until: Instant) -> io::Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = child.id();
    let (read_to_end, wait_for_output) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        pass_on(stdout, io::stdout(), read_to_end.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr, io::stderr(), read_to_end);
    }
    let status = wait_until(child, pid, until);
    for _ in 0..2 {
        if wait_for_output.recv_timeout(REST_OF_OUTPUT).is_err() {
            break;
        }
    }
    status
}

fn wait_until(mut child: Child, pid: u32, until: Instant) -> io::Result<ExitStatus> {
    let (ended, wait) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    let left = until.saturating_duration_since(crate::stages::now());
    if let Ok(status) = wait.recv_timeout(left) {
        return status;
    }
    end_tree(pid);
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "it was not done within the stage's time, and was ended",
    ))
}

/// Copies lines, and keeps them.
fn pass_on(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    read_to_end: mpsc::Sender<()>,
) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // Who closed our output wants to see no more of it; the lines are still kept.
            let _closed = to.write_all(&line).and_then(|()| to.flush());
            let text = String::from_utf8_lossy(&line);
            if let Some(stage) = stage().as_mut() {
                stage.note(text.trim_end().to_owned());
            }
            line.clear();
        }
        // The other end is gone when nobody waits any more.
        let _gone = read_to_end.send(());
    });
}

/// Ends a process and all that it started, children first found first, so that none of
/// them is left without a parent to find it by.
fn end_tree(root: u32) {
    let mut found = vec![root.to_string()];
    let mut next = 0;
    while let Some(parent) = found.get(next).cloned() {
        let children = output("pgrep", &["--parent", &parent]).unwrap_or_default();
        found.extend(children.lines().map(str::to_owned));
        next += 1;
    }
    let mut kill = Command::new("kill");
    kill.arg("-KILL").args(&found).stderr(Stdio::null());
    // One that ended meanwhile is what was wanted.
    let _ended = kill.status();
}

/// Standard output of a program.
pub(crate) fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
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

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn soon(seconds: u64) -> Instant {
        crate::stages::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn what_a_stage_printed_last_and_what_failed_is_kept() {
        let mut stage = Stage::default();
        stage.note("test stories::one ... FAILED".to_owned());
        for line in 0..100 {
            stage.note(format!("line {line}"));
        }
        assert_eq!(stage.failures(), ["test stories::one ... FAILED"]);
        assert_eq!(stage.last().count(), LAST_LINES);
        assert_eq!(stage.last().last(), Some("line 99"));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 86399 & wait"]);
        let error = run_watched(&mut command, soon(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // `pgrep` ends with 1 where nothing is found.
        assert!(output("pgrep", &["-f", "^sleep 86399$"]).is_err());
    }

    #[test]
    fn a_daemon_that_holds_the_output_open_keeps_nobody_waiting() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 20 & exit 3"]);
        let begin = crate::stages::now();
        let status = run_watched(&mut command, soon(60)).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
