//! How much of the requests goes where.

use mcdeploy_api::{ClusterWeight, RevisionRoute};

use crate::{
    placement::Placement,
    world::{PolicyFacts, World},
};

/// Weight that the policy gives a cluster; `None`: own region first.
pub(super) fn policy_weight(policy: &PolicyFacts, cluster: &str) -> Option<i32> {
    if policy.spec.weights.is_empty() {
        return None;
    }
    let mut weights = policy.spec.weights.iter();
    let entry = weights.find(|entry| entry.cluster == cluster);
    Some(entry.map_or(0, |entry| entry.weight))
}

/// What the gateways of a cluster keep in their own region; `None`: all that they can.
pub(super) fn local_weight(
    policy: &PolicyFacts,
    name: &str,
    revisions: &[RevisionRoute],
) -> Option<i32> {
    let serves = revisions.iter().any(|route| route.weight > 0);
    policy_weight(policy, name).map(|weight| if serves { weight } else { 0 })
}

/// Weights in force, one entry per placed cluster, sorted by name.
pub(super) fn weights(
    world: &World,
    placement: &Placement,
    policy: &PolicyFacts,
    raises: &[String],
) -> Vec<ClusterWeight> {
    let before = &policy.status.weights;
    let mut placed: Vec<_> = placement.placed.iter().collect();
    placed.sort();
    let entries = placed.into_iter().map(|name| {
        let wanted = policy_weight(policy, name).unwrap_or(1);
        let weight = if world.seen(name).is_none() {
            let before = before.iter().find(|entry| entry.cluster == *name);
            before.map_or(0, |entry| entry.weight.min(wanted))
        } else if raises.contains(name) || !world.serving(name).is_empty() {
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
