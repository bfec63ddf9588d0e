//! A member cluster and what is in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mcdeploy_api::{
    AppliedEpoch, ImageRegistry, NodeCache, Provider, Reason, RevisionRoute, RoutingSnapshotSpec,
    Sha256Digest, StagedState,
};

use crate::names::{RevisionId, StoreName};

use super::{ImageCopyFacts, ProbeFacts, TransferFacts};

/// A `MemberCluster` and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberFacts {
    /// Its provider.
    pub provider: Provider,
    /// The store that its pods read from.
    pub store: StoreName,
    /// The registry that its pods pull from; `None`: what the deployment names.
    pub registry: Option<ImageRegistry>,
    /// The cache of its nodes; `None`: pods read from the store.
    pub cache: Option<NodeCache>,
    /// `host:port` of its gateway, last known.
    pub gateway: Option<String>,
    /// What is in the cluster, if it can be seen.
    pub sight: Sight,
    /// Since when every gateway is seen routing by the present snapshot.
    pub applied_since: Option<Timestamp>,
    /// Since when the rollout's step here is seen under way for the same reason.
    pub running_since: Option<Timestamp>,
    /// The revision that pods here wait with for the caches of nodes, or waited, and since
    /// when.
    pub staging_since: Option<(RevisionId, Timestamp)>,
    /// A write that the cluster refused for good, of which revision, and why.
    pub refused: Option<(RevisionId, String)>,
    /// The probe of this pass, if one was wanted.
    pub probe: Option<ProbeFacts>,
}

/// Whether a cluster can be seen. What cannot be seen is frozen.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// It cannot, and nothing is concluded from that.
    Unknown {
        /// Why, in one word.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// It can, completely.
    Seen(Box<MemberView>),
}

/// The contents of a member cluster, as far as this deployment goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberView {
    /// The routing snapshot, if there is one.
    pub snapshot: Option<SnapshotFacts>,
    /// Objects by revision.
    pub revisions: BTreeMap<RevisionId, ObjectFacts>,
    /// Transfer Jobs of versions that may be wanted that run in this cluster.
    pub transfers: Vec<TransferFacts>,
    /// Jobs that copy images that may be wanted and run in this cluster.
    pub image_copies: Vec<ImageCopyFacts>,
    /// What the caches of the nodes are told, and say.
    pub staging: StagingFacts,
    /// Ready gateway pods. Empty: not known, any gateway's word is taken.
    pub gateways: Vec<String>,
}

/// A `RoutingSnapshot`.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotFacts {
    /// What gateways are told.
    pub spec: RoutingSnapshotSpec,
    /// What they say that they do.
    pub applied: Vec<AppliedEpoch>,
}

/// Deployment, Service and Secret of one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectFacts {
    /// Hash of the input that all of them were rendered from; `None`: one is missing
    /// or they differ.
    pub input_hash: Option<String>,
    /// Pods wanted.
    pub replicas: i32,
    /// Pods ready, of the newest template.
    pub ready: i32,
    /// What keeps pods from being ready, where it is known.
    pub problem: Option<Problem>,
}

/// Something that stops pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In one word.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// What the nodes of a cluster were told, and what they say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StagingFacts {
    /// Keys of this deployment.
    pub keys: BTreeSet<String>,
    /// How far each node is with each version, by node.
    pub nodes: BTreeMap<String, BTreeMap<Sha256Digest, StagedState>>,
}

impl MemberFacts {
    /// What is in the cluster, if it can be seen.
    pub fn seen(&self) -> Option<&MemberView> {
        match &self.sight {
            Sight::Unknown { .. } => None,
            Sight::Seen(view) => Some(view),
        }
    }
}

impl MemberView {
    /// Whether there is something of the deployment that requests may reach.
    pub(crate) fn holds_objects(&self) -> bool {
        self.snapshot.is_some() || !self.revisions.is_empty()
    }

    /// What gateways are told about a revision.
    pub(crate) fn route(&self, revision: &str) -> Option<&RevisionRoute> {
        let mut routes = self.snapshot.iter().flat_map(|now| &now.spec.revisions);
        routes.find(|route| route.revision == revision)
    }

    /// Whether every gateway routes by the present snapshot.
    pub fn applied(&self) -> bool {
        let Some(snapshot) = &self.snapshot else {
            return false;
        };
        let spec = &snapshot.spec;
        let mut current = snapshot
            .applied
            .iter()
            .filter(|a| a.epoch == spec.epoch && a.hash == spec.hash)
            .map(|a| a.gateway.as_str());
        if self.gateways.is_empty() {
            return current.next().is_some();
        }
        let current: Vec<_> = current.collect();
        self.gateways.iter().all(|g| current.contains(&g.as_str()))
    }

    /// Why a gateway refuses the present snapshot, if one does.
    pub fn refusal(&self) -> Option<String> {
        let snapshot = self.snapshot.as_ref()?;
        let mut refused = snapshot.applied.iter().filter_map(|a| {
            let live = self.gateways.is_empty() || self.gateways.contains(&a.gateway);
            let why = a.refused.as_ref().filter(|_| live)?;
            Some(format!("gateway {} refuses: {why}", a.gateway))
        });
        refused.next()
    }
}
