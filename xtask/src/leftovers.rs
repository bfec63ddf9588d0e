//! A sandbox whose processes are gone: what a killed run left on the machine.

use std::{fs, path::Path};

use crate::{
    demo,
    shell::{run, say},
};

/// What a sandbox keeps while it runs.
const RECORD: &str = "/var/lib/mcdeploy-sandbox/record.json";
/// Id and start time of the process that keeps the sandbox up.
const KEEPER: &str = "/var/lib/mcdeploy-sandbox/run/serve.pid";

/// Whether a sandbox is recorded, running or not.
pub(crate) fn sandbox_is_recorded() -> bool {
    Path::new(RECORD).exists()
}

/// Whether a sandbox runs.
pub(crate) fn sandbox_runs() -> bool {
    let keeper = fs::read_to_string(KEEPER).unwrap_or_default();
    sandbox_is_recorded() && is_alive(&keeper)
}

/// A bridge that a test makes for a moment; with it no sandbox comes up.
const TEST_BRIDGE: &str = "/sys/class/net/mcdtest";

/// Takes down a sandbox that does not run any more, and what its tests left.
pub(crate) fn clear_sandbox() -> anyhow::Result<()> {
    if Path::new(TEST_BRIDGE).exists() {
        run("ip", &["link", "delete", "mcdtest"])?;
    }
    if !sandbox_is_recorded() || sandbox_runs() {
        return Ok(());
    }
    say("a sandbox was left behind by a run that was killed: taking it down");
    demo::mcdeploy(&["sandbox", "down"])
}

/// `PID STARTED`, where the start is in clock ticks since boot: another process may have
/// the id by now.
fn is_alive(recorded: &str) -> bool {
    let mut words = recorded.split_whitespace();
    let (Some(pid), Some(started)) = (words.next(), words.next()) else {
        return false;
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the last parenthesis may hold spaces.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let is_dead = matches!(fields.first(), None | Some(&("Z" | "X")));
    !is_dead && fields.get(19) == Some(&started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_process_is_alive() {
        let pid = std::process::id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let started = fields.split_whitespace().nth(19).unwrap();
        assert!(is_alive(&format!("{pid} {started}\n")));
        assert!(!is_alive(&format!("{pid} 1\n")));
        assert!(!is_alive("4194305 1"));
        assert!(!is_alive(""));
    }
}
