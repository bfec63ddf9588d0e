//! Brings a version from one source into several stores, reading it once.
//!
//! | room | role |
//! |---|---|
//! | `round` | one pass over what some targets still lack: files and parts in flight |
//! | `run` | one target in one round: open, send, complete, publish |
//! | `source` | what the source has, or has so far |
//! | `existing` | what is in a target before the version comes, and whose it is |
//! | `delta` | files that a target holds in other versions |
//! | `pool` | the bound on memory |
//! | `hold` | who holds the others back, and for how long |
//!
//! A round reads each part that any target lacks once and gives it to all of those. A
//! target that fails, or that holds the others back for longer than its budget, leaves the
//! round; the next round goes on with what its store says it has. So a kill at any moment,
//! a slow target and an outage are all the same case.
//!
//! **Invariants:** memory is bounded by the pool; nothing is visible before its checksums
//! are right; a target is published only when each of its files is in.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, ListedObject, Manifest, ObjectKey, OnProgress, Progress, PublishError, Step, Store,
    StoreError, VersionName,
    publish::{Files, Publication},
};

use self::source::Source;

mod delta;
mod existing;
mod hold;
mod pool;
mod round;
mod run;
mod source;

/// How a transfer uses memory and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferOptions {
    /// Most bytes of parts in memory at once; at least one part is. What is in flight at a
    /// kill is sent again, and twice as much is in memory, so the default is small: 24 MiB.
    /// More is faster over a long way.
    pub buffer_bytes: u64,
    /// How long one target may hold the others back in all before it is left behind and
    /// its remaining parts are read again for it alone. Default: a minute.
    pub hold_back: Duration,
    /// How often a target is tried in all; one that is down may be back. Default: 5.
    pub rounds: u32,
    /// Pause before the second round; doubles each time. Default: 2 s.
    pub pause: Duration,
    /// The source may itself still be receiving the version: each file is copied as soon as
    /// it is there, and waited for as long as files came within this time. Default: none,
    /// a file that is not there is an error.
    pub follow: Option<Duration>,
}

/// Four parts of 5 MiB, and some room for small files.
const DEFAULT_BUFFER_BYTES: u64 = 24 * 1024 * 1024;

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            hold_back: Duration::from_mins(1),
            rounds: 5,
            pause: Duration::from_secs(2),
            follow: None,
        }
    }
}

/// What came of one target.
#[derive(Debug)]
pub struct TargetOutcome {
    /// Name of the store.
    pub store: String,
    /// Whether the target lacked anything, or why it does not have the version.
    pub outcome: Result<bool, PublishError>,
    /// Bytes of parts that were sent, those that were sent twice counted twice.
    pub sent_bytes: u64,
    /// Bytes of parts that the store had from an earlier run and that were not sent.
    pub resumed_bytes: u64,
    /// Bytes of files that were copied inside the store and not sent.
    pub copied_bytes: u64,
    /// Requests that were made again.
    pub repeats: u64,
    /// Files that somebody else had written with the right bytes, before anybody claimed the
    /// version; they are part of it now. Sorted.
    pub adopted: Vec<ObjectKey>,
}

impl TargetOutcome {
    /// Nothing was sent: there is no way to use the store.
    pub(crate) fn not_opened(store: &str, error: StoreError) -> Self {
        Self {
            store: store.to_owned(),
            outcome: Err(error.into()),
            sent_bytes: 0,
            resumed_bytes: 0,
            copied_bytes: 0,
            repeats: 0,
            adopted: vec![],
        }
    }
}

/// What is to be done.
pub(crate) struct Job<'a> {
    pub(crate) from: Files<'a>,
    pub(crate) name: &'a VersionName,
    pub(crate) manifest: &'a Manifest,
    pub(crate) options: &'a TransferOptions,
    pub(crate) on_progress: OnProgress<'a>,
    pub(crate) cancel: &'a CancellationToken,
}

/// One target over all rounds.
struct Target<'a> {
    publication: Publication<'a>,
    /// What it lacks, or why it failed for good.
    state: Mutex<State>,
    is_new: AtomicBool,
    /// Parts from earlier uploads made other bytes once: begin anew.
    is_suspect: AtomicBool,
    /// Bytes that are in, of files and of parts.
    done_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    resumed_bytes: AtomicU64,
    copied_bytes: AtomicU64,
    adopted: Mutex<Vec<ObjectKey>>,
    repeats_before: u64,
}

/// Where a target stands between two rounds.
enum State {
    /// Something is missing; with the last error, if there was one.
    Open(Option<PublishError>),
    Done,
    Failed(PublishError),
}

