//! The protocol, without a cluster: a model of one API server and of time.

use super::*;

const S: Duration = Duration::from_secs(1);

/// One Lease with compare-and-swap.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u64,
}

impl Server {
    fn seen(&self) -> Seen {
        self.lease.clone().map_or(Seen::Absent, Seen::Known)
    }

    /// The term, if the write was taken.
    fn write(&mut self, identity: &str, action: &Action) -> Option<i64> {
        let (term, expected) = match action {
            Action::Wait => return None,
            Action::Create { term } => (*term, None),
            Action::Take {
                term,
                resource_version,
            }
            | Action::Renew {
                term,
                resource_version,
            } => (*term, Some(resource_version)),
        };
        let current = self.lease.as_ref().map(|l| &l.resource_version);
        if current != expected {
            return None;
        }
        self.put(identity, term);
        Some(term)
    }

    fn put(&mut self, holder: &str, term: i64) {
        self.version += 1;
        self.lease = Some(Record {
            holder: holder.to_owned(),
            term,
            lease: 15 * S,
            resource_version: self.version.to_string(),
        });
    }
}

fn elector(identity: &str) -> Elector {
    Elector::new(identity, Timing::default())
}

/// One look and one write, all at `now`.
fn round(server: &mut Server, who: &mut Elector, now: Duration) {
    let action = who.step(now, server.seen());
    let identity = who.identity.clone();
    if let Some(term) = server.write(&identity, &action) {
        who.wrote(now, term);
    }
}

#[test]
fn the_first_candidate_makes_the_lease_and_the_second_waits() {
    let (mut server, mut a, mut b) = (Server::default(), elector("a"), elector("b"));
    round(&mut server, &mut a, Duration::ZERO);
    round(&mut server, &mut b, Duration::ZERO);
    assert_eq!((a.term(S), b.term(S)), (Some(1), None));
}

#[test]
fn two_that_saw_no_lease_do_not_both_make_it() {
    let (mut server, mut a, mut b) = (Server::default(), elector("a"), elector("b"));
    let (first, second) = (a.step(S, Seen::Absent), b.step(S, Seen::Absent));
    assert_eq!(server.write("a", &first), Some(1));
    assert_eq!(server.write("b", &second), None);
}

#[test]
fn a_lease_is_taken_after_it_stood_still_for_its_own_duration() {
    let (mut server, mut b) = (Server::default(), elector("b"));
    server.put("a", 4);
    for second in 0..15 {
        round(&mut server, &mut b, second * S);
        assert_eq!(b.term(second * S), None, "after {second} s");
    }
    round(&mut server, &mut b, 15 * S);
    assert_eq!(b.term(15 * S), Some(5));
}

#[test]
fn each_renewal_begins_the_wait_anew() {
    let (mut server, mut b) = (Server::default(), elector("b"));
    for second in 0..60 {
        if second % 14 == 0 {
            server.put("a", 4);
        }
        round(&mut server, &mut b, second * S);
    }
    assert_eq!(b.term(60 * S), None);
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let (mut server, mut b) = (Server::default(), elector("b"));
    server.put("", 4);
    round(&mut server, &mut b, S);
    assert_eq!(b.term(S), Some(5));
}

#[test]
fn a_leader_that_cannot_renew_is_none_before_others_may_take_over() {
    let (mut server, mut a, mut b) = (Server::default(), elector("a"), elector("b"));
    round(&mut server, &mut a, Duration::ZERO);
    let mut gap = false;
    for tenth in 1..300 {
        let now = tenth * S / 10;
        assert_eq!(a.step(now, Seen::Unknown), Action::Wait);
        round(&mut server, &mut b, now);
        assert!(
            a.term(now).is_none() || b.term(now).is_none(),
            "two leaders at {now:?}"
        );
        gap |= a.term(now).is_none() && b.term(now).is_none();
    }
    assert!(gap);
    assert_eq!(b.term(30 * S), Some(2));
}

#[test]
fn a_paused_leader_leads_no_more_when_it_wakes_and_does_not_renew() {
    let (mut server, mut a, mut b) = (Server::default(), elector("a"), elector("b"));
    round(&mut server, &mut a, Duration::ZERO);
    round(&mut server, &mut b, Duration::ZERO);
    round(&mut server, &mut b, 20 * S);
    assert_eq!(a.term(20 * S), None);
    assert_eq!(a.step(20 * S, server.seen()), Action::Wait);
    assert_eq!(b.term(20 * S), Some(2));
}

#[test]
fn a_late_renewal_counts_from_when_it_was_sent() {
    let mut a = elector("a");
    a.wrote(5 * S, 1);
    assert_eq!(a.term(14 * S), Some(1));
    assert_eq!(a.term(15 * S), None);
}

#[test]
fn a_take_whose_answer_was_lost_is_repeated_with_a_higher_term() {
    let (mut server, mut a) = (Server::default(), elector("a"));
    let action = a.step(S, Seen::Absent);
    server.write("a", &action);
    let again = a.step(2 * S, server.seen());
    assert!(matches!(again, Action::Take { term: 2, .. }), "{again:?}");
}

#[test]
fn the_term_rises_though_the_lease_was_deleted() {
    let (mut server, mut a) = (Server::default(), elector("a"));
    server.put("", 41);
    round(&mut server, &mut a, S);
    assert_eq!(a.term(S), Some(42));
    server.lease = None;
    round(&mut server, &mut a, 2 * S);
    assert_eq!(a.term(2 * S), Some(43));
}

#[test]
fn a_leader_whose_lease_was_taken_steps_down() {
    let (mut server, mut a) = (Server::default(), elector("a"));
    round(&mut server, &mut a, Duration::ZERO);
    server.put("b", 2);
    round(&mut server, &mut a, S);
    assert_eq!(a.term(S), None);
}

/// Many interleavings of looks and writes that come late or get lost: never two leaders,
/// never the same term twice.
#[test]
fn under_lost_and_late_answers_there_is_at_most_one_leader() {
    for seed in 1..400_u64 {
        let mut random = seed;
        let mut next = |bound: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % bound
        };
        let mut server = Server::default();
        let mut candidates = [elector("a"), elector("b"), elector("c")];
        let mut terms = std::collections::BTreeMap::new();
        let mut now = Duration::ZERO;
        for _ in 0..300 {
            now += Duration::from_millis(next(3000));
            let who = usize::try_from(next(3)).unwrap();
            let seen = match next(10) {
                0..3 => Seen::Unknown,
                _ => server.seen(),
            };
            let action = candidates[who].step(now, seen);
            let sent = now;
            now += Duration::from_millis(next(2000));
            if next(10) > 1 {
                let identity = candidates[who].identity.clone();
                let taken = server.write(&identity, &action);
                if let Some(term) = taken.filter(|_| next(10) > 1) {
                    candidates[who].wrote(sent, term);
                    let holder = terms.entry(term).or_insert(who);
                    assert_eq!(*holder, who, "seed {seed}: term {term} had two holders");
                }
            }
            let leaders = candidates.iter().filter(|c| c.term(now).is_some()).count();
            assert!(leaders <= 1, "seed {seed}: {leaders} leaders at {now:?}");
        }
    }
}
