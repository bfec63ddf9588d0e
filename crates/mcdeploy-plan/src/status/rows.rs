//! One row a cluster.

use mcdeploy_api::{ClusterStatus, Reason, RolloutStepState, Ternary};

use crate::{
    action::{Plan, Step},
    names::{ClusterName, RevisionId},
    world::{MemberFacts, MemberView, Sight, World},
};

/// One row per cluster that is placed or has something, sorted by name.
pub(super) fn rows(world: &World, plan: &Plan, placed: &[ClusterName]) -> Vec<ClusterStatus> {
    let mut rows: Vec<_> = world
        .members
        .iter()
        .filter(|(name, member)| placed.contains(name) || holds(world, name, member))
        .map(|(name, member)| row(world, plan, name, member, placed.contains(name)))
        .collect();
    rows.sort_by(|a, b| a.cluster.cmp(&b.cluster));
    rows
}

/// Whether there is something of the deployment in a cluster, as far as is known.
fn holds(world: &World, name: &ClusterName, member: &MemberFacts) -> bool {
    match member.seen() {
        Some(view) => view.holds_objects(),
        None => world.row(name).is_some(),
    }
}

/// The row of a cluster that nothing was told about yet.
pub(super) fn new_row(world: &World, name: &ClusterName, member: &MemberFacts) -> ClusterStatus {
    ClusterStatus {
        cluster: name.to_string(),
        provider: member.provider,
        reachable: Ternary::Unknown,
        revision: None,
        version: None,
        next_revision: None,
        desired_replicas: world.deployment.spec.replicas,
        ready_replicas: 0,
        weight: 0,
        artifact_bytes: 0,
        reason: String::new(),
        message: String::new(),
    }
}

fn row(
    world: &World,
    plan: &Plan,
    name: &ClusterName,
    member: &MemberFacts,
    placed: bool,
) -> ClusterStatus {
    let before = world.row(name);
    let mut row = before
        .cloned()
        .unwrap_or_else(|| new_row(world, name, member));
    let view = match &member.sight {
        Sight::Unknown { reason, message } => {
            row.reachable = Ternary::Unknown;
            reason.as_str().clone_into(&mut row.reason);
            row.message.clone_from(message);
            return row;
        }
        Sight::Seen(view) => view,
    };
    row.reachable = Ternary::True;
    let mut steps = plan.steps.iter().chain(&plan.joining);
    let step = steps.find(|step| step.cluster == *name);
    observed(world, plan, name, member, view, step, &mut row);
    let (reason, message) = explain(plan, view, step, placed, &row);
    reason.as_str().clone_into(&mut row.reason);
    row.message = message;
    row
}

/// The numbers of a row, from a cluster that is seen.
fn observed(
    world: &World,
    plan: &Plan,
    name: &ClusterName,
    member: &MemberFacts,
    view: &MemberView,
    step: Option<&Step>,
    row: &mut ClusterStatus,
) {
    let serving = world.serving(name);
    let heaviest = serving.iter().max_by_key(|(_, weight)| *weight);
    match heaviest {
        None => {
            row.revision = None;
            row.version = None;
            row.weight = 0;
        }
        // Until the gateway says so, the row goes on telling what was true.
        Some((revision, weight)) if view.applied() => {
            row.revision = Some(revision.to_string());
            row.weight = *weight;
            row.version = view.route(revision).map(|route| route.version.clone());
        }
        Some(_) => {}
    }
    let goal = step.map(|step| &step.revision);
    let next = goal.filter(|id| {
        row.revision.as_deref() != Some(id.as_str()) && view.revisions.contains_key(*id)
    });
    row.next_revision = next.map(ToString::to_string);
    let newest = row.next_revision.as_ref().or(row.revision.as_ref());
    let objects = newest.and_then(|revision| view.revisions.get(revision));
    row.ready_replicas = objects.map_or(0, |objects| objects.ready);
    row.desired_replicas = if step.is_some() {
        world.deployment.spec.replicas
    } else {
        objects.map_or(row.desired_replicas, |objects| objects.replicas)
    };
    let target = plan.target.as_ref().filter(|(id, _)| goal == Some(id));
    let other = goal.map(RevisionId::as_str).or(row.revision.as_deref());
    let record = target
        .map(|(_, record)| record)
        .or_else(|| other.and_then(|id| world.records.get(id)));
    let copy = record.map(|record| (member.store.clone(), record.manifest_digest));
    if let Some(replica) = copy.and_then(|copy| world.replicas.get(&copy)) {
        row.artifact_bytes = replica.verified_bytes;
    }
}

/// Why a row is as it is.
fn explain(
    plan: &Plan,
    view: &MemberView,
    step: Option<&Step>,
    placed: bool,
    row: &ClusterStatus,
) -> (Reason, String) {
    if let Some(step) = step.filter(|step| step.state != RolloutStepState::Done) {
        return (step.reason, step.message.clone());
    }
    let objects = row.revision.as_ref().and_then(|id| view.revisions.get(id));
    let version = row.version.as_deref().unwrap_or("nothing");
    if let Some(objects) = objects.filter(|objects| objects.ready < objects.replicas) {
        let pods = format!("{} of {} pods are ready", objects.ready, objects.replicas);
        return match &objects.problem {
            Some(problem) => (problem.reason, problem.message.clone()),
            None => (Reason::PodsNotReady, pods),
        };
    }
    if row.revision.is_some() && objects.is_none() {
        let message = format!("the objects that serve {version} are not there");
        return (Reason::PodsNotReady, message);
    }
    let target = plan.target.as_ref().map(|(id, _)| id);
    if let Some(invalid) = &plan.invalid {
        return (invalid.reason(), format!("serves {version}: {invalid}"));
    }
    if !placed {
        let mut leaving = plan.waiting.iter();
        let leaving = leaving.find(|waiting| waiting.cluster.as_deref() == Some(&*row.cluster));
        return match leaving {
            Some(waiting) => (waiting.reason, waiting.message.clone()),
            None => (
                Reason::OutOfScope,
                format!("no longer placed; {version} is left as it is"),
            ),
        };
    }
    if row.revision.as_deref() == target.map(RevisionId::as_str) {
        return (Reason::Serving, String::new());
    }
    let message = format!("outside the rollout's scope, keeps {version}");
    (Reason::OutOfScope, message)
}
