//! Open-loop load: requests leave on time, whatever became of those before.
//!
//! Every second request of a target uses a connection of its own, the others kept-alive
//! ones. Nothing is tried again, but by a [`Client::Failover`]: that is what it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{clock, digits::Digits};

mod judge;
mod request;

pub use judge::{Outcome, Serving, Verdict};
use request::Connections;

/// Where requests of one kind go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name in records. For [`Client::Single`] the cluster whose gateway is asked.
    pub name: String,
    /// Addresses of gateways, by cluster.
    pub gateways: Vec<(String, SocketAddr)>,
    /// How they are asked.
    pub client: Client,
}

/// How a client uses the addresses that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Asks the first address, once.
    Single,
    /// Has them all, as DNS gives them, starts with another each time, and tries the
    /// next after this time or an error.
    Failover(Duration),
}

/// How much load, and how patient.
#[derive(Clone, Debug)]
pub struct Options {
    /// Model that is asked.
    pub model: String,
    /// Requests a second to each target.
    pub rate: u32,
    /// When a client gives up, from connecting to the last byte.
    pub timeout: Duration,
}

/// One request and what became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Name of the target.
    pub target: String,
    /// When it was sent, since the start of the load, in milliseconds.
    pub start_ms: u64,
    /// When it ended, since the start of the load, in milliseconds.
    pub end_ms: u64,
    /// Whether a kept-alive connection was wanted.
    pub kept_alive: bool,
    /// Whether it went on a connection that had carried a request before.
    pub reused: bool,
    /// Held-out row that was asked about.
    pub row: usize,
    /// Gateways that were asked, one after the other; 0 when that is unknown.
    pub tries: usize,
    /// What came back.
    pub outcome: Outcome,
    /// What is to be thought of it.
    pub verdict: Verdict,
}

/// Sums over records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Requests that ended.
    pub sent: usize,
    /// Without a 2xx answer.
    pub failed: usize,
    /// Answered with a class that is not that of the revision which the answer names,
    /// or by a revision that may not serve there now.
    pub wrong: usize,
    /// Answered by another cluster than that of the gateway asked.
    pub crossed: usize,
    /// Answered by another gateway than the first that the client asked.
    pub retried: usize,
    /// Sent on a connection that had carried a request before.
    pub reused: usize,
    /// Answers by `cluster/version`.
    pub answers: BTreeMap<String, usize>,
    /// Failures and wrong answers by what happened, the first few words of it.
    pub reasons: BTreeMap<String, usize>,
}

impl Counts {
    /// Sums up.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut counts = Self::default();
        for record in records {
            counts.sent += 1;
            match &record.verdict {
                Verdict::Failed => counts.failed += 1,
                Verdict::Wrong(_) => counts.wrong += 1,
                Verdict::Right => {}
            }
            if record.crossed() {
                counts.crossed += 1;
            }
            counts.reused += usize::from(record.reused);
            if record.tries > 1 && record.verdict != Verdict::Failed {
                counts.retried += 1;
            }
            if let Outcome::Answered {
                cluster, revision, ..
            } = &record.outcome
            {
                let version = revision.split('.').next().unwrap_or_default();
                let key = format!("{cluster}/{version}");
                *counts.answers.entry(key).or_default() += 1;
            }
            if let Some(reason) = record.reason() {
                *counts.reasons.entry(reason).or_default() += 1;
            }
        }
        counts
    }
}

impl Record {
    /// Whether another cluster answered than that of the gateway asked.
    pub fn crossed(&self) -> bool {
        matches!(&self.outcome, Outcome::Answered { cluster, gateway, .. } if cluster != gateway)
    }

    /// Whether `cluster` answered, for this version where one is named.
    pub fn answered_by(&self, answering: &str, version: Option<&str>) -> bool {
        let Outcome::Answered {
            cluster, revision, ..
        } = &self.outcome
        else {
            return false;
        };
        let is_of = |version| revision.split('.').next() == Some(version);
        cluster == answering && version.is_none_or(is_of)
    }

