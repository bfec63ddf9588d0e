//! The record of each rollout.

use mcdeploy_api::{
    ConditionStatus, ConditionType, ModelRolloutStatus, Reason, RolloutStep, Time, set_condition,
};

use super::conditions::complete;
use crate::{
    action::{Plan, Step},
    world::World,
};

/// The present rollout follows the plan; earlier ones that did not finish are told who
/// took their place.
pub(super) fn rollouts(world: &World, plan: &Plan) -> Vec<(String, ModelRolloutStatus)> {
    let generation = world.deployment.generation;
    let current = world.deployment.rollout_name();
    let mut changed = Vec::new();
    for rollout in &world.rollouts {
        if rollout.is_closed() {
            continue;
        }
        let mut status = rollout.status.clone();
        if rollout.name == current && plan.invalid.is_none() {
            status.steps = plan.steps.iter().map(|one| step(world, one)).collect();
            let (state, reason, message) = complete(plan);
            let list = &mut status.conditions;
            let kind = ConditionType::Complete;
            set_condition(list, kind, state, reason, message, None, world.now);
        } else if rollout.spec.deployment_generation < generation {
            let by = world.deployment.requested_by.as_deref();
            let by = by.unwrap_or("somebody who left no name");
            let message = format!("{current} took its place, requested by {by}");
            for (kind, state) in [
                (ConditionType::Complete, ConditionStatus::False),
                (ConditionType::Superseded, ConditionStatus::True),
            ] {
                let (list, why) = (&mut status.conditions, Reason::Superseded);
                set_condition(list, kind, state, why, message.clone(), None, world.now);
            }
        }
        if status != rollout.status {
            changed.push((rollout.name.clone(), status));
        }
    }
    changed
}

fn step(world: &World, step: &Step) -> RolloutStep {
    let since = || world.held_since(&step.cluster, &step.revision);
    let is_held = step.state.is_held();
    let held_since = is_held.then(|| Time(since().unwrap_or(world.now)));
    RolloutStep {
        cluster: step.cluster.to_string(),
        state: step.state,
        reason: step.reason.as_str().to_owned(),
        message: step.message.clone(),
        held_since,
    }
}
