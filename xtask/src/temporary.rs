//! One directory for all temporary files of a run, and an end of those of runs that were
//! killed.
//!
//! **Invariant:** nothing is removed through a mount: what a killed test had mounted there is
//! unmounted first, and where that fails the directory stays.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::shell::{run, say};

/// Before the id of the process whose run it is.
const PREFIX: &str = "mcdeploy-test-";

/// The directory of this run; goes with the value.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// Makes it, and removes those of dead runs.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let base = std::env::temp_dir();
        sweep(&base, Path::new("/proc"));
        let path = base.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes the directories of runs whose process is not there any more.
fn sweep(base: &Path, processes: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if !processes.join(pid.to_string()).exists() {
            remove(&entry.path());
        }
    }
}

fn remove(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mount in below(directory, &mounts) {
        if let Err(error) = run("umount", &[&mount.to_string_lossy()]) {
            let directory = directory.display();
            say(format!("{directory} of an earlier run stays: {error:#}"));
            return;
        }
    }
    if let Err(error) = fs::remove_dir_all(directory) {
        say(format!("{} stays: {error}", directory.display()));
    }
}

/// Mount points below a directory, the last one that was mounted first.
fn below(directory: &Path, mountinfo: &str) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    // Spaces are written in octal there.
    let points = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    let mut found: Vec<_> = points
        .filter(|point| point.starts_with(directory))
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_dead_runs_go() {
        let base = std::env::temp_dir().join(format!("xtask-sweep-{}", std::process::id()));
        let (all, processes) = (base.join("all"), base.join("proc"));
        for directory in [
            "mcdeploy-test-11/a/b",
            "mcdeploy-test-12",
            "mcdeploy-test-x",
            "13",
        ] {
            fs::create_dir_all(all.join(directory)).unwrap();
        }
        fs::create_dir_all(processes.join("12")).unwrap();
        sweep(&all, &processes);
        let mut left: Vec<_> = fs::read_dir(&all)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["13", "mcdeploy-test-12", "mcdeploy-test-x"]);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn mounts_below_a_directory_are_found_the_last_one_first() {
        let mounts = "22 1 0:20 / /tmp/mcdeploy-test-1/a rw - tmpfs none rw\n\
                      23 1 0:21 / /tmp/mcdeploy-test-10 rw - tmpfs none rw\n\
                      24 22 0:22 / /tmp/mcdeploy-test-1/a/b\\040c rw - tmpfs none rw\n";
        assert_eq!(
            below(Path::new("/tmp/mcdeploy-test-1"), mounts),
            [
                PathBuf::from("/tmp/mcdeploy-test-1/a/b c"),
                PathBuf::from("/tmp/mcdeploy-test-1/a"),
            ]
        );
    }
}
