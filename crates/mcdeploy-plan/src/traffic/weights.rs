//! How much of the requests is to go where: the rollout's word, and the policy's.

use std::collections::BTreeMap;

use crate::{
    names::{ClusterName, RevisionId},
    placement::Placement,
    world::{PolicyFacts, World},
};

/// Part of a cluster's requests, of 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Percent(i32);

impl Percent {
    const ALL: Self = Self(100);

    pub(super) fn get(self) -> i32 {
        self.0
    }
}

/// The parts of one cluster, by revision; none: its gateways send elsewhere.
pub(crate) type Share = BTreeMap<RevisionId, Percent>;

/// The rollout's word, by cluster: which revisions answer. It never names weights of
/// clusters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares(BTreeMap<ClusterName, Share>);

/// The policy's word: how requests spread over clusters. It never names revisions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spread {
    /// A cluster answers what comes to it; others, all alike, get what it cannot.
    OwnRegionFirst,
    /// By the weight of each cluster; those not named have none.
    Weights(BTreeMap<ClusterName, i32>),
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) shares: Shares,
    pub(crate) spread: Spread,
}

impl Shares {
    /// As they are seen, or, of a cluster that is not, as they were told last.
    pub(crate) fn now(world: &World) -> Self {
        let clusters = world.members.keys();
        let shares = clusters.map(|cluster| (cluster.clone(), now(world, cluster)));
        Self(shares.collect())
    }

    pub(super) fn of(&self, cluster: &ClusterName) -> Share {
        self.0.get(cluster).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, cluster: &ClusterName, share: Share) {
        self.0.insert(cluster.clone(), share);
    }

    /// Whether a cluster's own gateways send any request to it.
    pub(super) fn takes(&self, cluster: &ClusterName) -> bool {
        let share = self.0.get(cluster);
        share.is_some_and(|share| share.values().any(|part| *part > Percent(0)))
    }
}

fn now(world: &World, cluster: &ClusterName) -> Share {
    let serving = world.serving(cluster).into_iter();
    serving
        .map(|(revision, weight)| (revision, Percent(weight)))
        .collect()
}

impl Spread {
    fn of(policy: &PolicyFacts) -> Self {
        let weights = &policy.spec.weights;
        if weights.is_empty() {
            return Self::OwnRegionFirst;
        }
        // Of two entries the first counts.
        let weights = weights.iter().rev();
        let weights = weights.map(|entry| (ClusterName::from(&entry.cluster), entry.weight));
        Self::Weights(weights.collect())
    }

    /// `None`: own region first.
    pub(super) fn weight(&self, cluster: &ClusterName) -> Option<i32> {
        match self {
            Self::OwnRegionFirst => None,
            Self::Weights(weights) => Some(weights.get(cluster).copied().unwrap_or(0)),
        }
    }
}

/// What is to be in placed clusters: the goal answers where everything was seen that has to
/// be, and the others stay as they are.
pub(super) fn wanted(
    world: &World,
    placement: &Placement,
    policy: &PolicyFacts,
    raises: &[ClusterName],
) -> Traffic {
    let mut shares = Shares::default();
    for cluster in &placement.placed {
        let goal = placement.goal(cluster);
        let goal = goal.filter(|_| raises.contains(cluster));
        let share = goal.map_or_else(
            || now(world, cluster),
            |goal| Share::from([(goal.revision.clone(), Percent::ALL)]),
        );
        shares.set(cluster, share);
    }
    Traffic {
        shares,
        spread: Spread::of(policy),
    }
}

#[cfg(test)]
impl Shares {
    /// Each of them gives everything to its one revision, or takes nothing.
    pub(super) fn whole(clusters: &[(&str, Option<&str>)]) -> Self {
        let share = |revision: Option<&str>| {
            let revision = revision.into_iter();
            revision.map(|r| (r.into(), Percent::ALL)).collect()
        };
        let shares = clusters.iter();
        Self(shares.map(|(c, r)| ((*c).into(), share(*r))).collect())
    }
}
