//! Where the sandbox keeps things. The environment is read here and nowhere else.

use std::path::PathBuf;

use crate::Cloud;

/// Everything about a running sandbox is in this directory.
pub(crate) const STATE: &str = "/var/lib/mcdeploy-sandbox";
/// Held by every command that changes the sandbox.
pub(crate) const LOCK: &str = "/run/mcdeploy-sandbox.lock";

/// What the machine was like before.
pub(crate) fn record() -> PathBuf {
    PathBuf::from(STATE).join("record.json")
}

/// Everything about one cloud.
pub(crate) fn cloud(cloud: Cloud) -> PathBuf {
    PathBuf::from(STATE).join(cloud.name())
}

/// Kubeconfig of a cloud's administrator.
pub(crate) fn kubeconfig(of: Cloud) -> PathBuf {
    cloud(of).join("pki/admin.kubeconfig")
}

/// Built tools, kept between runs: `$XDG_CACHE_HOME/mcdeploy/tools`.
pub(crate) fn tools_cache() -> PathBuf {
    cache().join("tools")
}

/// Built images, kept between runs.
pub(crate) fn images_cache() -> PathBuf {
    cache().join("images")
}

fn cache() -> PathBuf {
    let home = || variable("HOME").unwrap_or_else(|| "/root".to_owned());
    let cache = variable("XDG_CACHE_HOME");
    cache
        .map_or_else(|| PathBuf::from(home()).join(".cache"), PathBuf::from)
        .join("mcdeploy")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this module reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
