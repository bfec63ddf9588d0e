//! Installs what the tests need on a machine that has only the toolchains.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context as _, ensure};

use crate::shell::{cache_dir, on_path, output, run, run_command, say};

/// Programs that Debian has, with the package that brings each.
const DEBIAN: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("buildah", "buildah"),
    ("chromium", "chromium"),
    ("docker-registry", "docker-registry"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("cmake", "cmake"),
    ("python3", "python3"),
];
/// Debian package without a program of its own on the PATH, with a file that it brings.
const CNI_PLUGINS: (&str, &str) = ("/usr/lib/cni/ptp", "containernetworking-plugins");

/// Another program may be installing at this moment, and a mirror may be slow: wait for
/// either, and not for ever.
const APT_WAITS: &[&str] = &[
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "Acquire::Retries=3",
    "-o",
    "Acquire::http::Timeout=60",
    "-o",
    "Acquire::https::Timeout=60",
];

const CARGO_DENY_VERSION: &str = "0.20.2";

/// Installs missing Debian packages; says which.
pub(crate) fn debian_packages() -> anyhow::Result<()> {
    let mut missing: Vec<&str> = DEBIAN
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if !PathBuf::from(CNI_PLUGINS.0).exists() {
        missing.push(CNI_PLUGINS.1);
    }
    // Debian splits pip's bootstrap off from Python, whichever Python is first on the PATH.
    if output("python3", &["-c", "import ensurepip"]).is_err() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let user = output("id", &["-u"])?;
    ensure!(
        user.trim() == "0",
        "missing Debian packages: {}; run as root, or install them first",
        missing.join(" ")
    );
    say(format!("installing Debian packages: {}", missing.join(" ")));
    run("apt-get", &[APT_WAITS, &["update", "-qq"]].concat())?;
    without_services(|| {
        let mut command = std::process::Command::new("apt-get");
        command
            .args(APT_WAITS)
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run_command(&mut command)
    })
}

/// Lets packages start no service of theirs meanwhile: Debian asks this file, and 101
/// forbids it. Somebody else's policy stays as it is; one of exactly this text is what an
/// interrupted run left, the sandbox's too.
fn without_services(install: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    const OURS: &str = "#!/bin/sh\n# mcdeploy installs packages\nexit 101\n";
    let policy = PathBuf::from("/usr/sbin/policy-rc.d");
    if !policy.exists() {
        fs::write(&policy, OURS)?;
        fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))?;
    }
    let outcome = install();
    if fs::read_to_string(&policy).is_ok_and(|text| text == OURS) {
        fs::remove_file(&policy)?;
    }
    outcome
}

/// Path of `cargo-deny`, built once into the cache.
pub(crate) fn cargo_deny() -> anyhow::Result<PathBuf> {
    let root = cache_dir().join(format!("cargo-deny-{CARGO_DENY_VERSION}"));
    let binary = root.join("bin/cargo-deny");
    if binary.exists() {
        return Ok(binary);
    }
    say(format!(
        "building cargo-deny {CARGO_DENY_VERSION} into {}",
        root.display()
    ));
    let mut command = std::process::Command::new("cargo");
    command
        .args([
            "install",
            "cargo-deny",
            "--locked",
            "--no-default-features",
            "--quiet",
        ])
        .args(["--version", CARGO_DENY_VERSION, "--root"])
        .arg(&root)
        // It runs for a second; building it is what costs.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env_remove("CARGO_TARGET_DIR");
    run_command(&mut command).context("build cargo-deny")?;
    Ok(binary)
}