impl Target<'_> {
    fn store(&self) -> &dyn Store {
        self.publication.to
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(_))
    }

    /// Whether no later run can go on with the parts that are there.
    fn is_hopeless(&self) -> bool {
        match &*self.state() {
            State::Open(_) | State::Done => false,
            // Credentials can be renewed.
            State::Failed(PublishError::Store(error)) => {
                error.class() == ErrorClass::Permanent
                    && !matches!(error.cause, Cause::Denied { .. })
            }
            State::Failed(error) => error.class() == ErrorClass::Permanent,
        }
    }

    /// Takes note of an error: the target is tried again, or failed for good.
    fn fail(&self, error: PublishError) {
        *self.state() = if may_pass(error.class()) {
            tracing::debug!(
                store = self.store().name(),
                "left for the next round: {error}"
            );
            State::Open(Some(error))
        } else {
            State::Failed(error)
        };
    }

    fn repeats(&self) -> u64 {
        self.store().repeats().saturating_sub(self.repeats_before)
    }

    fn outcome(self, is_cancelled: bool) -> TargetOutcome {
        let repeats = self.repeats();
        let store = self.store().name().to_owned();
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        TargetOutcome {
            outcome: match state {
                State::Done => Ok(self.is_new.into_inner()),
                State::Open(_) if is_cancelled => Err(self.publication.cancelled()),
                State::Failed(error) | State::Open(Some(error)) => Err(error),
                State::Open(None) => Err(self.publication.given_up()),
            },
            store,
            sent_bytes: self.sent_bytes.into_inner(),
            resumed_bytes: self.resumed_bytes.into_inner(),
            copied_bytes: self.copied_bytes.into_inner(),
            repeats,
            adopted: self
                .adopted
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Whether the next round may do better.
fn may_pass(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Unknown => true,
        ErrorClass::Permanent
        | ErrorClass::NotFound
        | ErrorClass::Precondition
        | ErrorClass::Cancelled => false,
    }
}

impl Job<'_> {
    /// Brings the version into all targets. One entry per target, in their order.
    ///
    /// # Errors
    /// Only of the source, before anything began.
    pub(crate) async fn replicate(
        &self,
        targets: &[&dyn Store],
    ) -> Result<Vec<TargetOutcome>, PublishError> {
        let mut all = vec![];
        for to in targets {
            all.push(Target {
                publication: Publication::new(*to, self.name, self.manifest)?,
                state: Mutex::new(State::Open(None)),
                is_new: AtomicBool::new(false),
                is_suspect: AtomicBool::new(false),
                done_bytes: AtomicU64::new(0),
                sent_bytes: AtomicU64::new(0),
                resumed_bytes: AtomicU64::new(0),
                copied_bytes: AtomicU64::new(0),
                adopted: Mutex::default(),
                repeats_before: to.repeats(),
            });
        }
        let source = Source::list(&self.from, self.options.follow, self.cancel).await?;
        let keep = all.iter().map(|t| t.publication.keep(self.cancel));
        tokio::select! {
            () = Box::pin(rounds(self, &source, &all)) => {}
            _ = join_all(keep) => {}
        }
        join_all(all.iter().map(|target| target.publication.let_go())).await;
        let is_cancelled = self.cancel.is_cancelled();
        let outcomes = all.into_iter().map(|target| target.outcome(is_cancelled));
        Ok(outcomes.collect())
    }

    /// Waits when an error, and not only slowness, ended the last round for somebody.
    async fn pause_before(&self, round: u32, open: &[&Target<'_>]) {
        let failed = |target: &&Target<'_>| match &*target.state() {
            State::Open(Some(error)) => may_pass(error.class()),
            State::Open(None) | State::Done | State::Failed(_) => false,
        };
        if round == 0 || !open.iter().any(failed) {
            return;
        }
        let pause = self.options.pause.saturating_mul(1 << (round - 1).min(6));
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn progress(&self, target: &Target<'_>, file: &ObjectKey, bytes: u64) {
        let done_bytes = target.done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.on_progress)(&Progress {
            step: Step::Copy,
            store: target.store().name().to_owned(),
            file: file.clone(),
            done_bytes,
            total_bytes: self.manifest.size_bytes(),
            repeats: target.repeats(),
        });
    }
}

/// Goes on until no target lacks anything that another round could bring.
async fn rounds<'a>(job: &'a Job<'a>, source: &'a Source<'a>, all: &'a [Target<'a>]) {
    for n in 0..job.options.rounds.max(1) {
        let open: Vec<_> = all.iter().filter(|target| target.is_open()).collect();
        if open.is_empty() || job.cancel.is_cancelled() {
            break;
        }
        job.pause_before(n, &open).await;
        round::Round::new(job, source, n).go(&open).await;
    }
}

fn by_key(listed: Vec<ListedObject>) -> BTreeMap<String, ListedObject> {
    let entries = listed
        .into_iter()
        .map(|object| (object.key.clone(), object));
    entries.collect()
}
