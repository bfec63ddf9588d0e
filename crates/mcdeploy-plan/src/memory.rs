//! What a leader remembers from one look to the next, to tell how long something has
//! lasted. Losing it is safe: every wait then begins again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use mcdeploy_api::{Epoch, Reason, RolloutStepState, Sha256Digest, Time};

use crate::{
    action::{Action, Plan},
    names::{ClusterName, RevisionId, StoreName},
    world::{RefusedFacts, World},
};

/// Since when things are as they are, for one deployment.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    clusters: BTreeMap<ClusterName, Since>,
    upkeep: BTreeMap<String, Refused>,
    copies: BTreeMap<(StoreName, Sha256Digest), Refused>,
}

/// Something that was refused.
#[derive(Clone, Debug)]
struct Refused {
    times: u32,
    facts: RefusedFacts,
}

impl Refused {
    fn again(
        before: Option<&Self>,
        message: String,
        (first, longest): (SignedDuration, SignedDuration),
        now: Timestamp,
    ) -> Self {
        let times = before.map_or(0, |before| before.times.min(10));
        let rest = (first * (1 << times)).min(longest);
        let facts = RefusedFacts {
            message,
            rests_until: now.checked_add(rest).unwrap_or(now),
        };
        Self {
            times: times + 1,
            facts,
        }
    }
}

/// First and longest pause after a transfer was refused.
const FIRST_COPY_REST: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_COPY_REST: SignedDuration = SignedDuration::from_secs(30);
/// First pause after upkeep was refused; it doubles.
const FIRST_REST: SignedDuration = SignedDuration::from_secs(10);
/// Longest pause.
const LONGEST_REST: SignedDuration = SignedDuration::from_mins(10);

#[derive(Clone, Debug, Default)]
struct Since {
    applied: Option<((Epoch, String), Timestamp)>,
    running: Option<((RevisionId, Reason, String), Timestamp)>,
    refused: Option<(RevisionId, String)>,
    staging: Option<(RevisionId, Timestamp)>,
    held: Option<(RevisionId, Timestamp)>,
}

impl Memory {
    /// Puts what is remembered into a world that was just observed.
    pub fn recall(&mut self, world: &mut World) {
        let upkeep = self.upkeep.iter();
        world.upkeep = upkeep
            .map(|(key, refused)| (key.clone(), refused.facts.clone()))
            .collect();
        // No copy is asked of stores that are gone.
        self.copies
            .retain(|(store, _), _| world.stores.contains_key(store));
        let copies = self.copies.iter();
        world.refused_copies = copies
            .map(|(key, refused)| (key.clone(), refused.facts.clone()))
            .collect();
        self.clusters
            .retain(|name, _| world.members.contains_key(name));
        for (name, member) in &mut world.members {
            let since = self.clusters.entry(name.clone()).or_default();
            let view = member.seen().filter(|view| view.applied());
            let snapshot = view.and_then(|view| view.snapshot.as_ref());
            since.applied = snapshot.map(|snapshot| {
                let key = (snapshot.spec.epoch, snapshot.spec.hash.clone());
                let before = since.applied.take().filter(|(old, _)| *old == key);
                before.unwrap_or((key, world.now))
            });
            member.applied_since = since.applied.as_ref().map(|(_, at)| *at);
            member.running_since = since.running.as_ref().map(|(_, at)| *at);
            member.refused.clone_from(&since.refused);
            member.staging_since.clone_from(&since.staging);
        }
        self.recall_held(world);
    }

    /// Since when clusters are held is written down in the rollout, unless its kind is older than
    /// this operator and has no field for it.
    fn recall_held(&self, world: &mut World) {
        let name = world.deployment.rollout_name();
        let mut rollouts = world.rollouts.iter_mut();
        let Some(rollout) = rollouts.find(|rollout| rollout.name == name) else {
            return;
        };
        for step in &mut rollout.status.steps {
            let since = self.clusters.get(step.cluster.as_str());
            let held = since.and_then(|since| since.held.as_ref());
            let held = held.filter(|(revision, _)| *revision == rollout.spec.to_revision);
            if step.state.is_held() && step.held_since.is_none() {
                step.held_since = held.map(|(_, at)| Time(*at));
            }
        }
    }

    /// Remembers how far a plan found each cluster.
    pub fn note(&mut self, plan: &Plan, now: Timestamp) {
        // What is not to be removed any more is forgotten.
        let wanted: BTreeSet<_> = plan.actions.iter().filter_map(Action::upkeep).collect();
        self.upkeep
            .retain(|key, _| wanted.contains(key) || plan.resting.contains(key));
        for step in plan.steps.iter().chain(&plan.joining) {
            let since = self.clusters.entry(step.cluster.clone()).or_default();
            let under_way = match step.state {
                RolloutStepState::Running | RolloutStepState::Blocked => true,
                RolloutStepState::Waiting | RolloutStepState::Done | RolloutStepState::Unknown => {
                    false
                }
            };
            let before = since.held.take();
            let before = before.filter(|(revision, _)| *revision == step.revision);
            let held = before.unwrap_or_else(|| (step.revision.clone(), now));
            since.held = step.state.is_held().then_some(held);
            // It lasts beyond the waiting: that does not begin again.
            let before = since.staging.take().filter(|(revision, _)| {
                *revision == step.revision && step.state != RolloutStepState::Done
            });
            let begins = step.reason == Reason::Staging;
            let begun = begins.then(|| (step.revision.clone(), now));
            since.staging = before.or(begun);
            let key = under_way.then(|| step.revision.clone());
            since.running = key.map(|revision| {
                let key = (revision, step.reason, step.message.clone());
                let before = since.running.take().filter(|(old, _)| *old == key);
                before.unwrap_or((key, now))
            });
        }
    }

    /// Remembers that upkeep was refused, and lets it rest, longer each time. Answers
    /// whether that is news.
    pub fn upkeep_refused(&mut self, key: &str, message: String, now: Timestamp) -> bool {
        let before = self.upkeep.get(key);
        let news = before.is_none_or(|before| before.facts.message != message);
        let refused = Refused::again(before, message, (FIRST_REST, LONGEST_REST), now);
        self.upkeep.insert(key.to_owned(), refused);
        news
    }

    /// Remembers that the transfer of a copy was refused, and lets it rest, longer each
    /// time, but never so long that a user who mended it waits.
    pub fn copy_refused(
        &mut self,
        store: &StoreName,
        digest: Sha256Digest,
        message: String,
        now: Timestamp,
    ) {
        let key = (store.clone(), digest);
        let rests = (FIRST_COPY_REST, LONGEST_COPY_REST);
        let refused = Refused::again(self.copies.get(&key), message, rests, now);
        self.copies.insert(key, refused);
    }

    /// Remembers that the transfer of a copy was taken.
    pub fn copy_begun(&mut self, store: &StoreName, digest: Sha256Digest) {
        self.copies.remove(&(store.clone(), digest));
    }

    /// Remembers that upkeep was done.
    pub fn upkeep_done(&mut self, key: &str) {
        self.upkeep.remove(key);
    }

    /// Remembers that a cluster refused the objects of a revision for good, or, with
    /// `None`, that it took them.
    pub fn refused(&mut self, cluster: &ClusterName, revision: &RevisionId, why: Option<String>) {
        let since = self.clusters.entry(cluster.clone()).or_default();
        since.refused = why.map(|why| (revision.clone(), why));
    }
}
