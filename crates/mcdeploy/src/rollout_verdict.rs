//! What a rollout's objects say about its end: pure.

use std::collections::BTreeMap;

use mcdeploy_api::{
    ClusterStatus, Condition, ConditionType, ModelDeployment, ModelRollout, Reason, RolloutStep,
    RolloutStepState, Ternary,
    names::{ANNOTATION_REQUESTED_BY, FIELD_MANAGER_CLI},
};
use serde::Serialize;

/// What is seen of one rollout.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View<'a> {
    /// Generation of the deployment that asked for the rollout.
    pub(crate) generation: i64,
    /// The deployment.
    pub(crate) deployment: Option<&'a ModelDeployment>,
    /// The rollout, once the operator made it.
    pub(crate) rollout: Option<&'a ModelRollout>,
}

/// Whether there is more to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Under way.
    Waiting,
    /// The target serves in every cluster of the rollout.
    Complete,
    /// Every cluster is finished, or stands still: these do.
    Stuck {
        /// Clusters with a fault of their own.
        blocked: Vec<String>,
        /// Clusters that cannot be seen.
        unknown: Vec<String>,
    },
    /// The operator refuses the request.
    Refused {
        /// Why.
        message: String,
    },
    /// A later rollout took over.
    Superseded {
        /// What it is, who asked for it and when.
        by: String,
    },
    /// The deployment was deleted.
    Deleted,
}

/// Judges what is seen.
pub(crate) fn verdict(view: View<'_>) -> Verdict {
    let Some(deployment) = view.deployment else {
        return Verdict::Deleted;
    };
    let complete = view
        .rollout
        .and_then(|rollout| rollout_condition(rollout, ConditionType::Complete));
    if complete.is_some_and(|condition| condition.status == "True") {
        return Verdict::Complete;
    }
    let generation = deployment.metadata.generation.unwrap_or(0);
    if generation > view.generation || view.rollout.is_some_and(is_superseded) {
        return Verdict::Superseded {
            by: describe_successor(deployment, view.generation),
        };
    }
    match view.rollout {
        Some(rollout) => stuck(rollout),
        None => refused(deployment, view.generation),
    }
}

fn is_superseded(rollout: &ModelRollout) -> bool {
    let by_reason = rollout_condition(rollout, ConditionType::Complete)
        .is_some_and(|condition| condition.reason == Reason::Superseded.as_str());
    by_reason
        || rollout_condition(rollout, ConditionType::Superseded)
            .is_some_and(|condition| condition.status == "True")
}

fn stuck(rollout: &ModelRollout) -> Verdict {
    let steps = rollout.status.iter().flat_map(|status| &status.steps);
    let (mut blocked, mut unknown) = (vec![], vec![]);
    for step in steps {
        match step.state {
            RolloutStepState::Waiting | RolloutStepState::Running => return Verdict::Waiting,
            RolloutStepState::Done => {}
            RolloutStepState::Blocked => blocked.push(step.cluster.clone()),
            RolloutStepState::Unknown => unknown.push(step.cluster.clone()),
        }
    }
    if blocked.is_empty() && unknown.is_empty() {
        return Verdict::Waiting;
    }
    Verdict::Stuck { blocked, unknown }
}

/// Only what can never pass by itself: a version or a cluster may still appear in the
/// operator's cache.
fn refused(deployment: &ModelDeployment, generation: i64) -> Verdict {
    let conditions = deployment
        .status
        .iter()
        .flat_map(|status| &status.conditions);
    let refusing = conditions.into_iter().find(|condition| {
        condition.reason == Reason::Invalid.as_str()
            && condition.observed_generation == Some(generation)
    });
    match refusing {
        Some(condition) => Verdict::Refused {
            message: condition.message.clone(),
        },
        None => Verdict::Waiting,
    }
}

fn describe_successor(deployment: &ModelDeployment, generation: i64) -> String {
    let now = deployment.metadata.generation.unwrap_or(0);
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let version = &deployment.spec.model_version_ref.name;
    let annotations = deployment.metadata.annotations.as_ref();
    let asked = annotations.and_then(|all| all.get(ANNOTATION_REQUESTED_BY));
    let by = match (other_writer(deployment), asked) {
        // The annotation is still that of the rollout before.
        (Some(manager), _) => format!("written by the field manager {manager:?}"),
        (None, Some(by)) => format!("asked for by {by}"),
        (None, None) => "by somebody who left no name".to_owned(),
    };
    if now > generation {
        format!("{name}-{now} ({version}), {by}")
    } else {
        format!("a later one ({version}), {by}")
    }
}

