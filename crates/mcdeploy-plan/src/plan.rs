//! The street: each step looks at what was observed and at what the steps before it found,
//! and at nothing behind it. `cargo xtask tidy` holds the order.

use mcdeploy_api::{PinnedImage, RolloutStepState};

use crate::{
    action::{Action, Invalid, Plan, Step, Waiting},
    artifact,
    asks::{ImageWanted, ProbeWanted, ReplicaWanted},
    placement::{Placement, place},
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
    plan.steps = take(&mut plan.actions, &mut raises, judged);
    let judged = rollout::judge_joining(world, &placement);
    plan.joining = take(&mut plan.actions, &mut raises, judged);
    add(&mut plan.actions, rollout::keep(world, &placement));
    plan.actions = artifact::read_once(plan.actions);
    let traffic = traffic::plan(world, &placement, &raises);
    plan.actions.extend(traffic.actions);
    let left = upkeep::prune(world, &placement);
    plan.actions.extend(left.actions);
    plan.waiting = waiting(plan.steps.iter().chain(&plan.joining));
    plan.waiting.extend(left.waiting);
    plan.draining = traffic.draining || left.draining;
    plan.target = Some((placement.target.revision, placement.target.record));
    upkeep::rest(world, plan)
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

/// Takes what clusters need; answers how far they are.
fn take(actions: &mut Vec<Action>, raises: &mut Vec<String>, judged: Vec<Judged>) -> Vec<Step> {
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

/// A deployment that is deleted, or wrong, is not brought anywhere.
fn acted_on(world: &World) -> Option<Placement> {
    let target = validate(world)
        .ok()
        .filter(|_| !world.deployment.deleting)?;
    Some(place(world, target))
}

/// Copies to look at for this world: those of the target, and of what a new cluster gets,
/// in every member's store and where they were pushed, and that of a revision whose
/// objects have to be put back. Sorted.
pub fn replicas_wanted(world: &World) -> Vec<ReplicaWanted> {
    let Some(placement) = acted_on(world) else {
        return vec![];
    };
    let mut wanted = Vec::new();
    for goal in placement.goals() {
        let stores = world.members.values().map(|member| member.store.clone());
        let stores = stores.chain(goal.origin.clone());
        let known = stores.filter(|store| world.stores.contains_key(store));
        wanted.extend(known.map(|store| ReplicaWanted {
            store,
            model: goal.record.model.clone(),
            version: goal.record.version.clone(),
            digest: goal.digest(),
        }));
    }
    wanted.extend(rollout::kept(world, &placement).map(|kept| ReplicaWanted {
        store: kept.member.store.clone(),
        model: kept.record.model.clone(),
        version: kept.record.version.clone(),
        digest: kept.record.manifest_digest,
    }));
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Probes to take for this world.
pub fn probes_wanted(world: &World) -> Vec<ProbeWanted> {
    let Some(placement) = acted_on(world) else {
        return vec![];
    };
    let judged = rollout::judge_all(world, &placement).into_iter();
    let joining = rollout::judge_joining(world, &placement);
    let judged = judged.chain(joining);
    judged.filter_map(|judged| judged.probe).collect()
}

/// Images to look for in this world, in every member's registry: those of the target, of
/// what a new cluster gets, and of revisions whose objects have to be put back. One entry
/// per image, sorted.
pub fn images_wanted(world: &World) -> Vec<ImageWanted> {
    let Some(placement) = acted_on(world) else {
        return vec![];
    };
    let goals = placement.goals().map(|goal| &goal.record);
    let kept = rollout::kept(world, &placement).map(|kept| kept.record);
    let mut wanted = Vec::new();
    for record in goals.chain(kept) {
        let Ok(image) = record.container.image.parse::<PinnedImage>() else {
            continue;
        };
        let registries = world.members.values();
        let registries = registries.filter_map(|member| member.registry.as_ref());
        wanted.extend(registries.map(|registry| ImageWanted {
            image: registry.mirror(&image),
            registry: registry.clone(),
        }));
    }
    wanted.sort_by(|a, b| a.image.cmp(&b.image));
    wanted.dedup_by(|a, b| a.image == b.image);
    wanted
}
