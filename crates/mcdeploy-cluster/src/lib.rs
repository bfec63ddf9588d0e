//! Clients of member clusters: observe, server-side apply, prune.
//!
//! Every call goes through [`ClusterClient`], which gives it a deadline, bounded
//! retries and a typed error. Nothing here decides anything: callers switch on
//! [`ClusterError::class`] and on [`Observation`].
//!
//! | module | room |
//! |---|---|
//! | `kubeconfig` | which kubeconfigs are used at all, and why others are refused |
//! | `load` | the kubeconfig of whoever runs a command, as kubectl finds it |
//! | `proxy` | which proxy a cluster is reached through, and a client that goes through it |
//! | `client` | one call: deadline, retry, bounded body, error |
//! | `observe` | what is known about an object: absent, unknown or known |
//! | `pods` | why pods are not ready, in one word of [`mcdeploy_api::Reason`] |
//! | `next_step` | what to do about a refusal |
//! | `gateway` | where a member's gateway answers, and which pods it has |
//! | `logs` | what a Job's pod says while it runs |
//! | [`lease`] | leader election on `coordination.k8s.io/Lease` |
//! | `register` | what `mcdeploy clusters add` does |

mod client;
mod clock;
mod error;
mod gateway;
mod kubeconfig;
pub mod lease;
mod load;
mod logs;
mod next_step;
mod observe;
mod pods;
mod proxy;
mod register;

pub use client::{ApiObject, ClientSettings, ClusterClient, Delete, Fence, Force};
pub use error::{Call, ClusterError};
pub use gateway::{GATEWAY_SELECTOR, GatewayPod, ready_addresses, service_address};
pub use kubeconfig::{
    Endpoint, KubeconfigRefused, MAX_KUBECONFIG_BYTES, parse_kubeconfig, token_kubeconfig,
};
pub use load::{LoadError, LoadedConfig, load_config};
pub use next_step::with_next_step;
pub use observe::{Observation, Unseen};
pub use pods::{PodProblem, first_problem, pod_problem, ready_pods, termination_message};
pub use proxy::{ProxyError, kube_client, proxy_name};
pub use register::{MemberRegistration, RegisterError, Registered, register_member};
