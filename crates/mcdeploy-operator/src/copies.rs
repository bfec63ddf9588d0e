//! What is known of copies under way: how far they are, by the word of their Jobs, and for
//! how long they have been wanted.
//!
//! A transfer Job logs a line a second for each of its targets. While it runs, its log is
//! followed: one request that stays open, through the member's API server, and none when
//! nothing is copied. What it says is shown, and decides nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream, stream::BoxStream};
use mcdeploy_api::{CopyProgress, Sha256Digest, TransferProgress, names};
use mcdeploy_cluster::ClusterClient;
use mcdeploy_plan::{
    Lags,
    transfer::{Location, PriceBook, Share},
};
use tokio::time::Instant;

use crate::context::{Context, Key};

/// A `ModelVersion` is written at most this often.
const EVERY: Duration = Duration::from_secs(1);
/// Pause before a log that ended, or was not to be had, is followed again.
const AGAIN: Duration = Duration::from_secs(1);
/// What the last line said holds for this long after a log ended.
const HOLDS: Duration = Duration::from_secs(5);
/// Jobs that are remembered at most when their logs have ended.
const MOST_ENDED: usize = 256;

/// How the log of a running transfer Job is read, by the client of its cluster and its
/// name; tests put lists in its place.
pub type FollowLog = Arc<dyn Fn(ClusterClient, String) -> BoxStream<'static, String> + Send + Sync>;

/// Follows logs through the API server.
pub fn log_follower() -> FollowLog {
    Arc::new(|client, job| {
        let lines = async move {
            match client.follow_job(&job, names::TRANSFER_CONTAINER).await {
                Ok(lines) => lines,
                Err(error) => {
                    tracing::debug!(job, error = %error, "no log of a transfer");
                    None
                }
            }
        };
        let lines = stream::once(lines).filter_map(async |lines| lines);
        lines.flatten().boxed()
    })
}

/// A transfer Job that runs.
#[derive(Clone)]
pub(crate) struct Following {
    pub(crate) client: ClusterClient,
    pub(crate) cluster: String,
    pub(crate) job: String,
    /// The version that it copies, and its `ModelVersion`.
    pub(crate) digest: Sha256Digest,
    pub(crate) version: Key,
    /// Stores that it copies to, with where they are, where that is known.
    pub(crate) targets: BTreeMap<String, Option<Location>>,
    /// Where it reads, and where it runs.
    pub(crate) way: Option<(Location, Location)>,
}

/// What one process knows of copies under way.
#[derive(Default)]
pub(crate) struct Copies {
    state: Mutex<State>,
    prices: Option<PriceBook>,
}

#[derive(Default)]
struct State {
    /// By cluster and name.
    jobs: HashMap<Key, Job>,
    under_way: BTreeMap<(String, Sha256Digest), CopyProgress>,
    written: HashMap<Key, Instant>,
    lags: Lags<Key>,
}

#[derive(Default)]
struct Job {
    is_followed: bool,
    /// Bytes and repeats that were counted, by store.
    counted: BTreeMap<String, (u64, u64)>,
}

