//! Processes that stand still, by SIGSTOP. Control groups could freeze them too, but on
//! cgroup v1 not even SIGKILL ends a frozen process: a command that is killed in between
//! would leave processes that nobody gets rid of.

use std::{fs, io, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Cloud, SandboxError, cgroup, clock};

/// How long processes may take to stop once they were told to.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Stops every process of a cloud, pods too.
pub(crate) async fn pause(cloud: Cloud) -> Result<(), SandboxError> {
    let start = clock::now();
    loop {
        // Again until none moves: one that was not stopped yet may have started another.
        let mut moving = cgroup::cloud_processes(cloud);
        moving.retain(|pid| !is_stopped(*pid).unwrap_or(true));
        if moving.is_empty() {
            return Ok(());
        }
        if start.elapsed() > STOPS_WITHIN {
            return Err(SandboxError::Unfit(format!(
                "processes {moving:?} of {cloud} do not stop; see `ps` for what they wait for"
            )));
        }
        for pid in moving {
            signal(pid, Signal::STOP);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets every process of a cloud go on.
pub(crate) fn resume(cloud: Cloud) {
    for pid in cgroup::cloud_processes(cloud) {
        signal(pid, Signal::CONT);
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may be gone already.
        let _ = kill_process(pid, signal);
    }
}

/// Whether every thread of a process stands still, or is dead: the signal only asks, and
/// threads that run on another core go on for a moment, long enough to answer a request.
///
/// # Errors
/// There is no such process any more.
pub(crate) fn is_stopped(pid: i32) -> io::Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while it is looked at.
        let stat = fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        if !state.is_empty() && !state.starts_with(['T', 'Z', 'X']) {
            return Ok(false);
        }
    }
    Ok(true)
}
