//! How much of the past the hub keeps.

use std::collections::BTreeSet;

use crate::{
    action::Action,
    names::RevisionId,
    placement::Placement,
    world::{RolloutFacts, World},
};

/// Rollouts that are kept, the present one included.
const KEPT: usize = 10;

/// Removes the oldest records, if they are closed and no cluster may need them. What a
/// cluster needs is known only while every cluster is seen.
pub(crate) fn forget(world: &World, placement: &Placement) -> Vec<Action> {
    let mut rollouts: Vec<_> = world.rollouts.iter().collect();
    rollouts.sort_by_key(|rollout| std::cmp::Reverse(rollout.spec.deployment_generation));
    let (kept, old) = rollouts.split_at(rollouts.len().min(KEPT));
    let last_complete = rollouts.iter().find(|rollout| rollout.is_complete());
    let is_base =
        |rollout: &RolloutFacts| last_complete.is_some_and(|last| last.name == rollout.name);
    let closed = old
        .iter()
        .filter(|rollout| rollout.is_closed() && !is_base(rollout));
    let mut actions: Vec<_> = closed
        .map(|rollout| Action::DeleteRollout {
            name: rollout.name.clone(),
        })
        .collect();
    if !world.members.values().all(|member| member.seen().is_some()) {
        return actions;
    }
    let mut needed: BTreeSet<&str> = kept.iter().map(|r| r.spec.to_revision.as_str()).collect();
    needed.insert(&placement.target.revision);
    // A cluster that joins gets it.
    needed.extend(placement.base.iter().map(|base| base.revision.as_str()));
    let rows = &world.deployment.status.clusters;
    needed.extend(rows.iter().filter_map(|row| row.revision.as_deref()));
    let views = world.members.values().filter_map(|member| member.seen());
    needed.extend(views.flat_map(|view| view.revisions.keys().map(RevisionId::as_str)));
    let members = world.members.keys();
    let serving: Vec<_> = members.flat_map(|name| world.serving(name)).collect();
    needed.extend(serving.iter().map(|(revision, _)| revision.as_str()));
    let unneeded = world
        .records
        .keys()
        .filter(|id| !needed.contains(id.as_str()));
    actions.extend(unneeded.map(|revision| Action::DeleteRecord {
        revision: revision.clone(),
    }));
    actions
}
