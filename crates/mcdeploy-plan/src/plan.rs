//! The street: each step looks at what was observed and at what the steps before it found,
//! and at nothing behind it. `cargo xtask tidy` holds the order.

use mcdeploy_api::{PinnedImage, RolloutStepState};

use crate::{
    action::{Action, Invalid, Plan, Step, Waiting},
    artifact,
    asks::{ImageWanted, ProbeWanted, ReplicaWanted},
    rollout::{self, Judged},
    traffic, upkeep,
    validate::{Valid, validate},
    world::World,
};

/// Decides what to do about a world.
pub fn plan(world: &World) -> Plan {
    let plan = if world.deployment.deleting {
        upkeep::deleted(world)
    } else {
        match validate(world) {
            Ok(valid) => rollout_plan(world, valid),
            Err(invalid) => invalid_plan(world, invalid),
        }
    };
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

fn rollout_plan(world: &World, valid: Valid) -> Plan {
    let mut plan = Plan::empty(world);
    plan.actions = rollout::records(world, &valid);
    plan.actions.extend(upkeep::forget(world, &valid));
    plan.actions
        .extend(artifact::staging_actions(world, &valid));
    let mut raises = Vec::new();
    plan.steps = take(
        &mut plan.actions,
        &mut raises,
        rollout::judge_all(world, &valid),
    );
    plan.joining = take(
        &mut plan.actions,
        &mut raises,
        rollout::judge_joining(world, &valid),
    );
    add(&mut plan.actions, rollout::keep(world, &valid));
    plan.actions = artifact::read_once(plan.actions);
    let traffic = traffic::plan(world, &valid, &raises);
    plan.actions.extend(traffic.actions);
    let left = upkeep::prune(world, &valid);
    plan.actions.extend(left.actions);
    plan.waiting = waiting(plan.steps.iter().chain(&plan.joining));
    plan.waiting.extend(left.waiting);
    plan.draining = traffic.draining || left.draining;
    plan.target = Some((valid.target, valid.record));
    plan
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
fn acted_on(world: &World) -> Option<Valid> {
    validate(world).ok().filter(|_| !world.deployment.deleting)
}

/// Copies to look at for this world: those of the target, and of what a new cluster gets,
/// in every member's store and where they were pushed, and that of a revision whose
/// objects have to be put back. Sorted.
pub fn replicas_wanted(world: &World) -> Vec<ReplicaWanted> {
    let Some(valid) = acted_on(world) else {
        return vec![];
    };
    let joining = valid.base_goal().filter(|_| !valid.joining.is_empty());
    let mut wanted = Vec::new();
    for goal in [Some(valid.target_goal()), joining].into_iter().flatten() {
        let stores = world.members.values().map(|member| member.store.clone());
        let stores = stores.chain([goal.origin.to_owned()]);
        let known = stores.filter(|store| world.stores.contains_key(store));
        wanted.extend(known.map(|store| ReplicaWanted {
            store,
            model: goal.record.model.clone(),
            version: goal.record.version.clone(),
            digest: goal.digest(),
        }));
    }
    for name in &valid.placed {
        let Some(member) = world.members.get(name) else {
            continue;
        };
        let Some((_, record)) = rollout::kept_revision(world, &valid, name, member) else {
            continue;
        };
        wanted.push(ReplicaWanted {
            store: member.store.clone(),
            model: record.model.clone(),
            version: record.version.clone(),
            digest: record.manifest_digest,
        });
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Probes to take for this world.
pub fn probes_wanted(world: &World) -> Vec<ProbeWanted> {
    let Some(valid) = acted_on(world) else {
        return vec![];
    };
    let judged = rollout::judge_all(world, &valid).into_iter();
    let joining = rollout::judge_joining(world, &valid);
    let judged = judged.chain(joining);
    judged.filter_map(|judged| judged.probe).collect()
}

/// Images to look for in this world, in every member's registry: those of the target, of
/// what a new cluster gets, and of revisions whose objects have to be put back. One entry
/// per image, sorted.
pub fn images_wanted(world: &World) -> Vec<ImageWanted> {
    let Some(valid) = acted_on(world) else {
        return vec![];
    };
    let joining = valid.base_goal().filter(|_| !valid.joining.is_empty());
    let goals = [Some(valid.target_goal()), joining].into_iter().flatten();
    let goals = goals.map(|goal| goal.record);
    let placed = valid.placed.iter();
    let kept = placed.filter_map(|name| {
        let member = world.members.get(name)?;
        Some(rollout::kept_revision(world, &valid, name, member)?.1)
    });
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
