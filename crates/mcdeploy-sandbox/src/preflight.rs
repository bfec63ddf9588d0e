//! Whether this machine can carry a sandbox, asked before anything is changed.

use std::{fs, net::Ipv4Addr, path::Path};

use serde::Deserialize;

use crate::{
    Cloud, SandboxError, cgroup,
    cloud::{BRIDGE, NETWORK},
    host, paths,
};

const GIB: u64 = 1 << 30;
const DISK: u64 = 6 * GIB;
const MEMORY: u64 = 5 * GIB;
const KERNEL: (u32, u32) = (5, 10);

fn unfit(problem: impl Into<String>) -> SandboxError {
    SandboxError::Unfit(problem.into())
}

/// Whether this process may do what a sandbox takes.
pub(crate) fn check_root() -> Result<(), SandboxError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(unfit(
        "the sandbox needs root, for namespaces, mounts and cgroups: run it as root or with sudo",
    ))
}

/// Checks a machine without a sandbox.
pub(crate) async fn check_machine() -> Result<(), SandboxError> {
    check_programs()?;
    check_kernel()?;
    if !cgroup::usable() {
        return Err(unfit(
            "no usable cgroups at /sys/fs/cgroup: mount cgroup2 there, or the v1 freezer",
        ));
    }
    if cgroup::exists() {
        return Err(unfit(
            "the control group `mcdeploy` exists and no sandbox is recorded; \
             `mcdeploy sandbox down` removes it",
        ));
    }
    check_space()?;
    check_addresses().await
}

fn check_kernel() -> Result<(), SandboxError> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    kernel_problem(release.trim(), &filesystems).map_or(Ok(()), |problem| Err(unfit(problem)))
}

fn kernel_problem(release: &str, filesystems: &str) -> Option<String> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|word| word.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL {
        let (major, minor) = KERNEL;
        return Some(format!(
            "kernel {release} is too old: the sandbox needs {major}.{minor} or newer, as Debian 12 has"
        ));
    }
    let has_overlay = filesystems.lines().any(|line| line.ends_with("overlay"));
    (!has_overlay)
        .then(|| "the kernel has no overlay file system: try `modprobe overlay`".to_owned())
}

fn check_space() -> Result<(), SandboxError> {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let tools = paths::tools_cache();
    let mut places = vec![Path::new(paths::STATE)];
    // Where tools are still to be built; built ones take no more.
    if !tools.exists() {
        places.push(&tools);
    }
    for place in places {
        let (there, free) = free_bytes(place)?;
        if let Some(problem) = space_problem(there, free, &memory) {
            return Err(unfit(problem));
        }
    }
    Ok(())
}

