//! How long wanted copies take: from "a rollout needs it there" to "it is verified there".

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mcdeploy_api::{ReplicaState, RolloutStepState, Sha256Digest};

use crate::{action::Plan, names::StoreName, world::World};

/// What a copy is to take at most, in seconds: in 99.99 % of all cases, as the one provider
/// promises that promises most (S3 Replication Time Control). Source:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html>
/// (2026-11-23).
pub const SLO_SECONDS: u64 = 15 * 60;

/// A store and the digest of a manifest.
type CopyOf = (StoreName, Sha256Digest);

/// The copies that this plan's clusters wait for.
pub fn copies_lacking(world: &World, plan: &Plan) -> BTreeSet<CopyOf> {
    let open = plan
        .steps
        .iter()
        .chain(&plan.joining)
        .filter(|step| match step.state {
            RolloutStepState::Waiting
            | RolloutStepState::Running
            | RolloutStepState::Blocked
            | RolloutStepState::Unknown => true,
            RolloutStepState::Done => false,
        });
    let lacking = open.filter_map(|step| {
        let member = world.members.get(&step.cluster)?;
        let target = plan.target.as_ref().filter(|(id, _)| *id == step.revision);
        let record = target.map(|(_, record)| record);
        let record = record.or_else(|| world.records.get(&step.revision))?;
        let copy = (member.store.clone(), record.manifest_digest);
        let verified = world.replicas.get(&copy)?.state == ReplicaState::Verified;
        (!verified).then_some(copy)
    });
    lacking.collect()
}

/// A copy that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The store.
    pub store: StoreName,
    /// From wanted to verified, in seconds.
    pub seconds: u64,
}

/// Since when which copies are wanted. `K` names who wants them. Losing it is safe: who
/// comes first after that says since when.
#[derive(Clone, Debug)]
pub struct Lags<K> {
    wanted: BTreeMap<CopyOf, Wanted<K>>,
    known: BTreeSet<K>,
}

#[derive(Clone, Debug)]
struct Wanted<K> {
    since: Timestamp,
    by: BTreeSet<K>,
}

impl<K> Default for Lags<K> {
    fn default() -> Self {
        Self {
            wanted: BTreeMap::new(),
            known: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Lags<K> {
    /// Notes what `who` lacks now, and answers what arrived since the look before: what was
    /// lacking, and `is_verified` now. What is not wanted any more is forgotten. `asked` is
    /// when what `who` lacks was asked for, if that is known; it counts at its first look.
    pub fn note(
        &mut self,
        who: &K,
        lacking: &BTreeSet<CopyOf>,
        is_verified: impl Fn(&CopyOf) -> bool,
        asked: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Lag> {
        let is_first = self.known.insert(who.clone());
        let since = asked
            .filter(|_| is_first)
            .map_or(now, |asked| asked.min(now));
        for copy in lacking {
            let wanted = self.wanted.entry(copy.clone()).or_insert(Wanted {
                since,
                by: BTreeSet::new(),
            });
            wanted.by.insert(who.clone());
        }
        let mut arrived = vec![];
        self.wanted.retain(|copy, wanted| {
            if lacking.contains(copy) || !wanted.by.contains(who) {
                return true;
            }
            if is_verified(copy) {
                arrived.push(Lag {
                    store: copy.0.clone(),
                    seconds: seconds(wanted.since, now),
                });
                return false;
            }
            wanted.by.remove(who);
            !wanted.by.is_empty()
        });
        arrived
    }

    /// Forgets one who is gone.
    pub fn forget(&mut self, who: &K) {
        self.known.remove(who);
        self.wanted.retain(|_, wanted| {
            wanted.by.remove(who);
            !wanted.by.is_empty()
        });
    }

    /// Of each store, for how long the oldest copy is wanted that it lacks, in seconds.
    pub fn oldest(&self, now: Timestamp) -> BTreeMap<&str, u64> {
        let mut oldest = BTreeMap::new();
        for ((store, _), wanted) in &self.wanted {
            let age = oldest.entry(store.as_str()).or_default();
            *age = seconds(wanted.since, now).max(*age);
        }
        oldest
    }
}

fn seconds(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn copies(stores: &[&str]) -> BTreeSet<CopyOf> {
        let digest = Sha256Digest::of("m");
        stores.iter().map(|&store| (store.into(), digest)).collect()
    }

    #[test]
    fn the_lag_runs_from_the_first_look_that_lacks_it_to_the_first_that_has_it() {
        let mut lags = Lags::default();
        let (who, gcp) = ("m", copies(&["gcp"]));
        let none = BTreeSet::new();
        assert_eq!(lags.note(&who, &none, |_| true, None, at(0)), []);
        assert_eq!(lags.note(&who, &gcp, |_| false, Some(at(1)), at(10)), []);
        assert_eq!(lags.note(&who, &gcp, |_| false, None, at(20)), []);
        assert_eq!(lags.oldest(at(25)), BTreeMap::from([("gcp", 15)]));
        let arrived = lags.note(&who, &none, |_| true, None, at(40));
        let store = StoreName::from("gcp");
        assert_eq!(arrived, [Lag { store, seconds: 30 }]);
        assert_eq!(lags.note(&who, &none, |_| true, None, at(50)), [], "once");
        assert_eq!(lags.oldest(at(60)), BTreeMap::new());
    }

    #[test]
    fn a_new_leader_counts_from_when_it_was_asked_for() {
        let mut lags = Lags::default();
        let gcp = copies(&["gcp"]);
        assert_eq!(lags.note(&"m", &gcp, |_| false, Some(at(5)), at(100)), []);
        let arrived = lags.note(&"m", &BTreeSet::new(), |_| true, None, at(105));
        assert_eq!(arrived[0].seconds, 100);
        // A clock that goes backwards gives no negative time.
        assert_eq!(lags.note(&"n", &gcp, |_| false, Some(at(200)), at(100)), []);
        let arrived = lags.note(&"n", &BTreeSet::new(), |_| true, None, at(50));
        assert_eq!(arrived[0].seconds, 0);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_no_lag_and_what_two_want_is_one() {
        let mut lags = Lags::default();
        let (both, none) = (copies(&["aws", "gcp"]), BTreeSet::new());
        assert_eq!(lags.note(&"m", &both, |_| false, None, at(0)), []);
        assert_eq!(
            lags.note(&"n", &copies(&["gcp"]), |_| false, None, at(5)),
            []
        );
        // m is taken back: only n still waits for gcp.
        assert_eq!(lags.note(&"m", &none, |_| false, None, at(10)), []);
        assert_eq!(lags.oldest(at(10)), BTreeMap::from([("gcp", 10)]));
        let arrived = lags.note(&"n", &none, |_| true, None, at(20));
        assert_eq!(arrived.len(), 1);
        assert_eq!(lags.note(&"m", &both, |_| false, None, at(30)), []);
        lags.forget(&"m");
        assert_eq!(lags.oldest(at(99)), BTreeMap::new());
    }
}
