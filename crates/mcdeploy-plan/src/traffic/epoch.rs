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
        next(highest, world.term)
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
    highest(stored, told.chain(applied))
}

/// No hub comes so far. What a member says beyond is not taken for an epoch: it could not be
/// gone beyond, and every deployment would stand still.
const MOST: Epoch = Epoch {
    term: 1 << 31,
    seq: 1 << 50,
};

/// The highest of what the hub stored and of what members say.
fn highest(stored: Epoch, told: impl Iterator<Item = Epoch>) -> Epoch {
    let possible = told.filter(|epoch| epoch.term <= MOST.term && epoch.seq <= MOST.seq);
    possible.fold(stored, Epoch::max)
}

/// One above `highest`, for a leader of `term`.
fn next(highest: Epoch, term: i64) -> Epoch {
    let term = highest.term.max(term);
    if highest.seq < MOST.seq {
        let seq = highest.seq + 1;
        return Epoch { term, seq };
    }
    Epoch {
        term: term.saturating_add(1),
        seq: 1,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(term: i64, seq: i64) -> Epoch {
        Epoch { term, seq }
    }

    #[test]
    fn a_new_epoch_is_above_all_that_members_can_say() {
        let stored = epoch(2, 9);
        for (told, term, expected) in [
            (vec![], 2, epoch(2, 10)),
            (vec![], 3, epoch(3, 10)),
            // The deployment was made again, or the hub: its gateways know more.
            (vec![epoch(5, 90)], 2, epoch(5, 91)),
            // Lies.
            (vec![epoch(2, i64::MAX)], 2, epoch(2, 10)),
            (vec![epoch(i64::MAX, 1)], 2, epoch(2, 10)),
            (
                vec![epoch(i64::MAX, i64::MAX), epoch(2, 11)],
                2,
                epoch(2, 12),
            ),
            (vec![MOST], 2, epoch(MOST.term + 1, 1)),
        ] {
            let highest = highest(stored, told.clone().into_iter());
            assert_eq!(next(highest, term), expected, "{told:?}");
        }
    }

    #[test]
    fn epochs_rise_for_ever_whatever_was_said() {
        let mut stored = epoch(1, 1);
        let said = [epoch(3, 7), MOST, epoch(i64::MAX, i64::MAX), MOST];
        for told in said.iter().cycle().take(100) {
            let new = next(highest(stored, [*told].into_iter()), 1);
            assert!(new > stored, "{new:?} after {stored:?}");
            stored = new;
        }
    }
}