/// The first directory above a place, or itself, that is there, and what is free on it.
fn free_bytes(place: &Path) -> Result<(&Path, u64), SandboxError> {
    let there = place.ancestors().find(|above| above.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    let space = rustix::fs::statvfs(there).map_err(|error| SandboxError::File {
        what: "look at",
        path: there.to_owned(),
        source: error.into(),
    })?;
    Ok((there, space.f_bavail * space.f_frsize))
}

/// `free` in bytes; `memory` as `/proc/meminfo` has it. Unknown memory is enough.
fn space_problem(parent: &Path, free: u64, memory: &str) -> Option<String> {
    if free < DISK {
        return Some(format!(
            "{} has {:.1} GiB free and the sandbox needs {} GiB there: make room",
            parent.display(),
            gib(free),
            DISK / GIB
        ));
    }
    let available = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(u64::MAX, |kib| kib * 1024);
    (available < MEMORY).then(|| {
        format!(
            "{:.1} GiB of memory are available and the sandbox needs {} GiB: end other programs",
            gib(available),
            MEMORY / GIB
        )
    })
}

/// Whether the programs are there that look at the machine; packages are installed later.
fn check_programs() -> Result<(), SandboxError> {
    let places = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"];
    if places.into_iter().any(|place| Path::new(place).exists()) {
        return Ok(());
    }
    Err(unfit(
        "the sandbox needs the program `ip`: apt-get install iproute2",
    ))
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

#[derive(Deserialize)]
struct Link {
    ifname: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    local: String,
}

#[derive(Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    dev: String,
}

/// Ports need no check: every listener is in a namespace of its own.
async fn check_addresses() -> Result<(), SandboxError> {
    let links = host::run(["ip", "-json", "-4", "address"]).await?;
    let links: Vec<Link> = parse(&links)?;
    let all = host::run(["ip", "-json", "link"]).await?;
    let all: Vec<Link> = parse(&all)?;
    let ours: Vec<_> = Cloud::ALL.into_iter().map(Cloud::link).collect();
    let taken = |name: &str| name == BRIDGE || ours.iter().any(|ours| ours == name);
    if let Some(link) = all.iter().find(|link| taken(&link.ifname)) {
        let name = &link.ifname;
        return Err(unfit(format!(
            "the link {name} exists and no sandbox is recorded; \
             `mcdeploy sandbox down` removes it"
        )));
    }
    for link in &links {
        if let Some(address) = link.addr_info.iter().find(|info| overlaps(&info.local)) {
            return Err(unfit(format!(
                "the address {} of {} is in {NETWORK}, which the sandbox needs: remove it for as \
                 long as the sandbox runs",
                address.local, link.ifname
            )));
        }
    }
    let routes = host::run(["ip", "-json", "-4", "route"]).await?;
    let routes: Vec<Route> = parse(&routes)?;
    if let Some(route) = routes.iter().find(|route| overlaps(&route.dst)) {
        return Err(unfit(format!(
            "the route {} by {} is in {NETWORK}, which the sandbox needs: remove it for as long \
             as the sandbox runs",
            route.dst, route.dev
        )));
    }
    Ok(())
}

fn parse<T: for<'a> Deserialize<'a>>(json: &str) -> Result<Vec<T>, SandboxError> {
    // `ip` prints nothing at all where there is nothing to show.
    let json = if json.trim().is_empty() { "[]" } else { json };
    serde_json::from_str(json).map_err(|source| SandboxError::Damaged {
        path: "the output of `ip -json`".into(),
        source,
    })
}

/// Whether an address, or a route's destination, lies in 10.203.0.0/24 or holds it. The
/// default route does not count.
fn overlaps(destination: &str) -> bool {
    let (address, length) = destination.split_once('/').unwrap_or((destination, "32"));
    let (Ok(address), Ok(length)) = (address.parse::<Ipv4Addr>(), length.parse::<u32>()) else {
        return false;
    };
    let shared = length.min(24);
    let mask = u32::MAX.checked_shl(32 - shared).unwrap_or(0);
    let ours = u32::from(Ipv4Addr::new(10, 203, 0, 0));
    length > 0 && u32::from(address) & mask == ours & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_seen_both_ways() {
        for taken in [
            "10.203.0.7",
            "10.203.0.0/24",
            "10.0.0.0/8",
            "10.203.0.128/25",
        ] {
            assert!(overlaps(taken), "{taken}");
        }
        for free in ["default", "0.0.0.0/0", "10.204.0.0/16", "192.0.2.0/24"] {
            assert!(!overlaps(free), "{free}");
        }
    }

    #[test]
    fn an_old_kernel_or_one_without_overlay_is_named() {
        let overlay = "nodev\tsysfs\nnodev\toverlay\n\text4\n";
        for fit in ["5.10.0-28-amd64", "6.1", "6.18.2"] {
            assert_eq!(kernel_problem(fit, overlay), None, "{fit}");
        }
        let old = kernel_problem("5.4.0", overlay).unwrap();
        assert!(old.contains("5.4.0") && old.contains("5.10"), "{old}");
        let bare = kernel_problem("6.1", "nodev\tsysfs\n").unwrap();
        assert!(bare.contains("modprobe overlay"), "{bare}");
    }

    #[test]
    fn no_disk_and_no_memory_are_told_with_what_is_there_and_what_is_needed() {
        let parent = Path::new("/var/lib");
        let memory = |kib: u64| format!("MemTotal: 1 kB\nMemAvailable:  {kib} kB\n");
        assert_eq!(space_problem(parent, DISK, &memory(8 << 20)), None);
        assert_eq!(space_problem(parent, DISK, ""), None);
        let disk = space_problem(parent, 3 * GIB / 2, &memory(8 << 20)).unwrap();
        assert_eq!(
            disk,
            "/var/lib has 1.5 GiB free and the sandbox needs 6 GiB there: make room"
        );
        let little = space_problem(parent, DISK, &memory(1 << 20)).unwrap();
        assert_eq!(
            little,
            "1.0 GiB of memory are available and the sandbox needs 5 GiB: end other programs"
        );
    }
}
