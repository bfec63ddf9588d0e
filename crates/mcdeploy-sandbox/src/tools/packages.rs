//! Programs that come from Debian.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, process::Command};

use super::{ToolError, run};
use crate::Say;

/// A Debian package, and a file that shows that it is installed.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    name: &'static str,
    /// A name that is looked for in the usual directories, or a path.
    file: &'static str,
}

const fn package(name: &'static str, file: &'static str) -> Package {
    Package { name, file }
}

/// What a whole sandbox needs.
pub const SANDBOX_PACKAGES: &[Package] = &[
    package("buildah", "buildah"),
    package("conntrack", "conntrack"),
    package("containerd", "containerd"),
    package("containernetworking-plugins", "/usr/lib/cni/ptp"),
    package("docker-registry", "docker-registry"),
    package("iproute2", "ip"),
    package("iptables", "iptables"),
    package("nftables", "nft"),
    package("nodejs", "node"),
    package("npm", "npm"),
    package("runc", "runc"),
    package("util-linux", "nsenter"),
];

const DIRECTORIES: [&str; 5] = [
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/opt/bin",
];

/// Installs what is missing of `packages` by `apt-get`, and says so.
///
/// # Errors
/// Not root with something missing, or `apt-get` failed.
pub fn ensure_packages(packages: &[Package], say: &Say) -> Result<(), ToolError> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        let packages = missing.join(" ");
        return Err(ToolError::NeedsRoot { packages });
    }
    say.line(format!("installing from Debian: {}", missing.join(" ")));
    let _no_services = NoServices::start();
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    let hint = "the sandbox runs on Debian 12";
    let install = |missing: &[&str]| {
        let mut install = apt();
        install.args(["install", "--yes", "--no-install-recommends"]);
        run(install.args(missing), Path::new("/"), "apt-get", hint)
    };
    if install(&missing).is_ok() {
        return Ok(());
    }
    // The package lists may be older than the archive.
    run(apt().arg("update"), Path::new("/"), "apt-get", hint)?;
    install(&missing)
}

/// While it lives, packages that are installed start no service of theirs: what runs is
/// started by the sandbox, and ends with it.
struct NoServices {
    is_ours: bool,
}

impl NoServices {
    /// What Debian asks before it starts a service; 101 forbids it.
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn start() -> Self {
        // Somebody else's policy stays as it is.
        let mut options = fs::File::options();
        let file = options.write(true).create_new(true).mode(0o755);
        let is_ours = file
            .open(Self::POLICY)
            .is_ok_and(|mut file| file.write_all(b"#!/bin/sh\nexit 101\n").is_ok());
        Self { is_ours }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    let absent = |package: &&Package| {
        !DIRECTORIES
            .iter()
            .any(|directory| Path::new(directory).join(package.file).exists())
    };
    packages
        .iter()
        .filter(absent)
        .map(|package| package.name)
        .collect()
}
