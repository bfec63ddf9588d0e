//! Decisions: validate, then plan.
//!
//! [`plan`] takes a [`World`], everything that was observed about one
//! `ModelDeployment`, and answers with what to do next and what is waited for;
//! [`status`] says the same to users. Both are pure and total: no clock, no client, no
//! randomness, no error. Calling them again with the same world gives the same answer,
//! and once nothing is left to do the plan is empty.
//!
//! **Invariants** (property-tested in `tests/stories/properties.rs`): a weight is raised only for
//! a cluster that is seen, whose store's copy is verified and whose gateway was probed;
//! nothing is deleted in a cluster that is not seen; the epoch only rises.

#![deny(clippy::wildcard_enum_match_arm)]

mod decide;
mod eviction;
pub mod gc;
mod history;
mod images;
mod lag;
mod leave;
mod memory;
mod placement;
mod replication;
mod retire;
mod revision;
mod rollout;
mod staging;
mod status;
mod traffic;
pub mod transfer;
mod validate;
mod version;
mod world;

pub use decide::{Action, DecideTraffic, Plan, StartTransfer, Step, Waiting, plan};
pub use eviction::{CachedFacts, Room, evictions};
pub use images::{ImageWanted, StartImageCopy, images_wanted};
pub use lag::{Lag, Lags, SLO_SECONDS, copies_lacking};
pub use memory::Memory;
pub use placement::{placed, waves};
pub use revision::{RevisionRecord, input_hash};
pub use rollout::{ProbeWanted, ReplicaWanted, probes_wanted, replicas_wanted};
pub use staging::{Stage, StageVersion, StagingFacts, staging_owner};
pub use status::{Statuses, status};
pub use validate::{Invalid, last_complete_revision};
pub use version::version_status;
pub use world::{
    DeploymentFacts, ImageCopyFacts, ImageState, MemberFacts, MemberView, ObjectFacts, PolicyFacts,
    ProbeFacts, Problem, RefusedFacts, ReplicaFacts, RolloutFacts, Sight, SnapshotFacts,
    StoreFacts, Timings, TransferFacts, TransferState, World,
};
