//! Three clouds and a hub on one machine, for tests and demos.
//!
//! Everything here is real but the size: kube-apiservers, kubelets, containerd,
//! registries and object-store servers, each cloud in a network namespace of its
//! own. Product code never depends on this crate; the CLI mounts
//! [`SandboxArgs`] and tests use [`testing`].
//!
//! Map: [`tools`] builds what no package manager carries · [`testing`] starts single
//! servers on loopback · `lifecycle` is up and down · `world` is the room of a cloud:
//! namespaces and link · `node` is what runs in it · `faults` breaks and heals ·
//! `serve` hands out load balancer addresses · `record` knows what the machine was
//! like before.
//!
//! **Invariant:** every process of the sandbox is in a control group below
//! `/mcdeploy`, and every mount in a namespace that goes with its last process, so
//! that `down` finds all without remembering any.

mod api;
mod args;
mod azure_sas;
mod cgroup;
mod clock;
mod cloud;
mod error;
mod faults;
mod host;
mod images;
mod install;
mod kubeconfig;
mod lifecycle;
mod node;
mod paths;
mod pause;
mod pki;
mod preflight;
mod process;
mod record;
mod say;
mod serve;
mod status;
mod store_servers;
pub mod testing;
pub mod tools;
mod world;

pub use args::{ImagesArgs, OutageArgs, SandboxArgs, StatusArgs, UpArgs, run};
pub use cloud::{API_PORT, Cloud, REGISTRY_NAME, REGISTRY_PORT};
pub use error::SandboxError;
pub use faults::Fault;
pub use images::{IMAGE_NAMES, IMAGE_TAG, Image};
pub use say::Say;
pub use status::{CloudStatus, Status};