/// The field manager that wrote the spec last, when it was not this program.
fn other_writer(deployment: &ModelDeployment) -> Option<&str> {
    let writers = deployment.metadata.managed_fields.iter().flatten();
    let of_spec = writers.filter(|entry| {
        let fields = entry.fields_v1.as_ref().and_then(|f| f.0.get("f:spec"));
        entry.subresource.as_deref().unwrap_or_default().is_empty() && fields.is_some()
    });
    let last = of_spec.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    let manager = last.manager.as_deref()?;
    (manager != FIELD_MANAGER_CLI).then_some(manager)
}

/// The condition of a type.
pub(crate) fn condition(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == kind.as_str())
}

fn rollout_condition(rollout: &ModelRollout, kind: ConditionType) -> Option<&Condition> {
    condition(&rollout.status.as_ref()?.conditions, kind)
}

/// One cluster's line, from the deployment's row and the rollout's step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    /// Member cluster.
    pub(crate) cluster: String,
    /// Its wave, from 1; absent outside the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wave: Option<usize>,
    /// How far the rollout is there; absent outside the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<RolloutStepState>,
    /// The deployment's row, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<RowStatus>,
    /// One word.
    pub(crate) reason: String,
    /// The same for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// What the hub last saw in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowStatus {
    pub(crate) provider: String,
    pub(crate) reachable: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_revision: Option<String>,
    pub(crate) ready_replicas: i32,
    pub(crate) desired_replicas: i32,
    pub(crate) weight: i32,
    pub(crate) artifact_bytes: i64,
}

impl From<&ClusterStatus> for RowStatus {
    fn from(row: &ClusterStatus) -> Self {
        Self {
            provider: row.provider.to_string(),
            reachable: row.reachable.to_string(),
            version: row.version.clone(),
            revision: row.revision.clone(),
            next_revision: row.next_revision.clone(),
            ready_replicas: row.ready_replicas,
            desired_replicas: row.desired_replicas,
            weight: row.weight,
            artifact_bytes: row.artifact_bytes,
        }
    }
}

/// The lines of a deployment: first the rollout's clusters in wave order, then the
/// others by name.
pub(crate) fn rows(view: View<'_>) -> Vec<Row> {
    let of_deployment = view
        .deployment
        .and_then(|deployment| deployment.status.as_ref());
    let statuses: BTreeMap<&str, &ClusterStatus> = of_deployment
        .iter()
        .flat_map(|status| &status.clusters)
        .map(|row| (row.cluster.as_str(), row))
        .collect();
    let steps: BTreeMap<&str, &RolloutStep> = view
        .rollout
        .and_then(|rollout| rollout.status.as_ref())
        .iter()
        .flat_map(|status| &status.steps)
        .map(|step| (step.cluster.as_str(), step))
        .collect();
    let waves = view.rollout.iter().flat_map(|rollout| &rollout.spec.waves);
    let mut rows = vec![];
    let mut seen = vec![];
    for (index, wave) in waves.enumerate() {
        for cluster in &wave.clusters {
            let name = cluster.as_str();
            seen.push(name);
            let (step, status) = (steps.get(name).copied(), statuses.get(name).copied());
            rows.push(row(name, Some(index + 1), step, status));
        }
    }
    for (name, status) in &statuses {
        if !seen.contains(name) {
            rows.push(row(name, None, None, Some(status)));
        }
    }
    rows
}

fn row(
    cluster: &str,
    wave: Option<usize>,
    step: Option<&RolloutStep>,
    status: Option<&ClusterStatus>,
) -> Row {
    let of_step = step.map(|step| (step.reason.clone(), step.message.clone()));
    // Before the first step the row is about what served before.
    let is_outside = wave.is_none();
    let of_status = || {
        let row = status.filter(|_| is_outside)?;
        Some((row.reason.clone(), row.message.clone()))
    };
    let pending = || (Reason::Pending.to_string(), String::new());
    let (reason, message) = of_step.or_else(of_status).unwrap_or_else(pending);
    let lost = status.is_some_and(|row| row.reachable == Ternary::Unknown);
    let state = match (wave, step) {
        (Some(_), Some(step)) => Some(step.state),
        (Some(_), None) if lost => Some(RolloutStepState::Unknown),
        (Some(_), None) => Some(RolloutStepState::Waiting),
        (None, _) => None,
    };
    Row {
        cluster: cluster.to_owned(),
        wave,
        state,
        status: status.map(RowStatus::from),
        reason,
        message,
    }
}

#[cfg(test)]
mod tests;
