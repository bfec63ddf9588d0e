//! What users are told: rows, conditions, the record of each rollout.

use mcdeploy_api::{
    ClusterStatus, ConditionStatus, ConditionType, ModelDeploymentStatus, ModelRolloutStatus,
    Reason, RolloutStep, RolloutStepState, Ternary, TrafficPolicyStatus, set_condition,
};

use crate::{
    Action, MemberFacts, MemberView, Plan, Sight, Step, World, decide::rollout_name, placement,
    retire, traffic,
};

/// Statuses to be written where they differ from what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Statuses {
    /// Of the deployment.
    pub deployment: ModelDeploymentStatus,
    /// Of rollouts whose status changes, by name.
    pub rollouts: Vec<(String, ModelRolloutStatus)>,
    /// Of the traffic policy, if there is one and no new decision was planned.
    pub policy: Option<TrafficPolicyStatus>,
}

/// Computes every status from what was seen and what is planned.
pub fn status(world: &World, plan: &Plan) -> Statuses {
    if world.deployment.deleting {
        // The records go with it.
        return Statuses {
            deployment: retire::status(world, plan),
            rollouts: vec![],
            policy: None,
        };
    }
    let placed = placement::placed(&world.deployment.spec, &world.members);
    let mut rows: Vec<_> = world
        .members
        .iter()
        .filter(|(name, member)| placed.contains(name) || holds(world, name, member))
        .map(|(name, member)| row(world, plan, name, member, placed.contains(name)))
        .collect();
    rows.sort_by(|a, b| a.cluster.cmp(&b.cluster));
    Statuses {
        rollouts: rollouts(world, plan),
        policy: policy(world, plan, &placed),
        deployment: deployment(world, plan, rows, &placed),
    }
}

/// Whether there is something of the deployment in a cluster, as far as is known.
fn holds(world: &World, name: &str, member: &MemberFacts) -> bool {
    let rows = &world.deployment.status.clusters;
    match member.seen() {
        Some(view) => view.snapshot.is_some() || !view.revisions.is_empty(),
        None => rows.iter().any(|row| row.cluster == name),
    }
}

/// The row of a cluster that nothing was told about yet.
pub(crate) fn new_row(world: &World, name: &str, member: &MemberFacts) -> ClusterStatus {
    ClusterStatus {
        cluster: name.to_owned(),
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
    name: &str,
    member: &MemberFacts,
    placed: bool,
) -> ClusterStatus {
    let rows = &world.deployment.status.clusters;
    let before = rows.iter().find(|row| row.cluster == name);
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
    let step = steps.find(|step| step.cluster == name);
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
    name: &str,
    member: &MemberFacts,
    view: &MemberView,
    step: Option<&Step>,
    row: &mut ClusterStatus,
) {
    let serving = traffic::serving(world, name);
    let heaviest = serving.iter().max_by_key(|(_, weight)| *weight);
    match heaviest {
        None => {
            row.revision = None;
            row.version = None;
            row.weight = 0;
        }
        // Until the gateway says so, the row goes on telling what was true.
        Some((revision, weight)) if view.applied() => {
            row.revision = Some(revision.clone());
            row.weight = *weight;
            let mut listed = view.snapshot.iter().flat_map(|now| &now.spec.revisions);
            let listed = listed.find(|route| route.revision == *revision);
            row.version = listed.map(|route| route.version.clone());
        }
        Some(_) => {}
    }
    let goal = step.map(|step| &step.revision);
    let next =
        goal.filter(|id| row.revision.as_ref() != Some(*id) && view.revisions.contains_key(*id));
    row.next_revision = next.cloned();
    let newest = row.next_revision.as_ref().or(row.revision.as_ref());
    let objects = newest.and_then(|revision| view.revisions.get(revision));
    row.ready_replicas = objects.map_or(0, |objects| objects.ready);
    row.desired_replicas = if step.is_some() {
        world.deployment.spec.replicas
    } else {
        objects.map_or(row.desired_replicas, |objects| objects.replicas)
    };
    let target = plan.target.as_ref().filter(|(id, _)| goal == Some(id));
    let other = goal.or(row.revision.as_ref());
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
        let leaving = leaving.find(|waiting| waiting.cluster.as_ref() == Some(&row.cluster));
        return match leaving {
            Some(waiting) => (waiting.reason, waiting.message.clone()),
            None => (
                Reason::OutOfScope,
                format!("no longer placed; {version} is left as it is"),
            ),
        };
    }
    if row.revision.as_ref() == target {
        return (Reason::Serving, String::new());
    }
    let message = format!("outside the rollout's scope, keeps {version}");
    (Reason::OutOfScope, message)
}

