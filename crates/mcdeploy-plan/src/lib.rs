//! Decisions: validate, then plan.
//!
//! [`plan`] takes a [`World`], everything that was observed about one
//! `ModelDeployment`, and answers with what to do next and what is waited for;
//! [`status`] says the same to users, and [`asks`] what is still to be observed. All are
//! pure and total: no clock, no client, no
//! randomness, no error. Calling them again with the same world gives the same answer,
//! and once nothing is left to do the plan is empty.
//!
//! **Invariants** (property-tested in `tests/stories/properties.rs`): a weight is raised only for
//! a cluster that is seen, whose store's copy is verified and whose gateway was probed;
//! nothing is deleted in a cluster that is not seen; the epoch only rises.

#![deny(clippy::wildcard_enum_match_arm)]

mod action;
mod artifact;
mod asks;
mod memory;
mod names;
mod placement;
mod plan;
mod revision;
mod rollout;
mod status;
mod traffic;
mod upkeep;
mod validate;
mod world;

pub use action::{
    Action, ApplyRevision, DecideTraffic, Invalid, Plan, Stage, StageFetch, StageVersion,
    StartImageCopy, StartTransfer, Step, Waiting,
};
pub use artifact::{staging_owner, transfer};
pub use asks::{Ask, CopyAsk, ImageAsk, ProbeAsk};
pub use memory::Memory;
pub use names::{ClusterName, RevisionId, StoreName};
pub use plan::{asks, plan};
pub use revision::{RevisionRecord, input_hash};
pub use status::{Lag, Lags, SLO_SECONDS, Statuses, copies_lacking, status, version_status};
pub use upkeep::{CachedFacts, Room, evictions, gc};
pub use world::{
    DeploymentFacts, ImageCopyFacts, ImageState, MemberFacts, MemberView, ObjectFacts, PolicyFacts,
    ProbeFacts, Problem, RefusedFacts, ReplicaFacts, RolloutFacts, Sight, SnapshotFacts,
    StagingFacts, StoreFacts, Timings, TransferFacts, TransferState, World, last_complete_revision,
    placed, waves,
};
