//! Runs an election against a cluster.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use mcdeploy_api::{ErrorClass, names};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Action, Elector, Record, Seen, Timing, lease_object};
use crate::{ClusterClient, ClusterError, clock};

/// Which Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A candidate in an election, to be run.
#[derive(Debug)]
pub struct LeaderElection {
    client: ClusterClient,
    name: LeaseName,
    identity: String,
    timing: Timing,
    clock: clock::Stopwatch,
    publish: watch::Sender<Leadership>,
}

/// Tells whether this process leads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LeaderHandle {
    clock: clock::Stopwatch,
    state: watch::Receiver<Leadership>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Leadership {
    term: i64,
    until: Option<Duration>,
}

impl Leadership {
    fn term_at(self, now: Duration) -> Option<i64> {
        self.until.filter(|until| now < *until).map(|_| self.term)
    }
}

impl LeaderHandle {
    /// The term, while this process leads. Asks the clock each time, so it is right in a
    /// process that was stopped and goes on: ask before every write.
    pub fn term(&self) -> Option<i64> {
        self.state.borrow().term_at(self.clock.elapsed())
    }

    /// Ends when this process leads, with the term. Cancel-safe. `None`: the election
    /// has ended.
    pub async fn leading(&mut self) -> Option<i64> {
        loop {
            if let Some(term) = self.term() {
                return Some(term);
            }
            self.state.changed().await.ok()?;
        }
    }

    /// Ends when this process does not lead in `term` any more. Cancel-safe.
    pub async fn lost(&mut self, term: i64) {
        loop {
            let now = self.clock.elapsed();
            let state = *self.state.borrow_and_update();
            if state.term_at(now) != Some(term) {
                return;
            }
            let left = state
                .until
                .map_or(Duration::ZERO, |u| u.saturating_sub(now));
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                changed = self.state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl LeaderElection {
    /// A candidate. `identity` must be different for every process: a pod's name and
    /// something random.
    pub fn new(client: &ClusterClient, name: LeaseName, identity: &str, timing: Timing) -> Self {
        // A call that hangs must not eat the time in which a second one could renew.
        let deadline = (timing.renew_deadline / 3).min(Duration::from_secs(5));
        Self {
            client: client.with_deadline(deadline),
            name,
            identity: identity.to_owned(),
            timing,
            clock: clock::Stopwatch::start(),
            publish: watch::Sender::new(Leadership::default()),
        }
    }

    /// A handle that tells whether this process leads.
    pub fn handle(&self) -> LeaderHandle {
        LeaderHandle {
            clock: self.clock,
            state: self.publish.subscribe(),
        }
    }

    /// Runs until cancelled, then gives the lease back, so that another candidate need
    /// not wait.
    pub async fn run(self, cancel: CancellationToken) {
        let mut elector = Elector::new(&self.identity, self.timing);
        loop {
            let round = self.round(&mut elector);
            if cancel.run_until_cancelled(round).await.is_none() {
                break;
            }
            let pause = tokio::time::sleep(self.timing.retry);
            if cancel.run_until_cancelled(pause).await.is_none() {
                break;
            }
        }
        let term = elector.term(self.clock.elapsed());
        elector.resign();
        self.publish(&elector);
        if let Some(term) = term {
            self.give_back(term).await;
        }
    }

    async fn round(&self, elector: &mut Elector) {
        let seen = self.look().await;
        let before = elector.term(self.clock.elapsed());
        let action = elector.step(self.clock.elapsed(), seen);
        self.publish(elector);
        let sent = self.clock.elapsed();
        match self.carry_out(action).await {
            Ok(Some(term)) => elector.wrote(sent, term),
            Ok(None) => {}
            Err(error) if error.class() == ErrorClass::Precondition => {
                tracing::debug!(error = %error, "another candidate was first");
            }
            Err(error) => tracing::warn!(error = %error, "the lease could not be written"),
        }
        self.publish(elector);
        let after = elector.term(self.clock.elapsed());
        if before != after {
            let lease = &self.name.name;
            tracing::info!(
                lease,
                identity = self.identity,
                term = after,
                "leadership changed"
            );
        }
    }

    async fn look(&self) -> Seen {
        let LeaseName { namespace, name } = &self.name;
        match self.client.get::<Lease>(Some(namespace), name).await {
            Ok(Some(lease)) => Seen::Known(Record::read(&lease)),
            Ok(None) => Seen::Absent,
            Err(error) => {
                tracing::warn!(error = %error, "the lease cannot be seen");
                Seen::Unknown
            }
        }
    }

    /// The term that is now held, if anything was written.
    async fn carry_out(&self, action: Action) -> Result<Option<i64>, ClusterError> {
        let manager = names::FIELD_MANAGER_OPERATOR;
        let object = |term, version| {
            let wall = clock::wall();
            lease_object(
                &self.name,
                &self.identity,
                term,
                self.timing.lease,
                version,
                wall,
            )
        };
        let term = match action {
            Action::Wait => return Ok(None),
            Action::Create { term } => {
                self.client.create(&object(term, None), manager).await?;
                term
            }
            Action::Take {
                term,
                resource_version,
            }
            | Action::Renew {
                term,
                resource_version,
            } => {
                let lease = object(term, Some(resource_version));
                self.client.replace(&lease, manager).await?;
                term
            }
        };
        Ok(Some(term))
    }

    /// One look and one write, each within the deadline of a call. Should they fail, the
    /// lease runs out by itself.
    async fn give_back(&self, term: i64) {
        let Seen::Known(record) = self.look().await else {
            return;
        };
        if record.holder != self.identity || record.term != term {
            return;
        }
        let version = Some(record.resource_version);
        let brief = Duration::from_secs(1);
        let lease = lease_object(&self.name, "", term, brief, version, clock::wall());
        let done = self
            .client
            .replace(&lease, names::FIELD_MANAGER_OPERATOR)
            .await;
        if let Err(error) = done {
            tracing::warn!(error = %error, "the lease could not be given back; it runs out");
        }
    }

    fn publish(&self, elector: &Elector) {
        let now = self.clock.elapsed();
        let state = elector
            .term(now)
            .map_or_else(Leadership::default, |term| Leadership {
                term,
                until: elector.leads_until(),
            });
        self.publish.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
    }
}
