//! A deployment that was deleted: what it put into clusters is removed from those that
//! are seen, and it waits for the others until somebody says that it need not.

use mcdeploy_api::{
    ClusterStatus, ConditionStatus, ConditionType, ModelDeploymentStatus, Reason, Ternary, names,
    set_condition,
};

use crate::{Action, MemberFacts, MemberView, Plan, Sight, Waiting, World, placement, staging};

/// Gateways forget the model first, then its objects go. The finalizer is taken off once
/// a look found nothing left.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::empty(world);
    for (name, member) in &world.members {
        match &member.sight {
            Sight::Seen(view) => {
                let removals = removals(name, view);
                if !removals.is_empty() {
                    plan.waiting.push(removing(world, name, &removals));
                }
                plan.actions.extend(removals);
            }
            Sight::Unknown { reason, message } => {
                let abandoned = world.deployment.abandoned.contains(name);
                if !abandoned && may_hold_objects(world, name, member) {
                    plan.waiting.push(Waiting {
                        cluster: Some(name.clone()),
                        reason: *reason,
                        message: format!("what it has of this deployment stays there: {message}"),
                    });
                }
            }
        }
    }
    if plan.waiting.is_empty() {
        plan.actions.push(Action::ReleaseDeployment);
    }
    plan
}

/// While gateways know a revision its objects stay, also where removing the snapshot is
/// refused.
fn removals(cluster: &str, view: &MemberView) -> Vec<Action> {
    let cluster = cluster.to_owned();
    if view.snapshot.is_some() {
        return vec![Action::DeleteSnapshot { cluster }];
    }
    if view.revisions.is_empty() {
        return staging::release(&cluster, view).into_iter().collect();
    }
    let revisions = view.revisions.keys();
    let remove = |revision: &String| Action::DeleteRevision {
        cluster: cluster.clone(),
        revision: revision.clone(),
    };
    revisions.map(remove).collect()
}

fn removing(world: &World, cluster: &str, removals: &[Action]) -> Waiting {
    let mut keys = removals.iter().filter_map(Action::upkeep);
    let refused = keys.find_map(|key| world.upkeep.get(&key));
    let message = refused.map_or_else(
        || "its objects are being removed".to_owned(),
        |facts| format!("its objects are not removed: {}", facts.message),
    );
    Waiting {
        cluster: Some(cluster.to_owned()),
        reason: Reason::Deleting,
        message,
    }
}

/// Whether there may be something in a cluster that is not seen. What was never used
/// without access holds nothing; anything else that was ever meant may.
fn may_hold_objects(world: &World, cluster: &str, member: &MemberFacts) -> bool {
    let rows = &world.deployment.status.clusters;
    let row = rows.iter().find(|row| row.cluster == cluster);
    let unusable = Reason::AccessNotSupported;
    if matches!(&member.sight, Sight::Unknown { reason, .. } if *reason == unusable) {
        return row.is_some_and(|row| row.revision.is_some() || row.next_revision.is_some());
    }
    let waves = world
        .rollouts
        .iter()
        .flat_map(|rollout| &rollout.spec.waves);
    let mut rolled_out = waves.flat_map(|wave| &wave.clusters);
    let placed = placement::placed(&world.deployment.spec, &world.members);
    row.is_some()
        || rolled_out.any(|name| name == cluster)
        || placed.iter().any(|name| name == cluster)
}

/// What users are told meanwhile: a row per cluster that is waited for.
pub(crate) fn status(world: &World, plan: &Plan) -> ModelDeploymentStatus {
    let mut status = world.deployment.status.clone();
    let generation = Some(world.deployment.generation);
    status.observed_generation = generation;
    let rows = plan.waiting.iter();
    status.clusters = rows.filter_map(|waiting| row(world, waiting)).collect();
    status.serving_clusters = None;
    let moves = !plan.actions.is_empty();
    let progressing = if moves {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    let message = message(world, plan);
    for (kind, state) in [
        (ConditionType::Ready, ConditionStatus::False),
        (ConditionType::Progressing, progressing),
    ] {
        let (list, why) = (&mut status.conditions, Reason::Deleting);
        set_condition(
            list,
            kind,
            state,
            why,
            message.clone(),
            generation,
            world.now,
        );
    }
    status
}

fn row(world: &World, waiting: &Waiting) -> Option<ClusterStatus> {
    let cluster = waiting.cluster.as_ref()?;
    let member = world.members.get(cluster)?;
    let rows = &world.deployment.status.clusters;
    let before = rows.iter().find(|row| row.cluster == *cluster);
    let mut row = before
        .cloned()
        .unwrap_or_else(|| crate::status::new_row(world, cluster, member));
    row.reachable = match member.sight {
        Sight::Seen(_) => Ternary::True,
        Sight::Unknown { .. } => Ternary::Unknown,
    };
    waiting.reason.as_str().clone_into(&mut row.reason);
    row.message.clone_from(&waiting.message);
    Some(row)
}

fn message(world: &World, plan: &Plan) -> String {
    let unseen = plan.waiting.iter().filter(|w| w.reason != Reason::Deleting);
    let unseen: Vec<_> = unseen.filter_map(|w| w.cluster.as_deref()).collect();
    let seen = plan.waiting.iter().filter(|w| w.reason == Reason::Deleting);
    let seen: Vec<_> = seen.filter_map(|w| w.cluster.as_deref()).collect();
    let mut parts = Vec::new();
    if !seen.is_empty() {
        parts.push(format!(
            "objects are being removed from {}",
            seen.join(", ")
        ));
    }
    if !unseen.is_empty() {
        parts.push(format!(
            "{} cannot be seen, and what is there stays there: bring it back, or let it go with `kubectl annotate modeldeployment {} --namespace {} {}={}`",
            unseen.join(", "),
            world.deployment.name,
            world.deployment.namespace,
            names::ANNOTATION_ABANDON_CLUSTERS,
            unseen.join(",")
        ));
    }
    if parts.is_empty() {
        parts.push("nothing is left of it".to_owned());
    }
    parts.join("; ")
}
