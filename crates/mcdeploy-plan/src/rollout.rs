//! How far each cluster is, what it needs next, and when the next wave begins.

mod asks;
mod gate;
mod keep;
mod record;
mod stages;

use std::collections::BTreeMap;

pub(crate) use asks::asks;
use gate::{Failures, Fault, Gate, has_lasted, lets_pass};
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
    /// Whose fault it is that it cannot go on, where it cannot.
    pub(crate) fault: Option<Fault>,
    /// Something is wrong here, and does not count yet.
    pub(crate) dwells: bool,
    /// Weight may go to the target here: everything was seen that has to be.
    pub(crate) raise: bool,
    /// All that is missing is this probe.
    pub(crate) probe: Option<ProbeAsk>,
}

/// Judges every cluster in scope, in wave order.
pub(crate) fn judge_all(world: &World, placement: &Placement) -> Vec<Judged> {
    let judge = |name: &ClusterName, gate: &Gate| {
        let member = world.members.get(name)?;
        Some(judge(world, &placement.target, name, member, gate))
    };
    let scope = placement.waves.iter().flatten();
    let freely = scope.filter_map(|name| Some((name, judge(name, &Gate::Open)?)));
    let mut freely: BTreeMap<_, _> = freely.collect();
    let failures = Failures::of(world, placement, &freely);
    let version = &placement.target.record.version;
    let mut open = true;
    let mut all = Vec::new();
    for wave in &placement.waves {
        let mut passes = true;
        for name in wave {
            let gate = failures.gate(version, name, open);
            let judged = match gate {
                Gate::Open => freely.remove(name),
                Gate::Behind(_) | Gate::Stopped(_) => judge(name, &gate),
            };
            let Some(mut judged) = judged else {
                continue;
            };
            judged.dwells = judged.fault.is_some() && !has_lasted(world, &judged);
            passes &= lets_pass(world, &judged);
            all.push(judged);
        }
        open &= passes;
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
        .map(|(name, member)| judge(world, goal, name, member, &Gate::Open))
        .collect()
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
