//! The deployment and its rollouts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use mcdeploy_api::{
    ConditionStatus, ConditionType, ModelDeploymentSpec, ModelDeploymentStatus, ModelRolloutSpec,
    ModelRolloutStatus,
};

use super::World;
use crate::names::ClusterName;

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
    pub abandoned: BTreeSet<ClusterName>,
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

impl DeploymentFacts {
    /// Name of the present rollout: `<deployment>-<generation>`.
    pub(crate) fn rollout_name(&self) -> String {
        format!("{}-{}", self.name, self.generation)
    }
}

impl RolloutFacts {
    /// The target was seen serving in every cluster of the scope.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_true(ConditionType::Complete)
    }

    /// Complete, or superseded already: the record is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_complete() || self.is_true(ConditionType::Superseded)
    }

    fn is_true(&self, kind: ConditionType) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|condition| {
            condition.type_ == kind.as_str() && condition.status == ConditionStatus::True.as_str()
        })
    }
}

impl World {
    /// Since when the present rollout to `revision` is blocked or not seen in a cluster, as was
    /// written down: a new leader goes on with it.
    pub(crate) fn held_since(&self, cluster: &str, revision: &str) -> Option<Timestamp> {
        let name = self.deployment.rollout_name();
        let mut rollouts = self.rollouts.iter();
        let rollout = rollouts.find(|rollout| rollout.name == name)?;
        if rollout.spec.to_revision != revision {
            return None;
        }
        let mut steps = rollout.status.steps.iter();
        let step = steps.find(|step| step.cluster == cluster)?;
        step.held_since.as_ref().map(|time| time.0)
    }
}

/// The revision of the newest rollout that was complete, if one was.
pub fn last_complete_revision(rollouts: &[RolloutFacts]) -> Option<&str> {
    let complete = rollouts.iter().filter(|rollout| rollout.is_complete());
    let newest = complete.max_by_key(|rollout| rollout.spec.deployment_generation)?;
    Some(&newest.spec.to_revision)
}
