//! What was observed. The planner knows nothing else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use mcdeploy_api::{
    AppliedEpoch, ImageRegistry, ModelDeploymentSpec, ModelDeploymentStatus, ModelRolloutSpec,
    ModelRolloutStatus, ModelVersionSpec, NodeCache, PinnedImage, Provider, Reason, ReplicaState,
    RoutingSnapshotSpec, Sha256Digest, TrafficPolicySpec, TrafficPolicyStatus,
};

use crate::{RevisionRecord, StagingFacts};

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
    pub records: BTreeMap<String, RevisionRecord>,
    /// Records of this deployment's rollouts.
    pub rollouts: Vec<RolloutFacts>,
    /// The traffic policy that refers to the deployment; `None`: there is none yet.
    pub policy: Option<PolicyFacts>,
    /// Every member cluster by name, placed or not.
    pub members: BTreeMap<String, MemberFacts>,
    /// Every artifact store by name.
    pub stores: BTreeMap<String, StoreFacts>,
    /// Copies that were looked at, by store and manifest digest. Which to look at:
    /// [`replicas_wanted`](crate::replicas_wanted).
    pub replicas: BTreeMap<(String, Sha256Digest), ReplicaFacts>,
    /// Images that registries were asked for. Which to ask for:
    /// [`images_wanted`](crate::images_wanted).
    pub images: BTreeMap<PinnedImage, ImageState>,
    /// Upkeep that was refused, by [`Action::upkeep`](crate::Action::upkeep).
    pub upkeep: BTreeMap<String, RefusedFacts>,
    /// Copies whose transfer was refused, by store and manifest digest.
    pub refused_copies: BTreeMap<(String, Sha256Digest), RefusedFacts>,
}

/// What was refused, and is tried again, later each time.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedFacts {
    /// Why it was refused the last time.
    pub message: String,
    /// It is not tried again before.
    pub rests_until: Timestamp,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// From "every gateway routes by the new snapshot" to the removal of what it no
    /// longer sends requests to.
    pub drain: SignedDuration,
    /// A cluster whose state does not change for this long holds later waves no more.
    pub progress_deadline: SignedDuration,
    /// Pods wait so long for the caches of nodes.
    pub staging: SignedDuration,
    /// A transfer that ended without a verified copy is started again after this.
    pub transfer_retry: SignedDuration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            drain: SignedDuration::from_secs(5),
            progress_deadline: SignedDuration::from_mins(5),
            staging: SignedDuration::from_mins(2),
            transfer_retry: SignedDuration::from_secs(60),
        }
    }
}

/// The `ModelDeployment`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentFacts {
    /// Its name.
    pub name: String,
    /// Its namespace, in the hub and in members.
    pub namespace: String,
    /// Generation of `spec`.
    pub generation: i64,
    /// What the user asks for.
    pub spec: ModelDeploymentSpec,
    /// What was last told to users. The rows stand in for clusters that are not seen.
    pub status: ModelDeploymentStatus,
    /// Who asked, as far as the request says.
    pub requested_by: Option<String>,
    /// It has the finalizer without which it would go before what it put into clusters.
    pub held: bool,
    /// It was deleted, and waits until its objects are removed from clusters.
    pub deleting: bool,
    /// Clusters in which objects may stay when it goes: the user says so.
    pub abandoned: BTreeSet<String>,
}

/// A `ModelRollout`.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutFacts {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub spec: ModelRolloutSpec,
    /// How far it is.
    pub status: ModelRolloutStatus,
}

/// A `TrafficPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFacts {
    /// Its name.
    pub name: String,
    /// Generation of `spec`.
    pub generation: i64,
    /// Version that a decision is conditional on.
    pub resource_version: String,
    /// What the user asks for.
    pub spec: TrafficPolicySpec,
    /// The decision in force.
    pub status: TrafficPolicyStatus,
}

/// An `ArtifactStore`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreFacts {
    /// Provider that holds the bytes.
    pub provider: Provider,
    /// Opaque version of spec and credentials, or why the store cannot be used.
    pub usable: Result<String, String>,
}

/// One store's copy of one version, looked at now.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaFacts {
    /// What is known.
    pub state: ReplicaState,
    /// Bytes of verified files.
    pub verified_bytes: i64,
    /// Why the state is `Unknown`; not read otherwise.
    pub reason: Reason,
    /// Evidence, for people.
    pub message: String,
}

/// What a registry has of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// All of it: every platform, config and layer.
    Whole,
    /// Not all, or nothing.
    Missing,
    /// The registry gave no answer to conclude from.
    Unknown {
        /// Why, in one word.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
}

/// A `MemberCluster` and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberFacts {
    /// Its provider.
    pub provider: Provider,
    /// The store that its pods read from.
    pub store: String,
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
    pub staging_since: Option<(String, Timestamp)>,
    /// A write that the cluster refused for good, of which revision, and why.
    pub refused: Option<(String, String)>,
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
    pub revisions: BTreeMap<String, ObjectFacts>,
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

/// A transfer Job.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferFacts {
    /// Its name.
    pub name: String,
    /// The stores that it copies to.
    pub targets: Vec<String>,
    /// Digest of the manifest of the version that it copies.
    pub digest: Sha256Digest,
    /// How far it is.
    pub state: TransferState,
}

/// A Job that copies an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageCopyFacts {
    /// Its name.
    pub name: String,
    /// Where the image is to be.
    pub target: PinnedImage,
    /// How far it is.
    pub state: TransferState,
}

/// How far a transfer Job is.
#[derive(Clone, Debug, PartialEq)]
pub enum TransferState {
    /// Under way.
    Running,
    /// It says that it is done.
    Succeeded {
        /// When.
        at: Option<Timestamp>,
    },
    /// It gave up.
    Failed {
        /// When.
        at: Option<Timestamp>,
        /// Why: the termination message of its last pod. A line that begins with
        /// `<store>: ` is about that target.
        message: String,
    },
}

/// One probe of one revision through a region's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFacts {
    /// The revision that was asked for.
    pub revision: String,
    /// It was ready and answered an inference.
    pub ok: bool,
    /// What was seen.
    pub message: String,
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
