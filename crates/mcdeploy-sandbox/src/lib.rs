//! Three clouds and a hub on one machine, for tests and demos.
//!
//! Everything here is real but the size: kube-apiservers, kubelets, containerd,
//! registries and object-store servers, each cloud in a network namespace of its
//! own. Product code never depends on this crate; the CLI mounts
//! [`SandboxArgs`] and tests use [`testing`].
//!
//! Map: [`tools`] builds what no package manager carries · [`testing`] starts single
//! servers on loopback.

mod azure_sas;
mod clock;
mod kubeconfig;
mod paths;
mod pki;
mod say;
mod store_servers;
pub mod testing;
pub mod tools;

pub use say::Say;
