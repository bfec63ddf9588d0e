//! Rules of the house that no compiler checks. One function a rule; all findings of
//! all rules are told at once.

mod street;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{
    prerequisites,
    shell::{output, run_command, say},
};

const MAX_LINES: usize = 800;
/// Other TLS stacks: one provider for the whole tree, so that no binary links two.
const FORBIDDEN_PACKAGES: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];
/// All that a pure crate may list, beside pure crates. Whatever is not here does I/O, needs
/// a runtime, or has not been looked at yet.
const PURE: [&str; 12] = [
    "hex",
    "jiff",
    "k8s-openapi",
    "kube", // without its client: see `arrow`
    "mcdeploy-api",
    "mcdeploy-eval",
    "mcdeploy-plan",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

/// Rings of the architecture, innermost first. An arrow goes inward only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ring {
    Pure,
    Adapter,
    Shell,
    Outer,
}

fn ring(package: &str) -> Option<Ring> {
    Some(match package {
        "mcdeploy-api" | "mcdeploy-eval" | "mcdeploy-plan" | "mcdeploy-manifests" => Ring::Pure,
        "mcdeploy-store" | "mcdeploy-registry" | "mcdeploy-cluster" | "mcdeploy-probe"
        | "mcdeploy-evaluate" => Ring::Adapter,
        "mcdeploy-exec" | "mcdeploy-operator" | "mcdeploy-gateway" | "mcdeploy-agent" => {
            Ring::Shell
        }
        "mcdeploy"
        | "mcdeployd"
        | "mcserve"
        | "mcdeploy-sandbox"
        | "mcdeploy-bench"
        | "mcdeploy-bench-eval"
        | "mcdeploy-e2e"
        | "xtask" => Ring::Outer,
        _ => return None,
    })
}

/// Runs every rule.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = metadata()?;
    let mut findings = vec![];
    findings.extend(long_files()?);
    findings.extend(manifests_inherit_lints(&metadata)?);
    findings.extend(rings_hold(&metadata));
    findings.extend(street::street_holds()?);
    findings.extend(one_tls_stack()?);
    findings.extend(documents_exist());
    for finding in &findings {
        say(format!("tidy: {finding}"));
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    cargo_deny()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    features: Vec<String>,
}

impl Metadata {
    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }
}

fn metadata() -> anyhow::Result<Metadata> {
    let text = output(
        "cargo",
        &[
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ],
    )?;
    serde_json::from_str(&text).context("read `cargo metadata`")
}

fn long_files() -> anyhow::Result<Vec<String>> {
    let files = output(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard"],
    )?;
    let sources = [".rs", ".py", ".go", ".sh", ".tf", ".toml"];
    let mut findings = vec![];
    for file in files
        .lines()
        .filter(|file| sources.iter().any(|end| file.ends_with(end)))
    {
        if !Path::new(file).exists() {
            continue; // deleted and not yet committed
        }
        let lines = fs::read_to_string(file)
            .with_context(|| format!("read {file}"))?
            .lines()
            .count();
        if lines > MAX_LINES {
            findings.push(format!(
                "{file} has {lines} lines, more than {MAX_LINES}: make two rooms"
            ));
        }
    }
    Ok(findings)
}

fn manifests_inherit_lints(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let mut findings = vec![];
    for package in metadata.members() {
        let path = &package.manifest_path;
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        if !text.contains("[lints]\nworkspace = true") {
            findings.push(format!(
                "{} does not inherit the workspace's lints",
                package.name
            ));
        }
    }
    Ok(findings)
}

fn rings_hold(metadata: &Metadata) -> Vec<String> {
    let mut findings = vec![];
    for package in metadata.members() {
        let Some(own) = ring(&package.name) else {
            findings.push(format!(
                "{} has no ring: name it in xtask/src/tidy.rs",
                package.name
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind.is_none()) {
            findings.extend(arrow(&package.name, own, dependency));
        }
    }
    findings
}

fn arrow(package: &str, own: Ring, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if own == Ring::Pure && !PURE.contains(&name) {
        return Some(format!(
            "{package} is pure and lists {name}: if that does no I/O, name it in xtask/src/tidy.rs"
        ));
    }
    let client = dependency
        .features
        .iter()
        .any(|f| f == "client" || f == "runtime");
    if own == Ring::Pure && name == "kube" && client {
        return Some(format!("{package} is pure and lists kube with its client"));
    }
    let other = ring(name)?;
    if other > own {
        return Some(format!(
            "{package} ({own:?}) depends on {name} ({other:?}): arrows go inward"
        ));
    }
    if own == Ring::Adapter && other == Ring::Adapter {
        return Some(format!(
            "{package} depends on {name}: adapters do not know each other"
        ));
    }
    None
}

fn one_tls_stack() -> anyhow::Result<Vec<String>> {
    // `cargo metadata` lists packages of features that nobody turned on; `cargo tree` does not.
    let args = [
        "tree",
        "--workspace",
        "--locked",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let tree = output("cargo", &args)?;
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let found = FORBIDDEN_PACKAGES
        .iter()
        .filter(|name| names.contains(**name));
    Ok(found
        .map(|name| format!("{name} is in the tree; see `cargo tree -i {name}`"))
        .collect())
}

fn documents_exist() -> Vec<String> {
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "deny.toml",
    ]
    .iter()
    .filter(|path| !Path::new(path).exists())
    .map(|path| format!("{path} is missing"))
    .collect()
}

fn cargo_deny() -> anyhow::Result<()> {
    // It looks at every platform's dependencies, and builds bring this one's only.
    run_command(Command::new("cargo").args(["fetch", "--locked", "--quiet"]))?;
    let mut command = Command::new(prerequisites::cargo_deny()?);
    command.args(["--offline", "--log-level", "error"]);
    command.args([
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    run_command(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow_to(package: &str, name: &str, features: &[&str]) -> Option<String> {
        let dependency = Dependency {
            name: name.to_owned(),
            kind: None,
            features: features.iter().map(|&f| f.to_owned()).collect(),
        };
        arrow(package, ring(package)?, &dependency)
    }

    #[test]
    fn arrows_go_inward() {
        assert!(ring("mcdeploy-operator").is_some() && ring("mcdeploy-store").is_some());
        assert_eq!(arrow_to("mcdeploy-operator", "mcdeploy-store", &[]), None);
        assert_eq!(arrow_to("mcdeploy-store", "mcdeploy-api", &[]), None);
        for (package, name) in [
            ("mcdeploy-plan", "mcdeploy-store"),
            ("mcdeploy-store", "mcdeploy-exec"),
            ("mcdeploy-gateway", "mcdeployd"),
            ("mcdeploy-store", "mcdeploy-registry"),
        ] {
            assert!(arrow_to(package, name, &[]).is_some(), "{package} > {name}");
        }
    }

    #[test]
    fn a_pure_crate_lists_only_what_is_known_to_do_no_io() {
        assert_eq!(arrow_to("mcdeploy-api", "serde", &[]), None);
        assert_eq!(arrow_to("mcdeploy-api", "kube", &["derive"]), None);
        assert!(arrow_to("mcdeploy-api", "kube", &["client"]).is_some());
        for impure in ["tokio", "aws-config", "oci-client", "hyper-util", "rustls"] {
            assert!(arrow_to("mcdeploy-plan", impure, &[]).is_some(), "{impure}");
            assert_eq!(arrow_to("mcdeploy-store", impure, &[]), None);
        }
    }
}
