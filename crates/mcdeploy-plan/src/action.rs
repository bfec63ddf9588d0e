//! Words of the output: what to do now, and what is waited for.

use std::collections::BTreeSet;

use mcdeploy_api::{
    ImageRegistry, ModelRolloutSpec, NodeCache, PinnedImage, Reason, RolloutStepState,
    RoutingSnapshotSpec, Sha256Digest, TrafficPolicyStatus,
};

use crate::{
    names::{ClusterName, RevisionId, StoreName},
    revision::RevisionRecord,
    world::World,
};

/// What to do now, in order, and what is waited for.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Generation of the deployment that this plan is for.
    pub generation: i64,
    /// Effects, in the order in which they are to be carried out.
    pub actions: Vec<Action>,
    /// One entry per reason that something does not go on.
    pub waiting: Vec<Waiting>,
    /// One entry per cluster in scope, in wave order.
    pub steps: Vec<Step>,
    /// One entry per cluster that is new to the placement and outside the scope, sorted
    /// by name.
    pub joining: Vec<Step>,
    /// Id and input of the revision that the spec asks for.
    pub target: Option<(RevisionId, RevisionRecord)>,
    /// Why nothing can be done at all.
    pub invalid: Option<Invalid>,
    /// Something waits for time alone to pass.
    pub draining: bool,
    /// Upkeep that was refused and is not tried in this pass, by [`Action::upkeep`].
    pub resting: BTreeSet<String>,
}

impl Plan {
    /// Nothing to do, nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.actions.is_empty() && self.waiting.is_empty() && !self.draining
    }

    /// Whether the next look should come within a second or two.
    pub fn is_moving(&self) -> bool {
        let running = |step: &Step| step.state == RolloutStepState::Running;
        let mut steps = self.steps.iter().chain(&self.joining);
        !self.actions.is_empty() || self.draining || steps.any(running)
    }

    /// A plan that does nothing.
    pub(crate) fn empty(world: &World) -> Self {
        Self {
            generation: world.deployment.generation,
            actions: vec![],
            waiting: vec![],
            steps: vec![],
            joining: vec![],
            target: None,
            invalid: None,
            draining: false,
            resting: BTreeSet::new(),
        }
    }
}

/// One effect. Each is idempotent or fenced.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put the finalizer on the deployment, before anything is put into clusters.
    HoldDeployment,
    /// Take the finalizer off a deployment that was deleted: nothing is left of it.
    ReleaseDeployment,
    /// Keep the revision's input in the hub, for as long as a cluster may need it.
    RecordRevision {
        /// Its id.
        revision: RevisionId,
        /// Its input.
        record: RevisionRecord,
    },
    /// Write down that a rollout began.
    CreateRollout {
        /// `<deployment>-<generation>`.
        name: String,
        /// What it is about.
        spec: ModelRolloutSpec,
    },
    /// Make the traffic policy that no user wrote: own region first.
    CreatePolicy {
        /// Named like the deployment.
        name: String,
    },
    /// Forget a rollout that is closed and long ago.
    DeleteRollout {
        /// Its name.
        name: String,
    },
    /// Forget the input of a revision that no cluster may need.
    DeleteRecord {
        /// Id of the revision.
        revision: RevisionId,
    },
    /// Start a Job that copies the target's version from one store to others.
    StartTransfer(StartTransfer),
    /// Start a Job that copies an image to a registry.
    StartImageCopy(StartImageCopy),
    /// Remove a Job that ended, with its credentials.
    DeleteTransfer {
        /// Member cluster that it ran in.
        cluster: ClusterName,
        /// Its name.
        name: String,
    },
    /// Tell the nodes of a cluster which versions their caches are to hold.
    Stage(Stage),
    /// Apply Secret, Deployment and Service of a revision.
    ApplyRevision(ApplyRevision),
    /// Remove Secret, Deployment and Service of a revision that no gateway knows.
    DeleteRevision {
        /// Member cluster.
        cluster: ClusterName,
        /// Id of the revision.
        revision: RevisionId,
    },
    /// Store a decision about traffic, if no other one was stored meanwhile.
    DecideTraffic(DecideTraffic),
    /// Tell the gateways of one cluster.
    PublishSnapshot {
        /// Member cluster.
        cluster: ClusterName,
        /// What they are told.
        spec: RoutingSnapshotSpec,
    },
    /// Tell the gateways of one cluster nothing any more.
    DeleteSnapshot {
        /// Member cluster.
        cluster: ClusterName,
    },
}

