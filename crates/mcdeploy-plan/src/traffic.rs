//! Who is told to send requests where, and in which order decisions stand.

use std::collections::BTreeMap;

use mcdeploy_api::{
    ClusterWeight, Epoch, RegionRoute, RevisionRoute, RoutingSnapshotSpec, Sha256Digest,
    TrafficPolicyStatus, names,
};

use crate::{
    Action, DecideTraffic, MemberFacts, MemberView, PolicyFacts, Waiting, World, leave,
    validate::Valid,
};

/// The traffic part of a plan.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) actions: Vec<Action>,
    /// One entry per cluster that leaves.
    pub(crate) leaving: Vec<Waiting>,
    pub(crate) draining: bool,
}

/// Revisions that take traffic in a cluster, with their weights.
///
/// The truth is the cluster's own snapshot. Where the cluster cannot be seen, or
/// somebody deleted the snapshot while the objects stand, it is the last status row.
pub(crate) fn serving(world: &World, cluster: &str) -> Vec<(String, i32)> {
    let rows = &world.deployment.status.clusters;
    let row = rows.iter().find(|row| row.cluster == cluster);
    let from_row = || row.and_then(|row| Some((row.revision.clone()?, 100)));
    let Some(member) = world.members.get(cluster) else {
        return vec![];
    };
    let Some(view) = member.seen() else {
        return from_row().into_iter().collect();
    };
    match &view.snapshot {
        Some(snapshot) => {
            let routes = snapshot.spec.revisions.iter();
            let weighted = routes.filter(|route| route.weight > 0);
            weighted.map(|r| (r.revision.clone(), r.weight)).collect()
        }
        None => from_row()
            .filter(|(revision, _)| view.revisions.contains_key(revision))
            .into_iter()
            .collect(),
    }
}

/// Compares what gateways are told with what they should be told, and plans the
/// difference: the decision first, then one snapshot per cluster that changes, then
/// the removal of what no gateway knows any more.
pub(crate) fn decide(world: &World, valid: &Valid, raises: &[String]) -> Traffic {
    let Some(policy) = &world.policy else {
        return Traffic::default();
    };
    let mut traffic = Traffic::default();
    let mut contents = Vec::new();
    let mut changed = Vec::new();
    let mut told = valid.placed.clone();
    told.extend(leave::leaving(world, valid));
    for name in sorted(&told) {
        let Some((member, view)) = seen(world, name) else {
            continue;
        };
        let (revisions, draining) = revisions(world, valid, name, member, view, raises);
        traffic.draining |= draining;
        let spec = RoutingSnapshotSpec {
            model: valid.record.model.clone(),
            epoch: Epoch::default(),
            hash: String::new(),
            cluster: name.clone(),
            repeatable: policy.spec.repeatable,
            local_weight: local_weight(policy, name, &revisions),
            revisions,
            regions: regions(world, valid, policy, name, view),
        };
        let is_empty = spec.regions.is_empty() || !valid.placed.contains(name);
        if spec.revisions.is_empty() && is_empty && view.snapshot.is_none() {
            continue;
        }
        let hash = spec.content_hash();
        let same = view
            .snapshot
            .as_ref()
            .is_some_and(|now| now.spec.hash == hash && now.spec.content_hash() == hash);
        contents.push((name.clone(), hash.clone()));
        if !same {
            changed.push(RoutingSnapshotSpec { hash, ..spec });
        }
    }
    traffic
        .actions
        .extend(publish(world, valid, policy, raises, &contents, changed));
    for name in sorted(&told) {
        traffic.actions.extend(prune(world, valid, name));
    }
    let left = leave::finish(world, valid);
    traffic.actions.extend(left.actions);
    traffic.draining |= left.draining;
    traffic.leaving = left.waiting;
    traffic
}

fn sorted(names: &[String]) -> Vec<&String> {
    let mut names: Vec<_> = names.iter().collect();
    names.sort();
    names
}

pub(crate) fn seen<'a>(world: &'a World, name: &str) -> Option<(&'a MemberFacts, &'a MemberView)> {
    let member = world.members.get(name)?;
    Some((member, member.seen()?))
}