impl Copies {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            prices: PriceBook::builtin().ok(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the transfers of a version are, by store.
    pub(crate) fn of(&self, digest: Sha256Digest) -> BTreeMap<String, CopyProgress> {
        let state = self.lock();
        let of = state.under_way.iter().filter(|((_, d), _)| *d == digest);
        of.map(|((store, _), progress)| (store.clone(), progress.clone()))
            .collect()
    }

    /// How long a `ModelVersion` is not to be written; none: it may be.
    pub(crate) fn rest(&self, version: &Key) -> Option<Duration> {
        let written = *self.lock().written.get(version)?;
        EVERY
            .checked_sub(written.elapsed())
            .filter(|rest| !rest.is_zero())
    }

    /// A `ModelVersion` was written just now.
    pub(crate) fn wrote(&self, version: &Key) {
        let mut state = self.lock();
        state.written.retain(|_, at| at.elapsed() < EVERY);
        state.written.insert(version.clone(), Instant::now());
    }

    /// Since when copies are wanted.
    pub(crate) fn lags<T>(&self, work: impl FnOnce(&mut Lags<Key>) -> T) -> T {
        work(&mut self.lock().lags)
    }

    /// Whether the Job is not followed yet; from now on it is, by the caller.
    fn begin(&self, id: &Key) -> bool {
        let mut state = self.lock();
        if state.jobs.len() > MOST_ENDED {
            state.jobs.retain(|_, job| job.is_followed);
        }
        let job = state.jobs.entry(id.clone()).or_default();
        !std::mem::replace(&mut job.is_followed, true)
    }

    fn end(&self, id: &Key) {
        if let Some(job) = self.lock().jobs.get_mut(id) {
            job.is_followed = false;
        }
    }

    /// Takes a line. Answers the bytes and repeats that are news.
    fn take(&self, job: &Following, said: &TransferProgress) -> (u64, u64) {
        let progress = self.progress(job, said);
        let mut state = self.lock();
        let copy = (said.store.clone(), job.digest);
        state.under_way.insert(copy, progress);
        let id = (job.cluster.clone(), job.job.clone());
        let counted = &mut state.jobs.entry(id).or_default().counted;
        let now = (said.done_bytes, said.repeats);
        let before = counted.insert(said.store.clone(), now).unwrap_or_default();
        // A pod that was started again begins anew.
        let news = |before: u64, now: u64| now.checked_sub(before).unwrap_or(now);
        (news(before.0, now.0), news(before.1, now.1))
    }

    fn progress(&self, job: &Following, said: &TransferProgress) -> CopyProgress {
        let TransferProgress {
            store,
            done_bytes,
            total_bytes,
            bytes_per_second,
            eta_seconds,
            repeats,
        } = said;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let target = job.targets.get(store).and_then(Option::as_ref);
        let share = self.prices.as_ref().zip(job.way.as_ref()).zip(target);
        let share = share.and_then(|((book, (source, place)), target)| {
            let way = (source, place, target);
            Share::of(book, way, job.targets.len(), *total_bytes)
        });
        CopyProgress {
            copied_bytes: number(*done_bytes),
            total_bytes: number(*total_bytes),
            bytes_per_second: number(*bytes_per_second),
            eta_seconds: eta_seconds.map(number),
            repeats: number(*repeats),
            usd: share.map(|share| share.so_far(*done_bytes).to_decimal()),
        }
    }

    /// Forgets what a Job said, unless it is followed again.
    fn forget(&self, job: &Following) -> bool {
        let mut state = self.lock();
        let id = (job.cluster.clone(), job.job.clone());
        if state.jobs.get(&id).is_some_and(|job| job.is_followed) {
            return false;
        }
        let before = state.under_way.len();
        for store in job.targets.keys() {
            state.under_way.remove(&(store.clone(), job.digest));
        }
        state.under_way.len() < before
    }
}

/// Follows the Job until its log ends, if it is not followed yet.
pub(crate) fn follow(ctx: &Arc<Context>, job: Following) {
    let id = (job.cluster.clone(), job.job.clone());
    if !ctx.copies.begin(&id) {
        return;
    }
    let ctx = Arc::clone(ctx);
    let work = async move {
        listen(&ctx, &job).await;
        tokio::time::sleep(AGAIN).await;
        ctx.copies.end(&id);
        tokio::time::sleep(HOLDS).await;
        if ctx.copies.forget(&job) {
            ctx.queues.versions.add(job.version.clone());
        }
    };
    tokio::spawn(work);
}

async fn listen(ctx: &Context, job: &Following) {
    let lines = (ctx.settings.follow_log)(job.client.clone(), job.job.clone());
    let mut lines = std::pin::pin!(lines.take_until(ctx.cancel.cancelled()));
    while let Some(line) = lines.next().await {
        let said = TransferProgress::parse(&line);
        let Some(said) = said.filter(|said| job.targets.contains_key(&said.store)) else {
            continue;
        };
        let (bytes, repeats) = ctx.copies.take(job, &said);
        ctx.metrics.copied(&said.store, bytes, repeats);
        let rest = ctx.copies.rest(&job.version).unwrap_or_default();
        ctx.queues.versions.add_after(job.version.clone(), rest);
    }
}
