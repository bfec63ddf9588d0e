//! The decision, stored first, and the snapshots that carry it.

use mcdeploy_api::{ClusterWeight, Epoch, RoutingSnapshotSpec, Sha256Digest, TrafficPolicyStatus};

use super::{
    safety::{Permit, Way},
    snapshots::Snapshots,
};
use crate::{
    action::{Action, DecideTraffic},
    names::ClusterName,
    placement::Placement,
    world::{MemberFacts, PolicyFacts, World},
};

/// The decision, where what is told differs from the one in force, and what changed.
pub(super) fn publish(
    world: &World,
    placement: &Placement,
    policy: &PolicyFacts,
    permit: &Permit,
    snapshots: Snapshots,
) -> Vec<Action> {
    let Snapshots {
        contents,
        changed,
        draining: _,
    } = snapshots;
    if changed.is_empty() {
        return vec![];
    }
    // Pairs of strings always serialise.
    let hash = Sha256Digest::of(serde_json::to_vec(&contents).unwrap_or_default()).hex();
    let highest = highest_epoch(world, policy);
    let stored = policy.status.epoch.unwrap_or_default();
    let older = |spec: &RoutingSnapshotSpec| {
        let now = world
            .seen(&spec.cluster)
            .and_then(|(_, view)| view.snapshot.as_ref());
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
                weights: weights(placement, policy, permit),
            },
        }));
    }
    actions.extend(changed.into_iter().map(|spec| Action::PublishSnapshot {
        cluster: ClusterName::from(&spec.cluster),
        spec: RoutingSnapshotSpec { epoch, ..spec },
    }));
    actions
}

/// The highest epoch that any gateway was told.
fn highest_epoch(world: &World, policy: &PolicyFacts) -> Epoch {
    let views = world.members.values().filter_map(MemberFacts::seen);
    let told = views.filter_map(|view| view.snapshot.as_ref());
    let applied = told.clone().flat_map(|s| s.applied.iter().map(|a| a.epoch));
    let told = told.map(|snapshot| snapshot.spec.epoch);
    let stored = policy.status.epoch.unwrap_or_default();
    told.chain(applied).fold(stored, Epoch::max)
}

/// Weights in force, one entry per placed cluster, sorted by name.
fn weights(placement: &Placement, policy: &PolicyFacts, permit: &Permit) -> Vec<ClusterWeight> {
    let before = &policy.status.weights;
    let mut placed: Vec<_> = placement.placed.iter().collect();
    placed.sort();
    let entries = placed.into_iter().map(|name| {
        let wanted = permit.weight(name).unwrap_or(1);
        let weight = if permit.way(name) == Way::Frozen {
            let before = before.iter().find(|entry| entry.cluster == *name);
            before.map_or(0, |entry| entry.weight.min(wanted))
        } else if permit.takes(name) {
            wanted
        } else {
            0
        };
        ClusterWeight {
            cluster: name.to_string(),
            weight,
        }
    });
    entries.collect()
}
