//! Removing what no gateway knows any more, and the last snapshot of a cluster that leaves.

use mcdeploy_api::Reason;

use crate::{
    action::{Action, Waiting},
    names::ClusterName,
    placement::Placement,
    traffic::{Held, leaving},
    world::{MemberView, World},
};

/// What is left to do in clusters that leave.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) actions: Vec<Action>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) draining: bool,
}

/// Removes what gateways of placed clusters, and of those that leave, do not know any more.
/// Before there is a policy none was told anything.
pub(crate) fn prune(world: &World, placement: &Placement, held: &[Held]) -> Left {
    if world.policy.is_none() {
        return Left::default();
    }
    let mut told = placement.placed.clone();
    told.extend(leaving(world, placement));
    told.sort();
    let unused = told.iter().flat_map(|name| unused(world, placement, name));
    let actions: Vec<_> = unused.collect();
    let mut left = finish(world, placement, held);
    left.actions.splice(0..0, actions);
    left
}

/// Removes objects of revisions that neither serve, nor shall, nor are known to a
/// gateway. Only in a cluster that is seen, and only once its gateways say that they
/// route by the snapshot without them.
fn unused(world: &World, placement: &Placement, name: &ClusterName) -> Vec<Action> {
    let Some((_, view)) = world.seen(name) else {
        return vec![];
    };
    if view.snapshot.is_some() && !view.applied() {
        return vec![];
    }
    let serving = world.serving(name);
    let keys = view.revisions.keys().filter(|revision| {
        let shall = placement
            .goal(name)
            .is_some_and(|goal| goal.revision == **revision);
        let serves = serving.iter().any(|(r, _)| r == *revision);
        !shall && !serves && view.route(revision).is_none()
    });
    keys.map(|revision| Action::DeleteRevision {
        cluster: name.clone(),
        revision: revision.clone(),
    })
    .collect()
}

/// Removes the snapshot of a cluster in which nothing else is left, and says what the
/// others wait for.
fn finish(world: &World, placement: &Placement, held: &[Held]) -> Left {
    let mut left = Left::default();
    for name in leaving(world, placement) {
        let Some((member, view)) = world.seen(&name) else {
            continue;
        };
        left.waiting.push(waiting(world, held, &name, view));
        let routes = view.snapshot.iter().any(|s| !s.spec.revisions.is_empty());
        if routes || !view.revisions.is_empty() {
            continue;
        }
        // Clients that still come here are sent elsewhere for a while.
        if world.is_drained(member, view) {
            left.actions.push(Action::DeleteSnapshot { cluster: name });
        } else {
            left.draining = true;
        }
    }
    left
}

fn waiting(world: &World, held: &[Held], name: &ClusterName, view: &MemberView) -> Waiting {
    let mut keys = view
        .revisions
        .keys()
        .map(|revision| Action::DeleteRevision {
            cluster: name.clone(),
            revision: revision.clone(),
        });
    let refused = keys.find_map(|action| world.upkeep.get(&action.upkeep()?));
    let is_last = held.contains(&Held::LastServing(name.clone()));
    let (reason, message) = if is_last {
        let message = "no longer placed, and kept until another cluster serves";
        (Reason::LastServing, message.to_owned())
    } else if let Some(facts) = refused {
        let message = format!("no longer placed; not removed: {}", facts.message);
        (Reason::Leaving, message)
    } else {
        let message = "no longer placed: its traffic goes elsewhere, then its objects are removed";
        (Reason::Leaving, message.to_owned())
    };
    Waiting {
        cluster: Some(name.clone()),
        reason,
        message,
    }
}
