//! The plan: what to do now, and what is waited for.

use std::collections::BTreeSet;

use mcdeploy_api::{
    ModelRolloutSpec, ObjectName, Reason, RolloutStepState, RolloutWave, RoutingSnapshotSpec,
    TrafficPolicyStatus,
};

use crate::{
    Invalid, RevisionRecord, Stage, StartImageCopy, World, history, replication, retire, rollout,
    staging, traffic,
    validate::{Valid, validate},
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
    pub target: Option<(String, RevisionRecord)>,
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

    /// Withholds upkeep that rests after it was refused.
    fn rest(mut self, world: &World) -> Self {
        let Self {
            actions, resting, ..
        } = &mut self;
        actions.retain(|action| {
            let Some(key) = action.upkeep() else {
                return true;
            };
            let facts = world.upkeep.get(&key);
            let rests = facts.is_some_and(|facts| facts.rests_until > world.now);
            if rests {
                resting.insert(key);
            }
            !rests
        });
        self
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
        revision: String,
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
    /// Make the traffic policy that nobody wrote: own region first.
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
        revision: String,
    },
    /// Start a Job that copies the target's version from one store to others.
    StartTransfer(StartTransfer),
    /// Start a Job that copies an image to a registry.
    StartImageCopy(StartImageCopy),
    /// Remove a Job that ended, with its credentials.
    DeleteTransfer {
        /// Member cluster that it ran in.
        cluster: String,
        /// Its name.
        name: String,
    },
    /// Tell the nodes of a cluster which versions their caches are to hold.
    Stage(Stage),
    /// Apply Secret, Deployment and Service of a revision.
    ApplyRevision {
        /// Member cluster.
        cluster: String,
        /// Id of the revision.
        revision: String,
        /// Pods wanted.
        replicas: i32,
    },
    /// Remove Secret, Deployment and Service of a revision that no gateway knows.
    DeleteRevision {
        /// Member cluster.
        cluster: String,
        /// Id of the revision.
        revision: String,
    },
    /// Store a decision about traffic, if nobody stored another one meanwhile.
    DecideTraffic(DecideTraffic),
    /// Tell the gateways of one cluster.
    PublishSnapshot {
        /// Member cluster.
        cluster: String,
        /// What they are told.
        spec: RoutingSnapshotSpec,
    },
    /// Tell the gateways of one cluster nothing any more.
    DeleteSnapshot {
        /// Member cluster.
        cluster: String,
    },
}

impl Action {
    /// The member cluster that the effect is in; `None`: the hub.
    pub fn cluster(&self) -> Option<&str> {
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
            | Self::ApplyRevision { cluster, .. }
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
            | Self::ApplyRevision { .. }
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
            Self::ApplyRevision { .. } => "apply_revision",
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
    pub cluster: String,
    /// Store with a verified copy.
    pub source: String,
    /// Stores that lack it, sorted.
    pub targets: Vec<String>,
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
    pub cluster: Option<String>,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// One cluster's part of the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Member cluster.
    pub cluster: String,
    /// Id of the revision that it is brought to.
    pub revision: String,
    /// How far.
    pub state: RolloutStepState,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// Decides what to do about a world.
pub fn plan(world: &World) -> Plan {
    let plan = if world.deployment.deleting {
        retire::plan(world)
    } else {
        match validate(world) {
            Ok(valid) => rollout_plan(world, valid),
            Err(invalid) => invalid_plan(world, invalid),
        }
    };
    plan.rest(world)
}

impl Plan {
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

fn invalid_plan(world: &World, invalid: Invalid) -> Plan {
    Plan {
        waiting: vec![Waiting {
            cluster: None,
            reason: invalid.reason(),
            message: invalid.to_string(),
        }],
        invalid: Some(invalid),
        ..Plan::empty(world)
    }
}

fn rollout_plan(world: &World, valid: Valid) -> Plan {
    let mut actions = records(world, &valid);
    actions.extend(history::forget(world, &valid));
    actions.extend(staging::actions(world, &valid));
    let judged = rollout::judge_all(world, &valid);
    let joining = rollout::judge_joining(world, &valid);
    let mut raises = Vec::new();
    let mut take = |judged: Vec<rollout::Judged>| {
        let mut steps = Vec::new();
        for judged in judged {
            for action in judged.actions {
                // Two clusters that share a store want the same copy.
                if !actions.contains(&action) {
                    actions.push(action);
                }
            }
            if judged.raise {
                raises.push(judged.step.cluster.clone());
            }
            steps.push(judged.step);
        }
        steps
    };
    let (steps, joining) = (take(judged), take(joining));
    for name in &valid.placed {
        if let Some(member) = world.members.get(name) {
            for action in rollout::keep(world, &valid, name, member) {
                if !actions.contains(&action) {
                    actions.push(action);
                }
            }
        }
    }
    let mut actions = replication::read_once(actions);
    let traffic = traffic::decide(world, &valid, &raises);
    actions.extend(traffic.actions);
    let mut waiting = waiting(steps.iter().chain(&joining));
    waiting.extend(traffic.leaving);
    Plan {
        actions,
        waiting,
        steps,
        joining,
        target: Some((valid.target, valid.record)),
        draining: traffic.draining,
        ..Plan::empty(world)
    }
}

/// What the hub has to hold before anything is done elsewhere.
fn records(world: &World, valid: &Valid) -> Vec<Action> {
    let mut actions = Vec::new();
    let deployment = &world.deployment;
    if !deployment.held {
        actions.push(Action::HoldDeployment);
    }
    if !world.records.contains_key(&valid.target) {
        actions.push(Action::RecordRevision {
            revision: valid.target.clone(),
            record: valid.record.clone(),
        });
    }
    let name = rollout_name(world);
    if !world.rollouts.iter().any(|rollout| rollout.name == name) {
        let waves = valid.waves.iter().map(|clusters| RolloutWave {
            clusters: clusters.clone(),
        });
        let spec = ModelRolloutSpec {
            deployment_ref: ObjectName::new(deployment.name.clone()),
            deployment_generation: deployment.generation,
            to_revision: valid.target.clone(),
            to_version: valid.record.version.clone(),
            waves: waves.collect(),
            requested_by: deployment.requested_by.clone(),
        };
        actions.push(Action::CreateRollout { name, spec });
    }
    if world.policy.is_none() {
        let name = deployment.name.clone();
        actions.push(Action::CreatePolicy { name });
    }
    actions
}

pub(crate) fn rollout_name(world: &World) -> String {
    let deployment = &world.deployment;
    format!("{}-{}", deployment.name, deployment.generation)
}

fn waiting<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<Waiting> {
    let open = steps.filter(|step| step.state != RolloutStepState::Done);
    open.map(|step| Waiting {
        cluster: Some(step.cluster.clone()),
        reason: step.reason,
        message: step.message.clone(),
    })
    .collect()
}
