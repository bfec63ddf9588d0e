//! Where the sandbox keeps things. The environment is read here and nowhere else.

use std::path::PathBuf;

/// Built tools, kept between runs: `$XDG_CACHE_HOME/mcdeploy/tools`.
pub(crate) fn tools_cache() -> PathBuf {
    let cache = variable("XDG_CACHE_HOME").map_or_else(
        || {
            variable("HOME")
                .map_or_else(|| PathBuf::from("/root"), PathBuf::from)
                .join(".cache")
        },
        PathBuf::from,
    );
    cache.join("mcdeploy/tools")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this module reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
