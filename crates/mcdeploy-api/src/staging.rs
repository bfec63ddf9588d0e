//! What the operator asks of the caches of a cluster's nodes, and what each answers.
//!
//! The question is one Secret ([`crate::names::STAGING_SECRET`]) with one value per
//! deployment and version, because it holds credentials; the answer is one `ConfigMap` per
//! node.

use serde::{Deserialize, Serialize};

use crate::{FetchPlan, Sha256Digest};

/// One value of the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagingEntry {
    /// Digest of the version's manifest. A node that has the version keeps it.
    pub digest: Sha256Digest,
    /// What each node is to fetch; left out: the version is only kept where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<FetchPlan>,
}

/// The answer of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCacheReport {
    /// Name of the node.
    pub node: String,
    /// One entry per version that it was told to fetch, sorted by digest.
    pub versions: Vec<StagedVersion>,
}

/// How far a node is with one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagedVersion {
    /// Digest of its manifest.
    pub digest: Sha256Digest,
    /// How far.
    pub state: StagedState,
    /// Why it failed; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How far a node is with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StagedState {
    /// On its way.
    Fetching,
    /// Whole, every byte checked.
    Staged,
    /// Not to be had now. It is tried again, later each time.
    Failed,
}
