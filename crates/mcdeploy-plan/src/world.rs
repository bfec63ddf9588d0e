//! What was observed, and questions about it. The planner knows nothing else.

mod deployment;
mod evidence;
mod member;
mod selection;
mod store;
mod timings;
mod traffic;

use std::collections::BTreeMap;

use jiff::Timestamp;
use mcdeploy_api::{ClusterStatus, ModelVersionSpec, PinnedImage, Sha256Digest};

pub use deployment::{DeploymentFacts, RolloutFacts, last_complete_revision};
pub use evidence::{ProbeFacts, RefusedFacts};
pub use member::{
    MemberFacts, MemberView, ObjectFacts, Problem, Sight, SnapshotFacts, StagingFacts,
};
pub(crate) use selection::unmatched;
pub use selection::{placed, waves};
pub use store::{
    ImageCopyFacts, ImageState, ReplicaFacts, StoreFacts, TransferFacts, TransferState,
};
pub use timings::Timings;
pub use traffic::PolicyFacts;

use crate::{
    names::{ClusterName, RevisionId, StoreName},
    revision::RevisionRecord,
};

/// Everything that was observed about one `ModelDeployment`.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Time of the observation.
    pub now: Timestamp,
    /// Term of the leader that plans; new epochs have at least this term.
    pub term: i64,
    /// How long to wait for what.
    pub timings: Timings,
    /// The deployment itself.
    pub deployment: DeploymentFacts,
    /// The model version that it names; `None`: it does not exist.
    pub model_version: Option<ModelVersionSpec>,
    /// Recorded revisions by id.
    pub records: BTreeMap<RevisionId, RevisionRecord>,
    /// Records of this deployment's rollouts.
    pub rollouts: Vec<RolloutFacts>,
    /// The traffic policy that refers to the deployment; `None`: there is none yet.
    pub policy: Option<PolicyFacts>,
    /// Every member cluster by name, placed or not.
    pub members: BTreeMap<ClusterName, MemberFacts>,
    /// Every artifact store by name.
    pub stores: BTreeMap<StoreName, StoreFacts>,
    /// Copies that were looked at, by store and manifest digest. Which to look at:
    /// [`asks`](crate::asks).
    pub replicas: BTreeMap<(StoreName, Sha256Digest), ReplicaFacts>,
    /// Images that registries were asked for. Which to ask for: [`asks`](crate::asks).
    pub images: BTreeMap<PinnedImage, ImageState>,
    /// Upkeep that was refused, by [`Action::upkeep`](crate::Action::upkeep).
    pub upkeep: BTreeMap<String, RefusedFacts>,
    /// Copies whose transfer was refused, by store and manifest digest.
    pub refused_copies: BTreeMap<(StoreName, Sha256Digest), RefusedFacts>,
}

impl World {
    /// A member cluster that can be seen.
    pub(crate) fn seen(&self, cluster: &str) -> Option<(&MemberFacts, &MemberView)> {
        let member = self.members.get(cluster)?;
        Some((member, member.seen()?))
    }

    /// What users were last told about a cluster.
    pub(crate) fn row(&self, cluster: &str) -> Option<&ClusterStatus> {
        let mut rows = self.deployment.status.clusters.iter();
        rows.find(|row| row.cluster == cluster)
    }
}
