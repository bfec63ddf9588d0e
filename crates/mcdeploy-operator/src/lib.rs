//! The control plane: reconcilers, leader election, metrics.
//!
//! One process leads, by a Lease, and runs four controllers; the others wait. Each
//! controller observes, validates, plans, executes and writes status, in that order, and
//! takes no hint of what changed: watches only say that it is time to look.
//!
//! | module | room |
//! |---|---|
//! | `leadership`, `classified` | who leads and drives the controllers; what it asks of their errors |
//! | `context` | what controllers share; names and settings apart from clients |
//! | `queue`, `watches` | when to look at what |
//! | `secrets` | Secrets that objects name |
//! | `members`, `stores`, `registries` | which clusters can be seen; which stores and registries can be used, and what is in them |
//! | `copies` | how far transfers are, by their own word, and for how long copies are wanted |
//! | `member_cluster_controller` | `MemberCluster`: can it be seen, where is its gateway |
//! | `artifact_store_controller` | `ArtifactStore`: can it be used |
//! | `model_version_controller` | `ModelVersion`: which copies are whole |
//! | `model_deployment_controller` | `ModelDeployment`, `ModelRollout`, `TrafficPolicy`: the rollout |
//! | `admin`, `metrics` | `/healthz`, `/readyz`, `/metrics` |
//!
//! **Invariant:** nothing is written to a member cluster, nor decided about traffic,
//! because a cluster cannot be seen.

mod admin;
mod artifact_store_controller;
mod classified;
mod clock;
mod context;
mod copies;
mod leadership;
mod member_cluster_controller;
mod members;
mod metrics;
mod model_deployment_controller;
mod model_version_controller;
mod queue;
mod registries;
mod secrets;
mod stores;
mod watches;

pub use context::{OpenStore, Pace, Settings, store_opener};
pub use copies::{FollowLog, log_follower};
pub use leadership::{RunError, lead, run};
