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
    let _no_services = NoServices::start(Path::new(POLICY));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        // Another program may be installing, and a mirror may be slow: not for ever.
        for option in [
            "DPkg::Lock::Timeout=300",
            "Acquire::Retries=3",
            "Acquire::http::Timeout=60",
            "Acquire::https::Timeout=60",
        ] {
            apt.args(["-o", option]);
        }
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
    policy: &'static Path,
}

/// What Debian asks before it starts a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Its text while packages are installed; 101 forbids. By the comment a file that an
/// interrupted run left behind is known as ours.
const NO_SERVICES: &str = "#!/bin/sh\n# mcdeploy installs packages\nexit 101\n";

impl NoServices {
    /// Somebody else's policy stays as it is.
    fn start(policy: &'static Path) -> Self {
        let mut options = fs::File::options();
        let file = options.write(true).create_new(true).mode(0o755);
        if let Ok(mut file) = file.open(policy) {
            // Without it services start, and nothing worse.
            let _ = file.write_all(NO_SERVICES.as_bytes());
        }
        Self { policy }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        remove_policy(self.policy);
    }
}

/// Lets packages start services again, where an interrupted run of ours forbade it.
pub(crate) fn allow_services() {
    remove_policy(Path::new(POLICY));
}

fn remove_policy(policy: &Path) {
    if fs::read_to_string(policy).is_ok_and(|text| text == NO_SERVICES) {
        let _ = fs::remove_file(policy);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_was_left_behind_is_removed_and_somebody_elses_stays() {
        let dir = tempfile::tempdir().unwrap();
        let policy: &'static Path = dir.path().join("policy-rc.d").leak();
        drop(NoServices::start(policy));
        assert!(!policy.exists());
        // Interrupted: nothing removes it.
        std::mem::forget(NoServices::start(policy));
        assert_eq!(fs::read_to_string(policy).unwrap(), NO_SERVICES);
        drop(NoServices::start(policy));
        assert!(!policy.exists());
        fs::write(policy, "#!/bin/sh\nexit 101\n").unwrap();
        drop(NoServices::start(policy));
        assert!(policy.exists());
    }
}