fn deployment(
    world: &World,
    plan: &Plan,
    rows: Vec<ClusterStatus>,
    placed: &[String],
) -> ModelDeploymentStatus {
    let mut status = world.deployment.status.clone();
    let generation = world.deployment.generation;
    status.observed_generation = Some(generation);
    if let Some((target, _)) = &plan.target {
        status.target_revision = Some(target.clone());
        status.rollout = Some(rollout_name(world));
    }
    let target = plan.target.as_ref().map(|(id, _)| id);
    let on_target = |row: &&ClusterStatus| {
        target.is_some() && row.revision.as_ref() == target && placed.contains(&row.cluster)
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

type Verdict = (ConditionStatus, Reason, String);

/// The target serves in every cluster of the scope.
fn complete(plan: &Plan) -> Verdict {
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
fn ready(complete: &Verdict, rows: &[ClusterStatus], placed: &[String]) -> Verdict {
    if complete.0 != ConditionStatus::True {
        return complete.clone();
    }
    let mut rows = rows.iter().filter(|row| placed.contains(&row.cluster));
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

/// The present rollout follows the plan; earlier ones that did not finish are told who
/// took their place.
fn rollouts(world: &World, plan: &Plan) -> Vec<(String, ModelRolloutStatus)> {
    let generation = world.deployment.generation;
    let current = rollout_name(world);
    let mut changed = Vec::new();
    for rollout in &world.rollouts {
        if finished(&rollout.status) {
            continue;
        }
        let mut status = rollout.status.clone();
        if rollout.name == current && plan.invalid.is_none() {
            status.steps = plan.steps.iter().map(step).collect();
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

fn step(step: &Step) -> RolloutStep {
    RolloutStep {
        cluster: step.cluster.clone(),
        state: step.state,
        reason: step.reason.as_str().to_owned(),
        message: step.message.clone(),
    }
}

/// The target was seen serving in every cluster of the scope.
pub(crate) fn is_complete(status: &ModelRolloutStatus) -> bool {
    let complete = ConditionType::Complete.as_str();
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.type_ == complete && c.status == ConditionStatus::True.as_str())
}

/// Complete, or superseded already: the record is closed.
pub(crate) fn finished(status: &ModelRolloutStatus) -> bool {
    status.conditions.iter().any(|condition| {
        let done = condition.type_ == ConditionType::Complete.as_str();
        let replaced = condition.type_ == ConditionType::Superseded.as_str();
        (done || replaced) && condition.status == ConditionStatus::True.as_str()
    })
}

fn policy(world: &World, plan: &Plan, placed: &[String]) -> Option<TrafficPolicyStatus> {
    let policy = world.policy.as_ref()?;
    let decides = |action: &Action| matches!(action, Action::DecideTraffic(_));
    if plan.invalid.is_some() || plan.actions.iter().any(decides) {
        return None;
    }
    let mut status = policy.status.clone();
    status.observed_generation = Some(policy.generation);
    let is_placed = |name: &str| placed.iter().any(|placed| placed == name);
    let behind = world.members.iter().filter(|(name, member)| {
        let view = member.seen().filter(|view| view.snapshot.is_some());
        is_placed(name) && view.is_some_and(|view| !view.applied())
    });
    let behind: Vec<_> = behind.map(|(name, _)| name.as_str()).collect();
    let publishes = plan.actions.iter().filter(|action| {
        let publishes = matches!(action, Action::PublishSnapshot { .. });
        publishes && action.cluster().is_some_and(is_placed)
    });
    let publishes = publishes.filter_map(Action::cluster);
    let mut late: Vec<_> = behind.into_iter().chain(publishes).collect();
    late.sort_unstable();
    late.dedup();
    let (state, reason, message) = if late.is_empty() {
        let message = "every reachable gateway routes by the decision in force";
        (ConditionStatus::True, Reason::AsDesired, message.to_owned())
    } else {
        let message = format!("not yet in force in {}", late.join(", "));
        (ConditionStatus::False, Reason::GatewayBehind, message)
    };
    let (list, kind) = (&mut status.conditions, ConditionType::Ready);
    let generation = Some(policy.generation);
    set_condition(list, kind, state, reason, message, generation, world.now);
    Some(status)
}
