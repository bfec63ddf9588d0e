//! What the gateways of each cluster are told.

use std::collections::BTreeMap;

use mcdeploy_api::{Epoch, RegionRoute, RevisionRoute, RoutingSnapshotSpec, names};

use super::{
    leave::leaving,
    safety::{Permit, Way, drained},
};
use crate::{
    names::{ClusterName, RevisionId},
    placement::Placement,
    world::{MemberFacts, MemberView, PolicyFacts, World},
};

/// What every cluster that is seen should be told.
#[derive(Default)]
pub(super) struct Snapshots {
    /// Name and hash of each that there is to be, sorted by name.
    pub(super) contents: Vec<(ClusterName, String)>,
    /// Those that differ from what stands there, without an epoch.
    pub(super) changed: Vec<RoutingSnapshotSpec>,
    /// Something is listed only until it has drained.
    pub(super) draining: bool,
}

/// Compares what gateways are told with what they may be told.
pub(super) fn snapshots(
    world: &World,
    placement: &Placement,
    policy: &PolicyFacts,
    permit: &Permit,
) -> Snapshots {
    let mut told = placement.placed.clone();
    told.extend(leaving(world, placement));
    told.sort();
    let mut all = Snapshots::default();
    for name in &told {
        let Some((member, view)) = world.seen(name) else {
            continue;
        };
        let (revisions, draining) = revisions(world, placement, permit, name, member, view);
        all.draining |= draining;
        let spec = RoutingSnapshotSpec {
            model: placement.target.record.model.clone(),
            epoch: Epoch::default(),
            hash: String::new(),
            cluster: name.to_string(),
            repeatable: policy.spec.repeatable,
            local_weight: local_weight(permit, name, &revisions),
            revisions,
            regions: regions(world, permit, name, view),
        };
        let is_empty = spec.regions.is_empty() || !placement.is_placed(name);
        if spec.revisions.is_empty() && is_empty && view.snapshot.is_none() {
            continue;
        }
        let hash = spec.content_hash();
        let same = view
            .snapshot
            .as_ref()
            .is_some_and(|now| now.spec.hash == hash && now.spec.content_hash() == hash);
        all.contents.push((name.clone(), hash.clone()));
        if !same {
            all.changed.push(RoutingSnapshotSpec { hash, ..spec });
        }
    }
    all
}

/// Revisions that a cluster's gateways should know, sorted by id, and whether one of
/// them is there only until it has drained.
fn revisions(
    world: &World,
    placement: &Placement,
    permit: &Permit,
    name: &ClusterName,
    member: &MemberFacts,
    view: &MemberView,
) -> (Vec<RevisionRoute>, bool) {
    let serving = world.serving(name).into_iter();
    let mut weights: BTreeMap<RevisionId, i32> =
        serving.map(|(revision, _)| (revision, 0)).collect();
    let share = permit.share(name).into_iter();
    weights.extend(share.map(|(revision, part)| (revision, part.get())));
    let present = |revision: &RevisionId| {
        let objects = view.revisions.get(revision);
        objects.is_some_and(|objects| objects.input_hash.is_some())
    };
    let goal = placement.goal(name).map(|goal| &goal.revision);
    if let Some(goal) = goal.filter(|goal| present(goal)) {
        weights.entry(goal.clone()).or_insert(0);
    }
    let is_drained = drained(world, member, view, &weights);
    let mut draining = false;
    let listed = view.snapshot.iter().flat_map(|now| &now.spec.revisions);
    for route in listed {
        let revision = RevisionId::from(&route.revision);
        if !weights.contains_key(&revision) && present(&revision) && !is_drained {
            weights.insert(revision, 0);
            draining = true;
        }
    }
    let routes = weights.into_iter().filter_map(|(revision, weight)| {
        let version = version_of(world, placement, view, &revision)?;
        let service = names::revision_object_name(&world.deployment.name, &revision);
        Some(RevisionRoute {
            revision: revision.into(),
            version,
            service,
            weight,
        })
    });
    (routes.collect(), draining)
}

fn version_of(
    world: &World,
    placement: &Placement,
    view: &MemberView,
    revision: &RevisionId,
) -> Option<String> {
    if *revision == placement.target.revision {
        return Some(placement.target.record.version.clone());
    }
    let recorded = world.records.get(revision);
    view.route(revision)
        .map(|route| route.version.clone())
        .or(recorded.map(|record| record.version.clone()))
}

/// What the gateways of a cluster keep in their own region; `None`: all that they can.
fn local_weight(permit: &Permit, name: &ClusterName, revisions: &[RevisionRoute]) -> Option<i32> {
    let serves = revisions.iter().any(|route| route.weight > 0);
    permit
        .weight(name)
        .map(|weight| if serves { weight } else { 0 })
}

/// Other regions, as the gateways of `name` should know them, sorted by cluster.
fn regions(
    world: &World,
    permit: &Permit,
    name: &ClusterName,
    view: &MemberView,
) -> Vec<RegionRoute> {
    let known = |cluster: &ClusterName| {
        let snapshot = view.snapshot.as_ref()?;
        let mut regions = snapshot.spec.regions.iter();
        regions.find(|region| region.cluster == *cluster)
    };
    let others = world.members.iter().filter(|(other, _)| *other != name);
    let routes = others.filter_map(|(other, member)| {
        let known = known(other);
        let weight = permit.weight(other);
        match permit.way(other) {
            Way::Closed => None,
            Way::Kept => known.cloned(),
            Way::Frozen => {
                let known = known?;
                let weight = weight.map_or(known.weight, |weight| weight.min(known.weight));
                Some(RegionRoute {
                    weight,
                    ..known.clone()
                })
            }
            Way::Open => {
                let serving = world.serving(other).into_iter();
                let revisions: Vec<_> = serving.map(|(revision, _)| revision.into()).collect();
                let address = member.gateway.clone();
                let address = address.or(known.map(|known| known.address.clone()))?;
                // Others come only after its own gateways.
                (!revisions.is_empty()).then(|| RegionRoute {
                    cluster: other.to_string(),
                    provider: member.provider,
                    address,
                    weight: weight.unwrap_or(1),
                    revisions,
                })
            }
        }
    });
    routes.collect()
}
