//! What users are told of a deployment that was deleted, as long as clusters have something.

use mcdeploy_api::{
    ClusterStatus, ConditionStatus, ConditionType, ModelDeploymentStatus, Reason, Ternary, names,
    set_condition,
};

use super::rows::new_row;
use crate::{
    action::{Plan, Waiting},
    world::{Sight, World},
};

/// What users are told meanwhile: a row per cluster that is waited for.
pub(super) fn status(world: &World, plan: &Plan) -> ModelDeploymentStatus {
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
    let before = world.row(cluster);
    let mut row = before
        .cloned()
        .unwrap_or_else(|| new_row(world, cluster, member));
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
