//! Taking a deployment off a cluster that is no longer placed: other clusters stop
//! sending requests there, then its own gateways send theirs elsewhere, then what
//! nobody asks any more is removed. Only in a cluster that is seen, and only while
//! another one serves.

use mcdeploy_api::Reason;

use crate::{
    Action, MemberView, Waiting, World,
    traffic::{seen, serving},
    validate::Valid,
};

/// What is left to do in clusters that leave.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) actions: Vec<Action>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) draining: bool,
}

/// Clusters that are seen, are no longer placed and still have something, sorted.
pub(crate) fn leaving(world: &World, valid: &Valid) -> Vec<String> {
    let members = world.members.iter().filter(|(name, member)| {
        let has = |view: &MemberView| view.snapshot.is_some() || !view.revisions.is_empty();
        !valid.placed.contains(name) && member.seen().is_some_and(has)
    });
    members.map(|(name, _)| name.clone()).collect()
}

/// Whether a cluster may lose its traffic: it is not placed, and another one serves
/// without it. What has lost it already may go in any case.
pub(crate) fn may_leave(world: &World, valid: &Valid, name: &str) -> bool {
    if valid.placed.iter().any(|placed| placed == name) {
        return false;
    }
    let serves = |other: &String| {
        let Some((_, view)) = seen(world, other) else {
            return false;
        };
        let serving = serving(world, other);
        let well = |(revision, _): &(String, i32)| {
            let objects = view.revisions.get(revision);
            objects.is_some_and(|objects| objects.ready > 0 && objects.ready >= objects.replicas)
        };
        !serving.is_empty() && serving.iter().all(well) && view.applied()
    };
    serving(world, name).is_empty() || valid.placed.iter().any(serves)
}

/// Whether a cluster's own gateways may stop serving here: nobody else that is seen sends
/// requests to them any more, which would cross twice.
pub(crate) fn may_stop(world: &World, valid: &Valid, name: &str) -> bool {
    let others = world.members.iter().filter(|(other, _)| *other != name);
    let mut views = others.filter_map(|(_, member)| member.seen());
    let forgot = |view: &MemberView| {
        let Some(snapshot) = &view.snapshot else {
            return true;
        };
        let mut regions = snapshot.spec.regions.iter();
        !regions.any(|region| region.cluster == name) && view.applied()
    };
    may_leave(world, valid, name) && views.all(forgot)
}

/// Removes the snapshot of a cluster in which nothing else is left, and says what the
/// others wait for.
pub(crate) fn finish(world: &World, valid: &Valid) -> Left {
    let mut left = Left::default();
    for name in leaving(world, valid) {
        let Some((member, view)) = seen(world, &name) else {
            continue;
        };
        left.waiting.push(waiting(world, valid, &name, view));
        let routes = view.snapshot.iter().any(|s| !s.spec.revisions.is_empty());
        if routes || !view.revisions.is_empty() {
            continue;
        }
        // Clients that still come here are sent elsewhere for a while.
        let since = member.applied_since.filter(|_| view.applied());
        let drain = world.timings.drain;
        if since.is_some_and(|since| world.now.duration_since(since) >= drain) {
            left.actions.push(Action::DeleteSnapshot { cluster: name });
        } else {
            left.draining = true;
        }
    }
    left
}

fn waiting(world: &World, valid: &Valid, name: &str, view: &MemberView) -> Waiting {
    let mut keys = view
        .revisions
        .keys()
        .map(|revision| Action::DeleteRevision {
            cluster: name.to_owned(),
            revision: revision.clone(),
        });
    let refused = keys.find_map(|action| world.upkeep.get(&action.upkeep()?));
    let (reason, message) = if !may_leave(world, valid, name) {
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
        cluster: Some(name.to_owned()),
        reason,
        message,
    }
}
