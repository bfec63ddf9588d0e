//! Leader election on `coordination.k8s.io/Lease`.
//!
//! [`Elector`] is the whole protocol as a pure step function: what was seen and how late
//! it is go in, what to write comes out. [`LeaderElection`] drives it against a cluster.
//!
//! **Invariants.** A candidate takes a lease only after it has itself watched it stand
//! still for the duration that the *holder* wrote into it, by its own clock; clocks of
//! other machines are never compared. A leader counts its time from before its last
//! renewal was *sent*, and is none any more when `renew_deadline` has passed, whatever
//! its driver is doing. `renew_deadline` is shorter than the lease, so two candidates
//! are never leaders at once. Each change of holder has a higher term.

mod driver;

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};

pub use driver::{LeaderElection, LeaderHandle, LeaseName};

/// Times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait after the last change before they take the lease.
    pub lease: Duration,
    /// How long a leader leads after its last renewal was sent.
    pub renew_deadline: Duration,
    /// Time between two looks.
    pub retry: Duration,
}

impl Default for Timing {
    /// The times of Kubernetes' own controllers.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What matters of a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was given back.
    pub holder: String,
    /// Term of the holder.
    pub term: i64,
    /// How long the holder asks others to wait.
    pub lease: Duration,
    /// Version of the object; each write changes it.
    pub resource_version: String,
}

/// What a look at the lease gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is none.
    Absent,
    /// The cluster did not say.
    Unknown,
    /// This.
    Known(Record),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: look again after [`Timing::retry`].
    Wait,
    /// Make the Lease, with this term.
    Create {
        /// Term to lead with.
        term: i64,
    },
    /// Take the Lease over, if it still has this version.
    Take {
        /// Term to lead with.
        term: i64,
        /// Version that it must still have.
        resource_version: String,
    },
    /// Renew, if it still has this version.
    Renew {
        /// Term that stays.
        term: i64,
        /// Version that it must still have.
        resource_version: String,
    },
}

/// One candidate's side of the election.
#[derive(Clone, Debug)]
pub struct Elector {
    identity: String,
    timing: Timing,
    seen: Option<(Record, Duration)>,
    leading: Option<Leading>,
    highest_term: i64,
}

#[derive(Clone, Copy, Debug)]
struct Leading {
    term: i64,
    renewed: Duration,
}

impl Elector {
    /// A candidate. `identity` must be different for every *process*.
    pub fn new(identity: impl Into<String>, timing: Timing) -> Self {
        Self {
            identity: identity.into(),
            timing,
            seen: None,
            leading: None,
            highest_term: 0,
        }
    }

    /// What to do, `now` after the candidate's own start, having seen `seen`.
    #[must_use]
    pub fn step(&mut self, now: Duration, seen: Seen) -> Action {
        if self.term(now).is_none() {
            self.leading = None;
        }
        match seen {
            Seen::Unknown => Action::Wait,
            Seen::Absent => {
                // Somebody deleted it: whoever makes it again begins a new term.
                self.leading = None;
                self.seen = None;
                Action::Create {
                    term: self.highest_term + 1,
                }
            }
            Seen::Known(record) => self.step_known(now, record),
        }
    }

    fn step_known(&mut self, now: Duration, record: Record) -> Action {
        self.highest_term = self.highest_term.max(record.term);
        let since = match &self.seen {
            Some((old, since)) if old.resource_version == record.resource_version => *since,
            Some(_) | None => now,
        };
        self.seen = Some((record.clone(), since));
        let ours = record.holder == self.identity;
        if let Some(leading) = self.leading {
            if ours && record.term == leading.term {
                return Action::Renew {
                    term: leading.term,
                    resource_version: record.resource_version,
                };
            }
            self.leading = None;
        }
        // Ours without leading: a write of ours whose answer was lost, or a deadline
        // that passed. Nobody else can be this identity.
        let free = record.holder.is_empty() || ours;
        if free || now.saturating_sub(since) >= record.lease {
            return Action::Take {
                term: self.highest_term + 1,
                resource_version: record.resource_version,
            };
        }
        Action::Wait
    }

    /// The answer to the last [`Action`] said yes; it was sent at `sent`.
    pub fn wrote(&mut self, sent: Duration, term: i64) {
        self.highest_term = self.highest_term.max(term);
        self.leading = Some(Leading {
            term,
            renewed: sent,
        });
    }

    /// Steps down by itself.
    pub fn resign(&mut self) {
        self.leading = None;
    }

    /// The term, if this candidate leads at `now`.
    pub fn term(&self, now: Duration) -> Option<i64> {
        let leading = self.leading?;
        (now < self.leads_until()?).then_some(leading.term)
    }

    /// Until when it leads, if nothing else is heard.
    pub fn leads_until(&self) -> Option<Duration> {
        Some(self.leading?.renewed + self.timing.renew_deadline)
    }

    /// Version of the Lease that was last seen.
    pub fn seen_version(&self) -> Option<&str> {
        self.seen.as_ref().map(|(r, _)| r.resource_version.as_str())
    }
}

impl Record {
    /// Reads a Lease; what is missing in it counts as given back.
    pub fn read(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|s| s.lease_duration_seconds).unwrap_or(0);
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Self {
            holder: spec
                .and_then(|s| s.holder_identity.clone())
                .unwrap_or_default(),
            term: spec.and_then(|s| s.lease_transitions).unwrap_or(0).into(),
            lease: Duration::from_secs(seconds),
            resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// The Lease as a holder writes it. `wall` is for people; nobody compares it.
pub(crate) fn lease_object(
    name: &LeaseName,
    holder: &str,
    term: i64,
    lease: Duration,
    resource_version: Option<String>,
    wall: Timestamp,
) -> Lease {
    let seconds = i32::try_from(lease.as_secs().max(1)).unwrap_or(i32::MAX);
    Lease {
        metadata: ObjectMeta {
            name: Some(name.name.clone()),
            namespace: Some(name.namespace.clone()),
            resource_version,
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(i32::try_from(term).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(wall)),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests;
