//! A deployment that was deleted: what it put into clusters is removed from those that
//! are seen, and it waits for the others until a user says that it need not.

use mcdeploy_api::Reason;

use crate::{
    action::{Action, Plan, Waiting},
    artifact,
    names::{ClusterName, RevisionId},
    world::{MemberFacts, MemberView, Sight, World, placed},
};

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
fn removals(cluster: &ClusterName, view: &MemberView) -> Vec<Action> {
    let cluster = cluster.clone();
    if view.snapshot.is_some() {
        return vec![Action::DeleteSnapshot { cluster }];
    }
    if view.revisions.is_empty() {
        return artifact::release(&cluster, view).into_iter().collect();
    }
    let revisions = view.revisions.keys();
    let remove = |revision: &RevisionId| Action::DeleteRevision {
        cluster: cluster.clone(),
        revision: revision.clone(),
    };
    revisions.map(remove).collect()
}

fn removing(world: &World, cluster: &ClusterName, removals: &[Action]) -> Waiting {
    let mut keys = removals.iter().filter_map(Action::upkeep);
    let refused = keys.find_map(|key| world.upkeep.get(&key));
    let message = refused.map_or_else(
        || "its objects are being removed".to_owned(),
        |facts| format!("its objects are not removed: {}", facts.message),
    );
    Waiting {
        cluster: Some(cluster.clone()),
        reason: Reason::Deleting,
        message,
    }
}

/// Whether there may be something in a cluster that is not seen. What was never used
/// without access holds nothing; anything else that was ever meant may.
fn may_hold_objects(world: &World, cluster: &ClusterName, member: &MemberFacts) -> bool {
    let row = world.row(cluster);
    let unusable = Reason::AccessNotSupported;
    if matches!(&member.sight, Sight::Unknown { reason, .. } if *reason == unusable) {
        return row.is_some_and(|row| row.revision.is_some() || row.next_revision.is_some());
    }
    let waves = world
        .rollouts
        .iter()
        .flat_map(|rollout| &rollout.spec.waves);
    let mut rolled_out = waves.flat_map(|wave| &wave.clusters);
    let placed = placed(&world.deployment.spec, &world.members);
    row.is_some()
        || rolled_out.any(|name| name == cluster)
        || placed.iter().any(|name| name == cluster)
}
