//! What the gateways of each cluster are told.

use std::collections::BTreeMap;

use mcdeploy_api::{RegionRoute, RevisionRoute, names};

use super::{
    safety::{drained, may_leave, may_stop},
    weights::policy_weight,
};
use crate::{
    placement::Placement,
    world::{MemberFacts, MemberView, PolicyFacts, World},
};

/// Revisions that a cluster's gateways should know, sorted by id, and whether one of
/// them is there only until it has drained.
pub(super) fn revisions(
    world: &World,
    placement: &Placement,
    name: &str,
    member: &MemberFacts,
    view: &MemberView,
    raises: &[String],
) -> (Vec<RevisionRoute>, bool) {
    let goal = placement.goal(name).map(|goal| goal.revision.as_str());
    let raise = goal.filter(|_| raises.iter().any(|cluster| cluster == name));
    let mut weights: BTreeMap<String, i32> = world.serving(name).into_iter().collect();
    if raise.is_some() || may_stop(world, placement, name) {
        for weight in weights.values_mut() {
            *weight = 0;
        }
    }
    if let Some(goal) = raise {
        weights.insert(goal.to_owned(), 100);
    }
    let present = |revision: &str| {
        let objects = view.revisions.get(revision);
        objects.is_some_and(|objects| objects.input_hash.is_some())
    };
    if let Some(goal) = goal.filter(|goal| present(goal)) {
        weights.entry(goal.to_owned()).or_insert(0);
    }
    let is_drained = drained(world, member, view, &weights);
    let mut draining = false;
    let listed = view.snapshot.iter().flat_map(|now| &now.spec.revisions);
    for route in listed {
        if !weights.contains_key(&route.revision) && present(&route.revision) && !is_drained {
            weights.insert(route.revision.clone(), 0);
            draining = true;
        }
    }
    let routes = weights.into_iter().filter_map(|(revision, weight)| {
        let version = version_of(world, placement, view, &revision)?;
        let service = names::revision_object_name(&world.deployment.name, &revision);
        Some(RevisionRoute {
            revision,
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
    revision: &str,
) -> Option<String> {
    if *revision == placement.target.revision {
        return Some(placement.target.record.version.clone());
    }
    let recorded = world.records.get(revision);
    view.route(revision)
        .map(|route| route.version.clone())
        .or(recorded.map(|record| record.version.clone()))
}

/// Other regions, as the gateways of `name` should know them, sorted by cluster.
///
/// A region that cannot be seen stays as it was: gateways find out by themselves who
/// answers, and the control plane raises nothing blindly.
pub(super) fn regions(
    world: &World,
    placement: &Placement,
    policy: &PolicyFacts,
    name: &str,
    view: &MemberView,
) -> Vec<RegionRoute> {
    let known = |cluster: &str| {
        let snapshot = view.snapshot.as_ref()?;
        let mut regions = snapshot.spec.regions.iter();
        regions.find(|region| region.cluster == cluster)
    };
    let others = world.members.iter().filter(|(other, _)| *other != name);
    let routes = others.filter_map(|(other, member)| {
        let known = known(other);
        let weight = policy_weight(policy, other);
        if member.seen().is_none() {
            let known = known?;
            let weight = weight.map_or(known.weight, |weight| weight.min(known.weight));
            return Some(RegionRoute {
                weight,
                ..known.clone()
            });
        }
        if !placement.is_placed(other) {
            return known
                .filter(|_| !may_leave(world, placement, other))
                .cloned();
        }
        let revisions: Vec<_> = world.serving(other).into_iter().map(|(r, _)| r).collect();
        let address = member
            .gateway
            .clone()
            .or(known.map(|k| k.address.clone()))?;
        (!revisions.is_empty()).then(|| RegionRoute {
            cluster: other.clone(),
            provider: member.provider,
            address,
            weight: weight.unwrap_or(1),
            revisions,
        })
    });
    routes.collect()
}
