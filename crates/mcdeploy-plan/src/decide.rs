//! The plan: what to do now, and what is waited for.

use mcdeploy_api::{
    ModelRolloutSpec, ObjectName, Reason, RolloutStepState, RolloutWave, RoutingSnapshotSpec,
    TrafficPolicyStatus,
};

use crate::{
    Invalid, RevisionRecord, World, history, rollout, traffic,
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
    /// Id and input of the revision that the spec asks for.
    pub target: Option<(String, RevisionRecord)>,
    /// Why nothing can be done at all.
    pub invalid: Option<Invalid>,
    /// Something waits for time alone to pass.
    pub draining: bool,
}

impl Plan {
    /// Nothing to do, nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.actions.is_empty() && self.waiting.is_empty() && !self.draining
    }

    /// Whether the next look should come within a second or two.
    pub fn is_moving(&self) -> bool {
        let running = |step: &Step| step.state == RolloutStepState::Running;
        !self.actions.is_empty() || self.draining || self.steps.iter().any(running)
    }
}

/// One effect. Each is idempotent or fenced.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
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
    /// Start a Job that copies the target's version between two stores.
    StartTransfer(StartTransfer),
    /// Remove a Job that ended, with its credentials.
    DeleteTransfer {
        /// Member cluster that it ran in.
        cluster: String,
        /// Its name.
        name: String,
    },
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
}

impl Action {
    /// The member cluster that the effect is in; `None`: the hub.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::RecordRevision { .. }
            | Self::CreateRollout { .. }
            | Self::CreatePolicy { .. }
            | Self::DeleteRollout { .. }
            | Self::DeleteRecord { .. }
            | Self::DecideTraffic(_) => None,
            Self::StartTransfer(StartTransfer { cluster, .. })
            | Self::DeleteTransfer { cluster, .. }
            | Self::ApplyRevision { cluster, .. }
            | Self::DeleteRevision { cluster, .. }
            | Self::PublishSnapshot { cluster, .. } => Some(cluster),
        }
    }

    /// Short name for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::RecordRevision { .. } => "record_revision",
            Self::CreateRollout { .. } => "create_rollout",
            Self::CreatePolicy { .. } => "create_policy",
            Self::DeleteRollout { .. } => "delete_rollout",
            Self::DeleteRecord { .. } => "delete_record",
            Self::StartTransfer(_) => "start_transfer",
            Self::DeleteTransfer { .. } => "delete_transfer",
            Self::ApplyRevision { .. } => "apply_revision",
            Self::DeleteRevision { .. } => "delete_revision",
            Self::DecideTraffic(_) => "decide_traffic",
            Self::PublishSnapshot { .. } => "publish_snapshot",
        }
    }
}

/// One copy to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct StartTransfer {
    /// Member cluster beside the source: the Job runs there.
    pub cluster: String,
    /// Store with a verified copy.
    pub source: String,
    /// Store that lacks it.
    pub target: String,
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
    /// How far.
    pub state: RolloutStepState,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// Decides what to do about a world.
pub fn plan(world: &World) -> Plan {
    let generation = world.deployment.generation;
    let valid = match validate(world) {
        Ok(valid) => valid,
        Err(invalid) => {
            return Plan {
                generation,
                actions: vec![],
                waiting: vec![Waiting {
                    cluster: None,
                    reason: invalid.reason(),
                    message: invalid.to_string(),
                }],
                steps: vec![],
                target: None,
                invalid: Some(invalid),
                draining: false,
            };
        }
    };
    let mut actions = records(world, &valid);
    actions.extend(history::forget(world, &valid));
    let judged = rollout::judge_all(world, &valid);
    let mut raises = Vec::new();
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
    for name in &valid.placed {
        if let Some(member) = world.members.get(name) {
            actions.extend(rollout::keep(world, &valid, name, member));
        }
    }
    let traffic = traffic::decide(world, &valid, &raises);
    actions.extend(traffic.actions);
    Plan {
        generation,
        actions,
        waiting: waiting(&steps),
        steps,
        target: Some((valid.target, valid.record)),
        invalid: None,
        draining: traffic.draining,
    }
}

/// What the hub has to hold before anything is done elsewhere.
fn records(world: &World, valid: &Valid) -> Vec<Action> {
    let mut actions = Vec::new();
    let deployment = &world.deployment;
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

fn waiting(steps: &[Step]) -> Vec<Waiting> {
    let open = steps
        .iter()
        .filter(|step| step.state != RolloutStepState::Done);
    open.map(|step| Waiting {
        cluster: Some(step.cluster.clone()),
        reason: step.reason,
        message: step.message.clone(),
    })
    .collect()
}