    /// Why it is not right, short enough to be counted by.
    fn reason(&self) -> Option<String> {
        let target = &self.target;
        match (&self.verdict, &self.outcome) {
            (Verdict::Right, _) => None,
            (Verdict::Wrong(why), _) => Some(format!("{target}: {why}")),
            (Verdict::Failed, Outcome::Failed { what }) => Some(format!("{target}: {what}")),
            (Verdict::Failed, Outcome::Answered { .. }) => Some(target.clone()),
        }
    }
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    start: Instant,
    stop: CancellationToken,
    senders: Vec<JoinHandle<()>>,
    records: Arc<Mutex<Vec<Record>>>,
}

/// What every request of a load needs.
struct Shared {
    start: Instant,
    digits: Arc<Digits>,
    options: Options,
    serving: Serving,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Load {
    /// Starts to send.
    pub fn start(
        targets: Vec<Target>,
        digits: Arc<Digits>,
        options: Options,
        serving: Serving,
    ) -> Self {
        let start = clock::now();
        let records = Arc::new(Mutex::new(vec![]));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            start,
            digits,
            options,
            serving,
            records: Arc::clone(&records),
        });
        let senders = targets
            .into_iter()
            .enumerate()
            .map(|(index, target)| {
                tokio::spawn(send(Arc::clone(&shared), target, index, stop.clone()))
            })
            .collect();
        Self {
            start,
            stop,
            senders,
            records,
        }
    }

    /// Time since the start, in milliseconds: the clock of records.
    pub fn now_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    /// Records that started in `[from_ms, until_ms)` and have ended.
    pub fn between(&self, from_ms: u64, until_ms: u64) -> Vec<Record> {
        lock(&self.records)
            .iter()
            .filter(|record| (from_ms..until_ms).contains(&record.start_ms))
            .cloned()
            .collect()
    }

    /// Stops sending, waits for what was sent, and hands everything over, in the order
    /// in which requests ended.
    pub async fn stop(self) -> Vec<Record> {
        self.stop.cancel();
        futures::future::join_all(self.senders).await;
        std::mem::take(&mut *lock(&self.records))
    }
}

async fn send(shared: Arc<Shared>, target: Target, index: usize, stop: CancellationToken) {
    let target = Arc::new(target);
    let connections = Arc::new(Connections::default());
    let mut interval = tokio::time::interval(Duration::from_secs(1) / shared.options.rate.max(1));
    interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = tokio::task::JoinSet::new();
    // Targets start at different rows, so that they do not ask the same at a time.
    for n in index * 11.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = interval.tick() => {}
        }
        while requests.try_join_next().is_some() {}
        let request = one(
            Arc::clone(&shared),
            Arc::clone(&target),
            Arc::clone(&connections),
            n,
        );
        requests.spawn(request);
    }
    requests.join_all().await;
}

async fn one(shared: Arc<Shared>, target: Arc<Target>, connections: Arc<Connections>, n: usize) {
    let kept_alive = n % 2 == 1;
    // Both kinds of connection ask about every row.
    let row = shared.digits.row(n / 2);
    let start = shared.start.elapsed();
    let before = shared.serving.now();
    let asked = request::Asked {
        path: format!("/v2/models/{}/infer", shared.options.model),
        body: shared.digits.body(row),
        kept_alive,
    };
    let sent = request::ask(&connections, &target, &asked, n);
    let request::Reply {
        outcome,
        tries,
        reused,
    } = tokio::time::timeout(shared.options.timeout, sent)
        .await
        .unwrap_or_else(|_| request::Reply::failed("no answer in time"));
    let verdict = judge::judge(
        &outcome,
        row,
        &shared.digits,
        [&before, &shared.serving.now()],
    );
    lock(&shared.records).push(Record {
        target: target.name.clone(),
        start_ms: millis(start),
        end_ms: millis(shared.start.elapsed()),
        kept_alive,
        reused,
        row,
        tries,
        outcome,
        verdict,
    });
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A panic while the list was held would have ended that one request only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Versions by cluster.
pub type Versions = BTreeMap<String, BTreeSet<String>>;
