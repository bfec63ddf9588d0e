//! Control groups: they know every process of a cloud, pods too.
//!
//! `/mcdeploy/<cloud>/system` holds the cloud's own processes, `/mcdeploy/<cloud>/pods`
//! its containers, `/mcdeploy/sandbox` what keeps the sandbox itself up. On cgroup v1
//! the freezer hierarchy is the one that counts; runc makes the pods' groups in the
//! others too. The cgroup v2 path is untested.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Cloud, SandboxError, clock, host};

const ROOT: &str = "/sys/fs/cgroup";
const OURS: &str = "mcdeploy";

/// Name of the group that a cloud's containers are in, from the hierarchy's root.
pub(crate) fn pods(cloud: Cloud) -> String {
    format!("/{OURS}/{cloud}/pods")
}

/// Makes the group of a cloud's containers in every hierarchy: the kubelet wants it to
/// be there.
pub(crate) fn ensure_pods(cloud: Cloud) -> Result<(), SandboxError> {
    let pods = pods(cloud);
    for hierarchy in hierarchies() {
        let mut group = hierarchy.clone();
        for name in pods.split('/').filter(|name| !name.is_empty()) {
            let parent = group.clone();
            group.push(name);
            if is_unified() {
                // A controller that the parent lacks is one that pods do without.
                for controller in ["+cpu", "+cpuset", "+io", "+memory", "+pids"] {
                    let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
                }
            }
            made(group.clone())?;
            // A new cpuset is empty, and no process may join an empty one.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let (from, to) = (parent.join(file), group.join(file));
                if !is_unified() && to.exists() {
                    let set = fs::read_to_string(&from);
                    let set = set.map_err(SandboxError::file("read", from))?;
                    fs::write(&to, set.trim()).map_err(SandboxError::file("write", to))?;
                }
            }
        }
    }
    Ok(())
}

/// Directory of the group of a cloud's own processes; made if it is not there.
pub(crate) fn system_directory(cloud: Cloud) -> Result<PathBuf, SandboxError> {
    made(cloud_directory(cloud).join("system"))
}

/// Directory of the group of the sandbox's own processes; made if it is not there.
pub(crate) fn sandbox_directory() -> Result<PathBuf, SandboxError> {
    made(tracking_root().join(OURS).join("sandbox"))
}

/// Kills every process of a cloud, stopped or not.
pub(crate) async fn kill_cloud(cloud: Cloud) -> Result<(), SandboxError> {
    kill_all(&cloud_directory(cloud)).await
}

/// Kills every process of the sandbox and removes its groups.
pub(crate) async fn remove_all() -> Result<(), SandboxError> {
    kill_all(&tracking_root().join(OURS)).await?;
    // Every directory, the empty unified hierarchy beside v1 too: runc writes there.
    for hierarchy in directories_in(Path::new(ROOT)).chain([PathBuf::from(ROOT)]) {
        remove_tree(&hierarchy.join(OURS)).await?;
    }
    Ok(())
}

/// Ids of every process of a cloud.
pub(crate) fn cloud_processes(cloud: Cloud) -> BTreeSet<i32> {
    processes(&cloud_directory(cloud))
}

/// Ids of every process of the sandbox.
pub(crate) fn all_processes() -> BTreeSet<i32> {
    processes(&tracking_root().join(OURS))
}

/// Whether groups of ours are there.
pub(crate) fn exists() -> bool {
    tracking_root().join(OURS).exists()
}

/// Whether the machine mounts what the sandbox needs.
pub(crate) fn usable() -> bool {
    is_unified() || Path::new(ROOT).join("freezer/cgroup.procs").exists()
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn tracking_root() -> PathBuf {
    if is_unified() {
        PathBuf::from(ROOT)
    } else {
        PathBuf::from(ROOT).join("freezer")
    }
}

fn cloud_directory(cloud: Cloud) -> PathBuf {
    tracking_root().join(OURS).join(cloud.name())
}

fn hierarchies() -> Vec<PathBuf> {
    if is_unified() {
        return vec![PathBuf::from(ROOT)];
    }
    // Beside the v1 hierarchies there may be an empty unified one.
    let all = directories_in(Path::new(ROOT));
    all.filter(|path| path.join("tasks").exists()).collect()
}

fn directories_in(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path())
}

fn made(directory: PathBuf) -> Result<PathBuf, SandboxError> {
    host::make_directory(&directory)?;
    Ok(directory)
}

fn directories_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for inner in directories_in(directory) {
        directories_below(&inner, found);
    }
    found.push(directory.to_owned());
}

fn processes(directory: &Path) -> BTreeSet<i32> {
    let mut directories = Vec::new();
    directories_below(directory, &mut directories);
    let lists = directories
        .iter()
        .filter_map(|directory| fs::read_to_string(directory.join("cgroup.procs")).ok());
    lists
        .flat_map(|list| {
            list.lines()
                .filter_map(|line| line.trim().parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

async fn kill_all(directory: &Path) -> Result<(), SandboxError> {
    const LIMIT: Duration = Duration::from_secs(30);
    let start = clock::now();
    loop {
        // Nothing of ours freezes groups; a frozen process dies only after it is thawed.
        let mut directories = Vec::new();
        directories_below(directory, &mut directories);
        for group in &directories {
            let file = if is_unified() {
                "cgroup.freeze"
            } else {
                "freezer.state"
            };
            let word = if is_unified() { "0" } else { "THAWED" };
            // A group may vanish between looking and writing.
            let _ = fs::write(group.join(file), word);
        }
        let left = processes(directory);
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            return Err(SandboxError::Unfit(format!(
                "processes {left:?} of the sandbox do not die; see `ps` for what they wait for"
            )));
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn remove_tree(directory: &Path) -> Result<(), SandboxError> {
    if !directory.exists() {
        return Ok(());
    }
    let mut directories = Vec::new();
    directories_below(directory, &mut directories);
    for group in directories {
        let mut tries = 100;
        loop {
            match fs::remove_dir(&group) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                // The kernel takes a moment to let go of the last process.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(source) => return Err(SandboxError::file("remove", group)(source)),
            }
        }
    }
    Ok(())
}
