//! Whether traffic may be taken away: only from a cluster that is seen, and only while
//! another one serves.

use std::collections::BTreeMap;

use crate::{
    placement::Placement,
    world::{MemberFacts, MemberView, World},
};

/// Whether a cluster may lose its traffic: it is not placed, and another one serves
/// without it. What has lost it already may go in any case.
pub(crate) fn may_leave(world: &World, placement: &Placement, name: &str) -> bool {
    if placement.is_placed(name) {
        return false;
    }
    let serves = |other: &String| {
        let Some((_, view)) = world.seen(other) else {
            return false;
        };
        let serving = world.serving(other);
        let well = |(revision, _): &(String, i32)| {
            let objects = view.revisions.get(revision);
            objects.is_some_and(|objects| objects.ready > 0 && objects.ready >= objects.replicas)
        };
        !serving.is_empty() && serving.iter().all(well) && view.applied()
    };
    world.serving(name).is_empty() || placement.placed.iter().any(serves)
}

/// Whether a cluster's own gateways may stop serving here: no other cluster that is seen
/// sends requests to them any more, which would cross twice.
pub(crate) fn may_stop(world: &World, placement: &Placement, name: &str) -> bool {
    let others = world.members.iter().filter(|(other, _)| *other != name);
    let mut views = others.filter_map(|(_, member)| member.seen());
    let forgot = |view: &MemberView| {
        let Some(snapshot) = &view.snapshot else {
            return true;
        };
        let mut regions = snapshot.spec.regions.iter();
        !regions.any(|region| region.cluster == name) && view.applied()
    };
    may_leave(world, placement, name) && views.all(forgot)
}

/// Whether what has weight 0 may be forgotten: gateways have routed without it for long
/// enough, and what serves instead is well.
pub(super) fn drained(
    world: &World,
    member: &MemberFacts,
    view: &MemberView,
    weights: &BTreeMap<String, i32>,
) -> bool {
    let well = weights
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .all(|(revision, _)| {
            let objects = view.revisions.get(revision);
            objects.is_some_and(|objects| objects.ready >= objects.replicas)
        });
    well && world.is_drained(member, view)
}