/// Revisions that a cluster's gateways should know, sorted by id, and whether one of
/// them is there only until it has drained.
fn revisions(
    world: &World,
    valid: &Valid,
    name: &str,
    member: &MemberFacts,
    view: &MemberView,
    raises: &[String],
) -> (Vec<RevisionRoute>, bool) {
    let goal = valid.goal(name).map(|goal| goal.revision);
    let raise = goal.filter(|_| raises.iter().any(|cluster| cluster == name));
    let mut weights: BTreeMap<String, i32> = serving(world, name).into_iter().collect();
    if raise.is_some() || leave::may_stop(world, valid, name) {
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
    let drained = drained(world, member, view, &weights);
    let mut draining = false;
    let listed = view.snapshot.iter().flat_map(|now| &now.spec.revisions);
    for route in listed {
        if !weights.contains_key(&route.revision) && present(&route.revision) && !drained {
            weights.insert(route.revision.clone(), 0);
            draining = true;
        }
    }
    let routes = weights.into_iter().filter_map(|(revision, weight)| {
        let version = version_of(world, valid, view, &revision)?;
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

/// Whether what has weight 0 may be forgotten: gateways have routed without it for long
/// enough, and what serves instead is well.
fn drained(
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
    let since = member.applied_since.filter(|_| view.applied());
    well && since.is_some_and(|since| world.now.duration_since(since) >= world.timings.drain)
}

fn version_of(world: &World, valid: &Valid, view: &MemberView, revision: &str) -> Option<String> {
    if *revision == valid.target {
        return Some(valid.record.version.clone());
    }
    let mut listed = view.snapshot.iter().flat_map(|now| &now.spec.revisions);
    let listed = listed.find(|route| route.revision == revision);
    let recorded = world.records.get(revision);
    listed
        .map(|route| route.version.clone())
        .or(recorded.map(|record| record.version.clone()))
}

/// Weight that the policy gives a cluster; `None`: own region first.
fn policy_weight(policy: &PolicyFacts, cluster: &str) -> Option<i32> {
    if policy.spec.weights.is_empty() {
        return None;
    }
    let mut weights = policy.spec.weights.iter();
    let entry = weights.find(|entry| entry.cluster == cluster);
    Some(entry.map_or(0, |entry| entry.weight))
}

fn local_weight(policy: &PolicyFacts, name: &str, revisions: &[RevisionRoute]) -> Option<i32> {
    let serves = revisions.iter().any(|route| route.weight > 0);
    policy_weight(policy, name).map(|weight| if serves { weight } else { 0 })
}

/// Other regions, as the gateways of `name` should know them, sorted by cluster.
///
/// A region that cannot be seen stays as it was: gateways find out by themselves who
/// answers, and the control plane raises nothing blindly.
fn regions(
    world: &World,
    valid: &Valid,
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
        if !valid.placed.contains(other) {
            return known
                .filter(|_| !leave::may_leave(world, valid, other))
                .cloned();
        }
        let revisions: Vec<_> = serving(world, other).into_iter().map(|(r, _)| r).collect();
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

/// The decision, stored first, and the snapshots that carry it.
fn publish(
    world: &World,
    valid: &Valid,
    policy: &PolicyFacts,
    raises: &[String],
    contents: &[(String, String)],
    changed: Vec<RoutingSnapshotSpec>,
) -> Vec<Action> {
    if changed.is_empty() {
        return vec![];
    }
    // Pairs of strings always serialise.
    let hash = Sha256Digest::of(serde_json::to_vec(contents).unwrap_or_default()).hex();
    let highest = highest_epoch(world, policy);
    let stored = policy.status.epoch.unwrap_or_default();
    let older = |spec: &RoutingSnapshotSpec| {
        let now = seen(world, &spec.cluster).and_then(|(_, view)| view.snapshot.as_ref());
        now.is_none_or(|now| now.spec.epoch < stored)
    };
    let stands = policy.status.hash.as_ref() == Some(&hash)
        && stored == highest
        && stored.term >= world.term
        && changed.iter().all(older);
    let epoch = if stands {
        stored
    } else {
        Epoch {
            term: highest.term.max(world.term),
            seq: highest.seq + 1,
        }
    };
    let mut actions = Vec::new();
    if !stands {
        actions.push(Action::DecideTraffic(DecideTraffic {
            policy: policy.name.clone(),
            resource_version: policy.resource_version.clone(),
            status: TrafficPolicyStatus {
                observed_generation: Some(policy.generation),
                conditions: policy.status.conditions.clone(),
                epoch: Some(epoch),
                hash: Some(hash),
                weights: weights(world, valid, policy, raises),
            },
        }));
    }
    actions.extend(changed.into_iter().map(|spec| Action::PublishSnapshot {
        cluster: spec.cluster.clone(),
        spec: RoutingSnapshotSpec { epoch, ..spec },
    }));
    actions
}

/// The highest epoch that anybody was told.
fn highest_epoch(world: &World, policy: &PolicyFacts) -> Epoch {
    let views = world.members.values().filter_map(MemberFacts::seen);
    let told = views.filter_map(|view| view.snapshot.as_ref());
    let applied = told.clone().flat_map(|s| s.applied.iter().map(|a| a.epoch));
    let told = told.map(|snapshot| snapshot.spec.epoch);
    let stored = policy.status.epoch.unwrap_or_default();
    told.chain(applied).fold(stored, Epoch::max)
}

/// Weights in force, one entry per placed cluster, sorted by name.
fn weights(
    world: &World,
    valid: &Valid,
    policy: &PolicyFacts,
    raises: &[String],
) -> Vec<ClusterWeight> {
    let before = &policy.status.weights;
    let entries = sorted(&valid.placed).into_iter().map(|name| {
        let wanted = policy_weight(policy, name).unwrap_or(1);
        let weight = if seen(world, name).is_none() {
            let before = before.iter().find(|entry| entry.cluster == *name);
            before.map_or(0, |entry| entry.weight.min(wanted))
        } else if raises.contains(name) || !serving(world, name).is_empty() {
            wanted
        } else {
            0
        };
        ClusterWeight {
            cluster: name.clone(),
            weight,
        }
    });
    entries.collect()
}

/// Removes objects of revisions that neither serve, nor shall, nor are known to a
/// gateway. Only in a cluster that is seen, and only once its gateways say that they
/// route by the snapshot without them.
fn prune(world: &World, valid: &Valid, name: &str) -> Vec<Action> {
    let Some((_, view)) = seen(world, name) else {
        return vec![];
    };
    if view.snapshot.is_some() && !view.applied() {
        return vec![];
    }
    let serving = serving(world, name);
    let listed = |revision: &str| {
        let mut routes = view.snapshot.iter().flat_map(|now| &now.spec.revisions);
        routes.any(|route| route.revision == revision)
    };
    let unused = view.revisions.keys().filter(|revision| {
        let shall = valid
            .goal(name)
            .is_some_and(|goal| goal.revision == *revision);
        let serves = serving.iter().any(|(r, _)| r == *revision);
        !shall && !serves && !listed(revision)
    });
    unused
        .map(|revision| Action::DeleteRevision {
            cluster: name.to_owned(),
            revision: revision.clone(),
        })
        .collect()
}
