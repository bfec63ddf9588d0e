//! The street: each step looks at what was observed and at what the steps before it found,
//! and at nothing behind it. `cargo xtask tidy` holds the order.

use mcdeploy_api::RolloutStepState;

use crate::{
    action::{Action, Invalid, Plan, Step, Waiting},
    artifact,
    asks::Ask,
    names::ClusterName,
    placement::{place, standing},
    rollout::{self, Judged},
    traffic, upkeep,
    validate::validate,
    world::World,
};

/// Decides what to do about a world.
pub fn plan(world: &World) -> Plan {
    if world.deployment.deleting {
        return upkeep::rest(world, upkeep::deleted(world));
    }
    let target = match validate(world) {
        Ok(target) => target,
        Err(invalid) => return invalid_plan(world, invalid),
    };
    let placement = place(world, target);
    let mut plan = Plan::empty(world);
    let mut raises = Vec::new();
    plan.actions = rollout::records(world, &placement);
    plan.actions.extend(upkeep::forget(world, &placement));
    plan.actions.extend(artifact::stage(world, &placement));
    let judged = rollout::judge_all(world, &placement);
    let dwells = judged.iter().any(|judged| judged.dwells);
    plan.steps = take(&mut plan.actions, &mut raises, judged);
    let judged = rollout::judge_joining(world, &placement);
    plan.joining = take(&mut plan.actions, &mut raises, judged);
    add(&mut plan.actions, rollout::keep(world, &placement));
    plan.actions = artifact::read_once(plan.actions);
    let told = traffic::plan(world, &placement, &raises);
    plan.actions.extend(told.actions);
    let left = upkeep::prune(world, &placement, &told.held);
    plan.actions.extend(left.actions);
    plan.waiting = waiting(plan.steps.iter().chain(&plan.joining));
    plan.waiting.extend(left.waiting);
    plan.draining = told.draining || left.draining || dwells;
    plan.target = Some((placement.target.revision, placement.target.record));
    upkeep::rest(world, plan)
}

/// Nothing is brought up and nothing is removed, but requests go where the policy says, and to
/// what answers.
fn invalid_plan(world: &World, invalid: Invalid) -> Plan {
    let told = standing(world).map(|placement| traffic::plan(world, &placement, &[]));
    let told = told.unwrap_or_default();
    Plan {
        actions: told.actions,
        draining: told.draining,
        waiting: vec![Waiting {
            cluster: None,
            reason: invalid.reason(),
            message: invalid.to_string(),
        }],
        invalid: Some(invalid),
        ..Plan::empty(world)
    }
}

/// Takes what clusters need; answers how far they are.
fn take(
    actions: &mut Vec<Action>,
    raises: &mut Vec<ClusterName>,
    judged: Vec<Judged>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for judged in judged {
        add(actions, judged.actions);
        if judged.raise {
            raises.push(judged.step.cluster.clone());
        }
        steps.push(judged.step);
    }
    steps
}

/// Two clusters that share a store want the same copy.
fn add(actions: &mut Vec<Action>, more: Vec<Action>) {
    for action in more {
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
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

/// What is still to be looked at before this world is planned for. Once it was, there may
/// be more to ask; after three rounds there is not. A deployment that is deleted, or wrong,
/// is not brought anywhere.
pub fn asks(world: &World) -> Vec<Ask> {
    if world.deployment.deleting {
        return vec![];
    }
    let Ok(target) = validate(world) else {
        return vec![];
    };
    rollout::asks(world, &place(world, target))
}
