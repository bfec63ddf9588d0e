//! What the machine was like before the sandbox: enough to put it back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{SandboxError, host, paths, world::BOUND};

/// Settings of the kernel that a kubelet, containerd or CNI changes for the whole
/// machine.
const SYSCTLS: [&str; 11] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// Files that iptables and others leave behind.
const LEFT_BEHIND: [&str; 1] = ["/run/xtables.lock"];

/// The record, in `record.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    sysctls: BTreeMap<String, String>,
    /// Paths that were not there, deepest first.
    absent: Vec<PathBuf>,
}

impl Record {
    /// The record of the running sandbox.
    pub(crate) fn load() -> Result<Option<Self>, SandboxError> {
        let path = paths::record();
        let Some(text) = host::read(&path)? else {
            return Ok(None);
        };
        let parsed = serde_json::from_str(&text);
        parsed.map_err(|source| SandboxError::Damaged { path, source })
    }

    /// Looks at the machine and writes the record.
    pub(crate) fn take() -> Result<Self, SandboxError> {
        let known = |name: &&str| -> Option<(String, String)> {
            let value = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
            Some(((*name).to_owned(), value.trim().to_owned()))
        };
        let mut absent = Vec::new();
        for path in BOUND.map(|(path, _)| path).into_iter().chain(LEFT_BEHIND) {
            let missing = Path::new(path)
                .ancestors()
                .take_while(|path| !path.exists());
            absent.extend(missing.map(Path::to_owned));
        }
        absent.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        absent.dedup();
        let record = Self {
            sysctls: SYSCTLS.iter().filter_map(known).collect(),
            absent,
        };
        let text = serde_json::to_string_pretty(&record).unwrap_or_default();
        host::write(&paths::record(), &text)?;
        Ok(record)
    }

    /// Makes the directories that stand in the host's tree only to be mounted over.
    pub(crate) fn make_mount_points() -> Result<(), SandboxError> {
        for (path, _) in BOUND {
            host::make_directory(Path::new(path))?;
        }
        Ok(())
    }

    /// Puts settings and paths back.
    pub(crate) fn restore(&self) -> Result<(), SandboxError> {
        for (name, before) in &self.sysctls {
            let path = Path::new("/proc/sys").join(name);
            let now = fs::read_to_string(&path).unwrap_or_default();
            if now.trim() != before {
                fs::write(&path, before).map_err(SandboxError::file("restore", path))?;
            }
        }
        for path in &self.absent {
            match fs::symlink_metadata(path) {
                // Somebody else may have moved in meanwhile: only what is empty goes.
                Ok(found) if found.is_dir() => drop(fs::remove_dir(path)),
                Ok(_) => host::remove(path)?,
                Err(_) => {}
            }
        }
        Ok(())
    }
}