impl Action {
    /// The member cluster that the effect is in; `None`: the hub.
    pub fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::HoldDeployment
            | Self::ReleaseDeployment
            | Self::RecordRevision { .. }
            | Self::CreateRollout { .. }
            | Self::CreatePolicy { .. }
            | Self::DeleteRollout { .. }
            | Self::DeleteRecord { .. }
            | Self::DecideTraffic(_) => None,
            Self::StartTransfer(StartTransfer { cluster, .. })
            | Self::StartImageCopy(StartImageCopy { cluster, .. })
            | Self::Stage(Stage { cluster, .. })
            | Self::DeleteTransfer { cluster, .. }
            | Self::ApplyRevision(ApplyRevision { cluster, .. })
            | Self::DeleteRevision { cluster, .. }
            | Self::PublishSnapshot { cluster, .. }
            | Self::DeleteSnapshot { cluster } => Some(cluster),
        }
    }

    /// For what only removes something old, or only saves time: words for it, the same ones each time.
    /// Nothing waits for upkeep, so one that is refused must not hold anything up.
    pub fn upkeep(&self) -> Option<String> {
        let label = self.label();
        match self {
            Self::DeleteRollout { name } => Some(format!("{label} {name}")),
            Self::DeleteRecord { revision } => Some(format!("{label} {revision}")),
            Self::DeleteTransfer { cluster, name } => Some(format!("{label} {name} in {cluster}")),
            Self::DeleteRevision { cluster, revision } => {
                Some(format!("{label} {revision} in {cluster}"))
            }
            Self::Stage(Stage { cluster, .. }) | Self::DeleteSnapshot { cluster } => {
                Some(format!("{label} in {cluster}"))
            }
            Self::HoldDeployment
            | Self::ReleaseDeployment
            | Self::RecordRevision { .. }
            | Self::CreateRollout { .. }
            | Self::CreatePolicy { .. }
            | Self::DecideTraffic(_)
            | Self::StartTransfer(_)
            | Self::StartImageCopy(_)
            | Self::ApplyRevision(_)
            | Self::PublishSnapshot { .. } => None,
        }
    }

    /// Short name for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::HoldDeployment => "hold_deployment",
            Self::ReleaseDeployment => "release_deployment",
            Self::RecordRevision { .. } => "record_revision",
            Self::CreateRollout { .. } => "create_rollout",
            Self::CreatePolicy { .. } => "create_policy",
            Self::DeleteRollout { .. } => "delete_rollout",
            Self::DeleteRecord { .. } => "delete_record",
            Self::StartTransfer(_) => "start_transfer",
            Self::StartImageCopy(_) => "start_image_copy",
            Self::DeleteTransfer { .. } => "delete_transfer",
            Self::Stage(_) => "stage",
            Self::ApplyRevision(_) => "apply_revision",
            Self::DeleteRevision { .. } => "delete_revision",
            Self::DecideTraffic(_) => "decide_traffic",
            Self::PublishSnapshot { .. } => "publish_snapshot",
            Self::DeleteSnapshot { .. } => "delete_snapshot",
        }
    }
}

/// Copies of one version to be made by one Job, which reads the source once.
#[derive(Clone, Debug, PartialEq)]
pub struct StartTransfer {
    /// Member cluster beside the source: the Job runs there.
    pub cluster: ClusterName,
    /// Store with a verified copy.
    pub source: StoreName,
    /// Stores that lack it, sorted.
    pub targets: Vec<StoreName>,
    /// Names the version and its digest.
    pub record: RevisionRecord,
}

/// A decision to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct DecideTraffic {
    /// Name of the `TrafficPolicy`.
    pub policy: String,
    /// The write holds only for this version of it.
    pub resource_version: String,
    /// The status with the new epoch.
    pub status: TrafficPolicyStatus,
}

/// A typed "not yet".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Member cluster; `None`: the deployment as a whole.
    pub cluster: Option<ClusterName>,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// One cluster's part of the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Member cluster.
    pub cluster: ClusterName,
    /// Id of the revision that it is brought to.
    pub revision: RevisionId,
    /// How far.
    pub state: RolloutStepState,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// The objects of a revision in one cluster, with all that was decided on.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyRevision {
    /// Member cluster.
    pub cluster: ClusterName,
    /// Id of the revision.
    pub revision: RevisionId,
    /// Its input.
    pub record: RevisionRecord,
    /// Pods wanted.
    pub replicas: i32,
    /// The store that pods read from.
    pub store: StoreName,
    /// The registry that pods pull from; `None`: what the record names.
    pub registry: Option<ImageRegistry>,
    /// The cache of the nodes; `None`: pods read from the store.
    pub cache: Option<NodeCache>,
    /// [`input_hash`](crate::input_hash) of all that.
    pub hash: String,
}

/// What a cluster's nodes are told by one deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Member cluster.
    pub cluster: ClusterName,
    /// All that the deployment wants there, sorted by key.
    pub versions: Vec<StageVersion>,
}

/// A version that nodes are to have, or to keep if they have it.
#[derive(Clone, Debug, PartialEq)]
pub struct StageVersion {
    /// Its key: another one when what goes with it is another.
    pub key: String,
    /// Digest of its manifest.
    pub digest: Sha256Digest,
    /// What nodes are to fetch; `None`: the version is only kept.
    pub fetch: Option<StageFetch>,
}

/// How nodes come by a version.
#[derive(Clone, Debug, PartialEq)]
pub struct StageFetch {
    /// A revision with the version.
    pub revision: RevisionId,
    /// Its input.
    pub record: RevisionRecord,
    /// The store that nodes read from.
    pub store: StoreName,
    /// Their cache.
    pub cache: NodeCache,
}

/// A copy of an image to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartImageCopy {
    /// Member cluster that the Job runs in: beside the source, where that is a mirror.
    pub cluster: ClusterName,
    /// Where it is.
    pub source: PinnedImage,
    /// Where it is to be.
    pub target: PinnedImage,
}

/// Why a deployment cannot be acted on. Nothing but traffic is changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The model version does not exist.
    #[error("ModelVersion {name:?} does not exist in namespace {namespace:?}: push it first")]
    ModelVersionNotFound {
        /// What the deployment names.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// No member cluster is placed.
    #[error("no member cluster matches the placement ({wanted}): add one or change it")]
    NoClusterPlaced {
        /// What matched nothing.
        wanted: String,
    },
    /// The scope leaves nothing.
    #[error("no placed cluster is in the rollout's scope ({wanted})")]
    NothingInScope {
        /// What the scope says.
        wanted: String,
    },
}

impl Invalid {
    /// The same in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::ModelVersionNotFound { .. } => Reason::ModelVersionNotFound,
            Self::NoClusterPlaced { .. } | Self::NothingInScope { .. } => Reason::NoClusterMatches,
        }
    }
}
