//! How far each cluster is, what it needs next, and when the next wave begins.

mod asks;
mod keep;
mod record;
mod stages;

use mcdeploy_api::RolloutStepState;

pub(crate) use asks::asks;
pub(crate) use keep::keep;
use keep::kept;
pub(crate) use record::records;
use stages::judge;

use crate::{
    action::{Action, ApplyRevision, Step},
    asks::ProbeAsk,
    names::{ClusterName, RevisionId},
    placement::Placement,
    revision::{RevisionRecord, input_hash},
    world::{MemberFacts, World},
};

/// What one cluster's part of the rollout comes to.
pub(crate) struct Judged {
    pub(crate) step: Step,
    pub(crate) actions: Vec<Action>,
    /// Weight may go to the target here: everything was seen that has to be.
    pub(crate) raise: bool,
    /// All that is missing is this probe.
    pub(crate) probe: Option<ProbeAsk>,
}

/// Judges every cluster in scope, in wave order.
pub(crate) fn judge_all(world: &World, placement: &Placement) -> Vec<Judged> {
    let mut open = true;
    let mut all = Vec::new();
    for wave in &placement.waves {
        let judged: Vec<_> = wave
            .iter()
            .filter_map(|name| Some((name, world.members.get(name)?)))
            .map(|(name, member)| judge(world, &placement.target, name, member, open))
            .collect();
        open = open && judged.iter().all(|judged| lets_pass(judged.step.state));
        all.extend(judged);
    }
    all
}

/// Judges every cluster that joins, sorted by name: none waits for another.
pub(crate) fn judge_joining(world: &World, placement: &Placement) -> Vec<Judged> {
    let Some(goal) = &placement.base else {
        return vec![];
    };
    let joining = placement.joining.iter();
    let members = joining.filter_map(|name| Some((name, world.members.get(name)?)));
    members
        .map(|(name, member)| judge(world, goal, name, member, true))
        .collect()
}

/// A cluster that is merely under way holds the waves behind it; one that cannot go on
/// does not: the other clouds finish.
fn lets_pass(state: RolloutStepState) -> bool {
    match state {
        RolloutStepState::Waiting | RolloutStepState::Running => false,
        RolloutStepState::Done | RolloutStepState::Blocked | RolloutStepState::Unknown => true,
    }
}

/// The objects of a revision as they should be in a cluster.
fn wanted_objects(
    (cluster, member): (&ClusterName, &MemberFacts),
    (revision, record): (&RevisionId, &RevisionRecord),
    replicas: i32,
    store_version: &str,
) -> ApplyRevision {
    let (registry, cache) = (member.registry.as_ref(), member.cache.as_ref());
    ApplyRevision {
        cluster: cluster.clone(),
        revision: revision.clone(),
        record: record.clone(),
        replicas,
        store: member.store.clone(),
        registry: registry.cloned(),
        cache: cache.cloned(),
        hash: input_hash(revision, replicas, store_version, registry, cache),
    }
}
