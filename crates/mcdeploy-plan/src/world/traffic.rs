//! What requests are told, and where they go.

use mcdeploy_api::{TrafficPolicySpec, TrafficPolicyStatus};

use crate::names::RevisionId;

use super::{MemberFacts, MemberView, World};

/// A `TrafficPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFacts {
    /// Its name.
    pub name: String,
    /// Generation of `spec`.
    pub generation: i64,
    /// Version that a decision is conditional on.
    pub resource_version: String,
    /// What the user asks for.
    pub spec: TrafficPolicySpec,
    /// The decision in force.
    pub status: TrafficPolicyStatus,
}

impl World {
    /// Revisions that take traffic in a cluster, with their weights.
    ///
    /// The truth is the cluster's own snapshot. Where the cluster cannot be seen, or the
    /// snapshot was deleted while the objects stand, it is the last status row.
    pub(crate) fn serving(&self, cluster: &str) -> Vec<(RevisionId, i32)> {
        let row = self.row(cluster);
        let from_row = || row.and_then(|row| Some((RevisionId::from(row.revision.as_ref()?), 100)));
        let Some(member) = self.members.get(cluster) else {
            return vec![];
        };
        let Some(view) = member.seen() else {
            return from_row().into_iter().collect();
        };
        match &view.snapshot {
            Some(snapshot) => {
                let routes = snapshot.spec.revisions.iter();
                let weighted = routes.filter(|route| route.weight > 0);
                weighted
                    .map(|r| (RevisionId::from(&r.revision), r.weight))
                    .collect()
            }
            None => from_row()
                .filter(|(revision, _)| view.revisions.contains_key(revision))
                .into_iter()
                .collect(),
        }
    }

    /// Whether gateways have routed by the present snapshot for long enough: what it sends
    /// nothing to is asked no more.
    pub(crate) fn is_drained(&self, member: &MemberFacts, view: &MemberView) -> bool {
        let since = member.applied_since.filter(|_| view.applied());
        since.is_some_and(|since| self.now.duration_since(since) >= self.timings.drain)
    }
}
