//! Clients of member clusters: observe, server-side apply, prune.
