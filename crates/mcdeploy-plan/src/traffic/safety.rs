//! What may be taken away from where requests go now. Traffic leaves a cluster only while it
//! is seen and another one serves, and its own gateways stop only when no other cluster sends
//! requests there any more, which would cross twice.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::weights::{Share, Shares, Traffic};
use crate::{
    names::{ClusterName, RevisionId},
    world::{MemberFacts, MemberView, World},
};

/// Where requests may go. Only [`permit`] makes one, and gateways are told nothing else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Permit {
    traffic: Traffic,
    ways: BTreeMap<ClusterName, Way>,
}

/// What the gateways of other clusters may do with a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Send requests there.
    Open,
    /// What they do now: no other cluster serves.
    Kept,
    /// What they do now, and no more of it: it is not seen. They find out by themselves who
    /// answers, and nothing is raised blindly.
    Frozen,
    /// Send nothing there.
    Closed,
}

/// Something that is wanted and not permitted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// No other cluster serves.
    LastServing(ClusterName),
    /// Other clusters send requests there.
    SentTo(ClusterName),
}

impl Permit {
    pub(crate) fn share(&self, cluster: &ClusterName) -> Share {
        self.traffic.shares.of(cluster)
    }

    pub(crate) fn takes(&self, cluster: &ClusterName) -> bool {
        self.traffic.shares.takes(cluster)
    }

    pub(crate) fn way(&self, cluster: &ClusterName) -> Way {
        self.ways.get(cluster).copied().unwrap_or(Way::Closed)
    }

    /// `None`: own region first.
    pub(crate) fn weight(&self, cluster: &ClusterName) -> Option<i32> {
        self.traffic.spread.weight(cluster)
    }
}

/// Judges what is wanted by what would be left of what is now.
pub(crate) fn permit(world: &World, now: &Shares, wanted: Traffic) -> (Permit, Vec<Held>) {
    let mut held = Vec::new();
    let mut ways = BTreeMap::new();
    let mut shares = wanted.shares.clone();
    for (cluster, member) in &world.members {
        let way = way(world, now, &wanted.shares, cluster, member);
        ways.insert(cluster.clone(), way);
        match way {
            Way::Open => continue,
            Way::Frozen => {}
            Way::Kept => held.push(Held::LastServing(cluster.clone())),
            Way::Closed if !now.takes(cluster) || is_forgotten(world, cluster) => continue,
            Way::Closed => held.push(Held::SentTo(cluster.clone())),
        }
        shares.set(cluster, now.of(cluster));
    }
    let spread = wanted.spread;
    let traffic = Traffic { shares, spread };
    (Permit { traffic, ways }, held)
}

fn way(
    world: &World,
    now: &Shares,
    wanted: &Shares,
    cluster: &ClusterName,
    member: &MemberFacts,
) -> Way {
    if member.seen().is_none() {
        Way::Frozen
    } else if wanted.takes(cluster) {
        Way::Open
    } else if !now.takes(cluster) || another_serves(world, now, wanted) {
        Way::Closed
    } else {
        Way::Kept
    }
}

/// Whether a cluster that keeps traffic is seen serving, with every pod.
fn another_serves(world: &World, now: &Shares, wanted: &Shares) -> bool {
    world.members.iter().any(|(cluster, member)| {
        let Some(view) = member.seen() else {
            return false;
        };
        let is_well = |revision: &RevisionId| {
            let objects = view.revisions.get(revision);
            objects.is_some_and(|objects| objects.ready > 0 && objects.ready >= objects.replicas)
        };
        wanted.takes(cluster)
            && now.takes(cluster)
            && now.of(cluster).keys().all(is_well)
            && view.applied()
    })
}

/// Whether no other cluster that is seen sends requests there any more.
fn is_forgotten(world: &World, cluster: &ClusterName) -> bool {
    let others = world.members.iter().filter(|(other, _)| *other != cluster);
    let mut views = others.filter_map(|(_, member)| member.seen());
    views.all(|view| {
        let Some(snapshot) = &view.snapshot else {
            return true;
        };
        let mut regions = snapshot.spec.regions.iter();
        !regions.any(|region| region.cluster == *cluster) && view.applied()
    })
}

/// Whether what has weight 0 may be forgotten: gateways have routed without it for long
/// enough, and what serves instead is well.
pub(super) fn drained(
    world: &World,
    member: &MemberFacts,
    view: &MemberView,
    weights: &BTreeMap<RevisionId, i32>,
) -> bool {
    let mut serving = weights.iter().filter(|(_, weight)| **weight > 0);
    let is_well = serving.all(|(revision, _)| {
        let objects = view.revisions.get(revision);
        objects.is_some_and(|objects| objects.ready >= objects.replicas)
    });
    is_well && world.is_drained(member, view)
}
