//! Which versions leave the cache of a node.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use mcdeploy_api::Sha256Digest;

/// A version that was asked for so recently stays: its pod may be starting, and what says
/// that it is needed may not have said so yet.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// A version in the cache of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedFacts {
    /// Digest of its manifest.
    pub digest: Sha256Digest,
    /// What it takes, in bytes.
    pub size_bytes: u64,
    /// When it was last asked for.
    pub used_at: Timestamp,
}

/// How much room is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The cache holds no more than `quota_bytes`, `needed_bytes` for another version
    /// included.
    Within {
        /// For another version.
        needed_bytes: u64,
        /// For all.
        quota_bytes: u64,
    },
    /// The disk is full of what else is on it: all that may go.
    All,
}

/// Versions to be removed, the one that was asked for longest ago first. None that is
/// spared, and none at all where even that would not make the room.
pub fn evictions(
    cached: &[CachedFacts],
    spared: &BTreeSet<Sha256Digest>,
    room: Room,
    now: Timestamp,
) -> Vec<Sha256Digest> {
    let recent = |facts: &&CachedFacts| now.duration_since(facts.used_at) < RECENT;
    let mut may_go: Vec<_> = cached
        .iter()
        .filter(|facts| !spared.contains(&facts.digest) && !recent(facts))
        .collect();
    may_go.sort_by_key(|facts| (facts.used_at, facts.digest));
    let digests = may_go.iter().map(|facts| facts.digest);
    let Room::Within {
        needed_bytes,
        quota_bytes,
    } = room
    else {
        return digests.collect();
    };
    let add = |sum: u64, facts: &CachedFacts| sum.saturating_add(facts.size_bytes);
    let mut taken = cached.iter().fold(needed_bytes, add);
    let mut going = Vec::new();
    for facts in may_go {
        if taken <= quota_bytes {
            break;
        }
        taken = taken.saturating_sub(facts.size_bytes);
        going.push(facts.digest);
    }
    if taken <= quota_bytes { going } else { vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100_000;

    /// Version `name` of `size` bytes, asked for at `minute` minutes before now.
    fn cached(name: &str, size: u64, minutes: i64) -> CachedFacts {
        CachedFacts {
            digest: Sha256Digest::of(name),
            size_bytes: size,
            used_at: Timestamp::from_second(NOW - 60 * minutes).unwrap(),
        }
    }

    fn check(spared: &[&str], room: Room, expected: &[&str]) {
        let all = [
            cached("old", 10, 300),
            cached("older", 20, 400),
            cached("oldest", 30, 500),
            cached("just now", 5, 1),
        ];
        let spared = spared.iter().map(Sha256Digest::of).collect();
        let now = Timestamp::from_second(NOW).unwrap();
        let going = evictions(&all, &spared, room, now);
        let expected: Vec<_> = expected.iter().map(Sha256Digest::of).collect();
        assert_eq!(going, expected, "{spared:?} {room:?}");
    }

    fn within(needed_bytes: u64, quota_bytes: u64) -> Room {
        Room::Within {
            needed_bytes,
            quota_bytes,
        }
    }

    #[test]
    fn those_asked_for_longest_ago_go_and_no_more_than_needed() {
        check(&[], within(0, 65), &[]);
        check(&[], within(1, 65), &["oldest"]);
        check(&[], within(30, 65), &["oldest"]);
        check(&[], within(31, 65), &["oldest", "older"]);
        // The quota was lowered.
        check(&[], within(0, 10), &["oldest", "older", "old"]);
    }

    #[test]
    fn what_is_spared_or_was_just_asked_for_stays() {
        check(&["oldest"], within(1, 65), &["older"]);
        check(&["oldest", "older", "old"], within(1, 65), &[]);
        check(&["older"], Room::All, &["oldest", "old"]);
    }

    #[test]
    fn nothing_goes_in_vain() {
        check(&[], within(61, 65), &[]);
        check(&["oldest"], within(31, 65), &[]);
        check(&[], within(100, 65), &[]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_cached_what_is_spared_stays_and_the_rest_fits(
            sizes in proptest::collection::vec((0_u64..100, 0_i64..1000, proptest::bool::ANY), 0..12),
            needed in 0_u64..200,
            quota in 0_u64..400,
        ) {
            let all: Vec<_> = sizes.iter().enumerate()
                .map(|(n, (size, minutes, _))| cached(&n.to_string(), *size, *minutes))
                .collect();
            let spared: BTreeSet<_> = sizes.iter().zip(&all)
                .filter(|((_, _, spared), _)| *spared)
                .map(|(_, facts)| facts.digest)
                .collect();
            let now = Timestamp::from_second(NOW).unwrap();
            let going = evictions(&all, &spared, within(needed, quota), now);
            proptest::prop_assert!(going.iter().all(|digest| !spared.contains(digest)));
            let left = all.iter().filter(|facts| !going.contains(&facts.digest));
            let left: u64 = left.map(|facts| facts.size_bytes).sum();
            proptest::prop_assert!(going.is_empty() || left + needed <= quota);
        }
    }
}
