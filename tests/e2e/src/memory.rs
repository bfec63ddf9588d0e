//! What the sandbox and the operator use, read from `/proc`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where the sandbox's processes are listed, on cgroup v1 and v2.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup/freezer/mcdeploy", "/sys/fs/cgroup/mcdeploy"];

/// Sum of the proportional set sizes of all processes of the sandbox, pods included, in
/// bytes.
pub fn sandbox_pss() -> u64 {
    let pids = GROUPS.iter().flat_map(|group| pids(Path::new(group)));
    let pids: BTreeSet<u32> = pids.collect();
    pids.into_iter()
        .filter_map(|pid| kilobytes(pid, "smaps_rollup", "Pss:"))
        .sum::<u64>()
        * 1024
}

/// Highest resident set size of any operator process that runs now, in bytes.
pub fn operator_peak_rss() -> u64 {
    let pids = GROUPS
        .iter()
        .flat_map(|group| pids(&Path::new(group).join("hub")));
    let operators = pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let is_daemon = words
            .next()
            .is_some_and(|word| word.ends_with(b"mcdeployd"));
        is_daemon && words.any(|word| word == b"operator")
    });
    let peaks = operators.filter_map(|pid| kilobytes(pid, "status", "VmHWM:"));
    peaks.max().unwrap_or(0) * 1024
}

/// Watches the operator's peak, over its restarts too.
#[derive(Debug)]
pub struct OperatorWatch {
    stop: CancellationToken,
    task: JoinHandle<u64>,
}

impl OperatorWatch {
    /// Looks every second.
    pub fn start() -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut peak = 0;
            loop {
                let now = tokio::task::spawn_blocking(operator_peak_rss).await;
                peak = peak.max(now.unwrap_or(0));
                tokio::select! {
                    () = stopped.cancelled() => return peak,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// The peak, in bytes; 0 when no operator was ever seen.
    pub async fn stop(self) -> u64 {
        self.stop.cancel();
        self.task.await.unwrap_or(0)
    }
}

fn pids(group: &Path) -> Vec<u32> {
    let mut found = vec![];
    let mut groups: Vec<PathBuf> = vec![group.to_owned()];
    while let Some(group) = groups.pop() {
        let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
        let Ok(entries) = fs::read_dir(&group) else {
            continue;
        };
        let below = entries.filter_map(Result::ok).map(|entry| entry.path());
        groups.extend(below.filter(|path| path.is_dir()));
    }
    found
}

/// A field of a file of `/proc/<pid>` that ends in `kB`. A process may end meanwhile.
fn kilobytes(pid: u32, file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_size() {
        let pid = std::process::id();
        assert!(kilobytes(pid, "status", "VmHWM:").unwrap() > 100);
        assert!(kilobytes(pid, "smaps_rollup", "Pss:").unwrap() > 100);
        assert_eq!(kilobytes(pid, "status", "NoSuchField:"), None);
    }
}
