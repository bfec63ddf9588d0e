//! Conditions of the deployment.

use mcdeploy_api::{
    ClusterStatus, ConditionStatus, ConditionType, ModelDeploymentStatus, Reason, RolloutStepState,
    Ternary, set_condition,
};

use crate::{
    action::{Action, Plan, Step},
    names::ClusterName,
    world::World,
};

pub(super) fn deployment(
    world: &World,
    plan: &Plan,
    rows: Vec<ClusterStatus>,
    placed: &[ClusterName],
) -> ModelDeploymentStatus {
    let mut status = world.deployment.status.clone();
    let generation = world.deployment.generation;
    status.observed_generation = Some(generation);
    if let Some((target, _)) = &plan.target {
        status.target_revision = Some(target.to_string());
        status.rollout = Some(world.deployment.rollout_name());
    }
    let target = plan.target.as_ref().map(|(id, _)| id.as_str());
    let on_target = |row: &&ClusterStatus| {
        target.is_some() && row.revision.as_deref() == target && is_in(placed, row)
    };
    let serving = rows.iter().filter(on_target).count();
    status.serving_clusters = Some(format!("{serving}/{}", placed.len()));
    let mut set = |kind, (state, reason, message): (ConditionStatus, Reason, String)| {
        let list = &mut status.conditions;
        set_condition(
            list,
            kind,
            state,
            reason,
            message,
            Some(generation),
            world.now,
        );
    };
    if let Some(invalid) = &plan.invalid {
        let no = || {
            (
                ConditionStatus::False,
                invalid.reason(),
                invalid.to_string(),
            )
        };
        set(ConditionType::Ready, no());
        set(ConditionType::Complete, no());
        set(ConditionType::Progressing, no());
    } else {
        let complete = complete(plan);
        set(ConditionType::Ready, ready(&complete, &rows, placed));
        set(ConditionType::Complete, complete);
        set(ConditionType::Progressing, progressing(plan));
    }
    set(ConditionType::MixedRevisions, mixed(plan, &rows));
    let told = |kind: ConditionType| {
        let mut before = world.deployment.status.conditions.iter();
        before.any(|condition| condition.type_ == kind.as_str())
    };
    let upkeep = upkeep(world, plan);
    // Most never see it.
    if upkeep.0 == ConditionStatus::True || told(ConditionType::UpkeepRefused) {
        set(ConditionType::UpkeepRefused, upkeep);
    }
    status.clusters = rows;
    status
}

fn is_in(placed: &[ClusterName], row: &ClusterStatus) -> bool {
    placed.iter().any(|name| *name == row.cluster)
}

pub(super) type Verdict = (ConditionStatus, Reason, String);

/// The target serves in every cluster of the scope.
pub(super) fn complete(plan: &Plan) -> Verdict {
    let tell = |states: &[RolloutStepState]| {
        let open = plan.steps.iter().filter(|s| states.contains(&s.state));
        let open = open.map(|s| format!("{}: {} ({})", s.cluster, s.reason, s.message));
        open.collect::<Vec<_>>().join("; ")
    };
    let moving = tell(&[RolloutStepState::Running, RolloutStepState::Waiting]);
    let blocked = tell(&[RolloutStepState::Blocked]);
    let unknown = tell(&[RolloutStepState::Unknown]);
    if !moving.is_empty() {
        (ConditionStatus::False, Reason::RollingOut, moving)
    } else if !blocked.is_empty() {
        let message = [blocked, unknown].into_iter().filter(|m| !m.is_empty());
        let message = message.collect::<Vec<_>>().join("; ");
        (ConditionStatus::False, Reason::Incomplete, message)
    } else if !unknown.is_empty() {
        (ConditionStatus::Unknown, Reason::Unreachable, unknown)
    } else {
        let message = "the target serves in every cluster of the scope".to_owned();
        (ConditionStatus::True, Reason::AsDesired, message)
    }
}

/// Complete, and every placed cluster is well, also those outside the scope.
fn ready(complete: &Verdict, rows: &[ClusterStatus], placed: &[ClusterName]) -> Verdict {
    if complete.0 != ConditionStatus::True {
        return complete.clone();
    }
    let mut rows = rows.iter().filter(|row| is_in(placed, row));
    if let Some(row) = rows.clone().find(|row| row.reachable != Ternary::True) {
        let message = format!("{}: {}", row.cluster, row.message);
        return (ConditionStatus::Unknown, Reason::Unreachable, message);
    }
    let ill = rows.find(|row| {
        row.reason != Reason::Serving.as_str() && row.reason != Reason::OutOfScope.as_str()
    });
    match ill {
        None => complete.clone(),
        Some(row) => {
            let reason = Reason::parse(&row.reason).unwrap_or(Reason::PodsNotReady);
            let message = format!("{}: {}", row.cluster, row.message);
            (ConditionStatus::False, reason, message)
        }
    }
}

/// Something goes on without help from outside.
fn progressing(plan: &Plan) -> Verdict {
    let moves = |step: &&Step| match step.state {
        RolloutStepState::Running | RolloutStepState::Waiting => true,
        RolloutStepState::Done | RolloutStepState::Blocked | RolloutStepState::Unknown => false,
    };
    let mut steps = plan.steps.iter().chain(&plan.joining);
    if let Some(step) = steps.find(moves) {
        let message = format!("{}: {}", step.cluster, step.message);
        return (ConditionStatus::True, Reason::RollingOut, message);
    }
    let stuck = |step: &&Step| step.state != RolloutStepState::Done;
    match plan.steps.iter().find(stuck) {
        Some(step) => {
            let message = format!("{}: {}", step.cluster, step.message);
            (ConditionStatus::False, step.reason, message)
        }
        None => (ConditionStatus::False, Reason::AsDesired, String::new()),
    }
}

/// Old objects that cannot be removed. Nothing waits for them.
fn upkeep(world: &World, plan: &Plan) -> Verdict {
    let wanted: Vec<_> = plan.actions.iter().filter_map(Action::upkeep).collect();
    let wanted = |key: &String| wanted.contains(key) || plan.resting.contains(key);
    let refused = world.upkeep.iter().filter(|(key, _)| wanted(key));
    let refused: Vec<_> = refused
        .map(|(key, facts)| format!("{key}: {}", facts.message))
        .collect();
    if refused.is_empty() {
        return (ConditionStatus::False, Reason::AsDesired, String::new());
    }
    let message = refused.join("; ");
    (ConditionStatus::True, Reason::UpkeepRefused, message)
}

fn mixed(plan: &Plan, rows: &[ClusterStatus]) -> Verdict {
    let serving = rows.iter().filter(|row| row.revision.is_some());
    let mut revisions: Vec<_> = serving.clone().map(|row| &row.revision).collect();
    revisions.sort();
    revisions.dedup();
    if revisions.len() < 2 {
        return (ConditionStatus::False, Reason::AsDesired, String::new());
    }
    let each = serving.map(|row| {
        let version = row.version.as_deref().unwrap_or("?");
        format!("{} serves {version}", row.cluster)
    });
    let message = each.collect::<Vec<_>>().join(", ");
    let all_done = plan.steps.iter().all(|s| s.state == RolloutStepState::Done);
    let reason = if all_done && plan.invalid.is_none() {
        Reason::OutOfScope
    } else {
        Reason::RollingOut
    };
    (ConditionStatus::True, reason, message)
}
