//! Runs a program to its end, or to a kill, and tells what it used.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;

use crate::clock;

const POLL: Duration = Duration::from_millis(5);
/// Clock ticks a second in /proc, on every Linux that we run on.
const TICKS: u64 = 100;
/// A run that takes longer is stuck.
const LIMIT: Duration = Duration::from_mins(5);

/// What one run used.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// From start to end.
    pub(crate) wall_ms: u64,
    /// User and system time.
    pub(crate) cpu_ms: u64,
    /// Most memory it held.
    pub(crate) peak_bytes: u64,
    /// Exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    /// The end of what it said.
    #[serde(skip)]
    pub(crate) said: String,
    /// What it printed.
    #[serde(skip)]
    pub(crate) printed: String,
}

impl Usage {
    /// An error when it did not succeed.
    pub(crate) fn expect_success(self, what: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(
            self.code == Some(0),
            "{what} ended with {:?}: {}",
            self.code,
            self.said
        );
        Ok(self)
    }
}

/// Runs a program to its end.
pub(crate) async fn run(command: Command) -> anyhow::Result<Usage> {
    run_until(command, || false).await
}

/// Runs a program, and kills it (SIGKILL) as soon as `stop` says so.
pub(crate) async fn run_until(
    command: Command,
    stop: impl Fn() -> bool + Send + 'static,
) -> anyhow::Result<Usage> {
    tokio::task::spawn_blocking(move || blocking(command, &stop)).await?
}

fn blocking(mut command: Command, stop: &dyn Fn() -> bool) -> anyhow::Result<Usage> {
    let output = tempfile::tempdir()?;
    let (out, said) = (output.path().join("out"), output.path().join("said"));
    command
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out)?)
        .stderr(fs::File::create(&said)?);
    let program = command.get_program().to_string_lossy().into_owned();
    let before = children_ticks()?;
    let start = clock::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_bytes.max(peak_of(child.id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if stop() || start.elapsed() > LIMIT {
            child.kill()?;
            break child.wait()?;
        }
        std::thread::park_timeout(POLL);
    };
    let wall = start.elapsed();
    let text = |path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    let said = text(&said)?;
    let tail = said.char_indices().rev().nth(1500).map_or(0, |(at, _)| at);
    Ok(Usage {
        wall_ms: u64::try_from(wall.as_millis())?,
        cpu_ms: (children_ticks()? - before) * 1000 / TICKS,
        peak_bytes,
        code: status.code(),
        said: said[tail..].to_owned(),
        printed: text(&out)?,
    })
}

/// Most memory of a process so far, in bytes; 0 once it is gone.
fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// User and system time of all children that ended and were waited for.
fn children_ticks() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    // After the name: field 16 is cutime, 17 cstime, counted from 1 with pid and name.
    let ticks = fields.split_whitespace().skip(13).take(2);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum())
}
