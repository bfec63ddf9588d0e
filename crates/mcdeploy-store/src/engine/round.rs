//! One pass over what some targets still lack.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use super::{
    Job, State, Target,
    hold::watch,
    may_pass,
    pool::Pool,
    run::{Run, Sink},
    source::{Piece, Source},
};
use crate::{Cause, Checksums, ManifestFile, ObjectKey, PublishError, StoreError};

/// Files in flight at once.
const FILES: usize = 16;
/// Most parts of one file in flight at once.
const PARTS: u64 = 32;
/// Parts in flight at once of a file that has few.
const FEW_PARTS: u64 = 4;
/// How long targets that are ready wait for the others, once.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Parts of one file that are in flight at once, however much room there is: those are lost
/// when the run is killed, so they are a twentieth of the file, or a few.
fn parts_at_once(size_bytes: u64, part_bytes: u64) -> u64 {
    (size_bytes / 20 / part_bytes).clamp(FEW_PARTS, PARTS)
}

/// A round with its pool and its end.
pub(super) struct Round<'a> {
    job: &'a Job<'a>,
    source: &'a Source<'a>,
    number: u32,
    pool: Pool,
    /// Reads of the source under way.
    reading: AtomicUsize,
    /// Ends the round for everybody.
    stop: CancellationToken,
    source_failure: Mutex<Option<SourceFailure>>,
}

/// Why the source cannot be read. Concerns every target.
#[derive(Clone, Debug)]
enum SourceFailure {
    Store(StoreError),
    Differs { file: ManifestFile, actual: String },
}

fn differs(file: &ManifestFile, actual: String) -> SourceFailure {
    SourceFailure::Differs {
        file: file.clone(),
        actual,
    }
}

/// Counts a read as long as it lives.
struct Reading<'a>(&'a AtomicUsize);

impl<'a> Reading<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(job: &'a Job<'a>, source: &'a Source<'a>, number: u32) -> Self {
        Self {
            job,
            source,
            number,
            pool: Pool::new(job.options.buffer_bytes),
            reading: AtomicUsize::new(0),
            stop: job.cancel.child_token(),
            source_failure: Mutex::new(None),
        }
    }

    /// Does what can be done for these targets, and says in each how far it came.
    pub(super) async fn go(&self, targets: &[&'a Target<'a>]) {
        let runs = self.begin(targets).await;
        let next = AtomicUsize::new(0);
        let workers = (0..FILES).map(|_| self.files(&runs, &next));
        let is_reading = || self.reading.load(Ordering::Relaxed) > 0;
        tokio::select! {
            _ = join_all(workers) => {}
            () = watch(&runs, self.job.options.hold_back, is_reading) => {}
        }
        for run in &runs {
            run.end();
        }
        self.tell_source_failure(targets);
    }

    /// Gets the targets ready. One that takes much longer than the others is left for the
    /// next round.
    async fn begin(&self, targets: &[&'a Target<'a>]) -> Vec<Run<'a>> {
        let mut begins = FuturesUnordered::new();
        for &target in targets {
            let stop = self.stop.child_token();
            let number = self.number;
            begins.push(async move {
                Run::begin(self.job, target, number, stop)
                    .await
                    .map_err(|error| target.fail(error))
            });
        }
        let patience = READY_WITHIN.min(self.job.options.hold_back);
        let mut runs = vec![];
        loop {
            let next = begins.next();
            let ready = if runs.is_empty() {
                next.await
            } else {
                tokio::time::timeout(patience, next).await.unwrap_or(None)
            };
            match ready {
                Some(Ok(run)) => runs.push(run),
                Some(Err(())) => {}
                None => return runs,
            }
        }
    }

    /// Takes files as long as there are any.
    async fn files(&self, runs: &[Run<'a>], next: &AtomicUsize) {
        let files = &self.job.manifest.files;
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if self.stop.is_cancelled() || runs.iter().all(Run::is_over) {
                return;
            }
            self.fan_out(file, runs).await;
        }
    }

    /// Brings one file into all targets that lack it.
    async fn fan_out(&self, file: &ManifestFile, runs: &[Run<'a>]) {
        let opened = join_all(runs.iter().map(|run| run.open(file))).await;
        let mut sinks: Vec<_> = opened.into_iter().flatten().collect();
        let Some(part_bytes) = sinks.first().map(Sink::part_bytes) else {
            return;
        };
        // Objects so large that a store has a limit of its own on parts take turns.
        sinks.retain(|sink| {
            sink.part_bytes() == part_bytes || {
                sink.miss(sink.run.target.publication.given_up());
                false
            }
        });
        if file.size_bytes > 0 {
            match self.job.from.key(&file.path) {
                Ok(key) => self.send_parts((file, &key), part_bytes, &sinks).await,
                Err(error) => self.fail(differs(file, error.to_string())),
            }
        }
        join_all(sinks.into_iter().map(Sink::complete)).await;
    }

    async fn send_parts(
        &self,
        (file, key): (&ManifestFile, &ObjectKey),
        part_bytes: u64,
        sinks: &[Sink<'_>],
    ) {
        let parts = u32::try_from(file.size_bytes.div_ceil(part_bytes)).unwrap_or(u32::MAX);
        let next = AtomicUsize::new(0);
        let worker = || async {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(index) = u32::try_from(index).ok().filter(|index| *index < parts) else {
                    return;
                };
                if sinks.iter().any(|sink| sink.wants(index)) {
                    let start = u64::from(index) * part_bytes;
                    let range = start..(start + part_bytes).min(file.size_bytes);
                    self.send_part((file, key), index, range, sinks).await;
                }
            }
        };
        let workers = self
            .pool
            .parts(part_bytes)
            .min(parts_at_once(file.size_bytes, part_bytes));
        join_all((0..workers).map(|_| worker())).await;
    }

    /// Reads a part and gives it to all who want it. It is held until the last has it.
    async fn send_part(
        &self,
        (file, key): (&ManifestFile, &ObjectKey),
        index: u32,
        range: Range<u64>,
        sinks: &[Sink<'_>],
    ) {
        let is_wanted = || sinks.iter().any(|sink| sink.wants(index));
        let Some(piece) = self.piece((file, key), &range, is_wanted).await else {
            return;
        };
        let Some(_room) = self.pool.acquire(range.end - range.start).await else {
            return;
        };
        // Those who wanted it may have gone while it waited.
        if !is_wanted() {
            return;
        }
        let Some(bytes) = self.read((file, key), range, piece, is_wanted).await else {
            return;
        };
        let checksums = Checksums::of(&bytes);
        if bytes.len() as u64 == file.size_bytes && checksums != file.checksums() {
            return self.refuse_whole(file, checksums, sinks);
        }
        let wanting = sinks.iter().filter(|sink| sink.wants(index));
        join_all(wanting.map(|sink| sink.send(index, bytes.clone(), checksums))).await;
    }

    /// Where to read a part; none when there is no way, or nobody wants it any more.
    async fn piece(
        &self,
        (file, key): (&ManifestFile, &ObjectKey),
        range: &Range<u64>,
        is_wanted: impl Fn() -> bool,
    ) -> Option<Piece> {
        // Whoever waits here waits for the source.
        let _reading = Reading::new(&self.reading);
        let found = self.source.piece((file, key), range, is_wanted, &self.stop);
        match found.await {
            Ok(Some(piece)) if !piece.is_part && piece.object.size_bytes != file.size_bytes => {
                self.fail(differs(file, format!("{} bytes", piece.object.size_bytes)));
                None
            }
            Ok(found) => found,
            Err(error) => {
                self.fail(SourceFailure::Store(error));
                None
            }
        }
    }

    /// The bytes of a part; none when there is no way, or nobody wants it any more.
    async fn read(
        &self,
        (file, key): (&ManifestFile, &ObjectKey),
        range: Range<u64>,
        mut piece: Piece,
        is_wanted: impl Fn() -> bool,
    ) -> Option<Bytes> {
        let _reading = Reading::new(&self.reading);
        loop {
            let source = self.job.from.store;
            match source.read(&piece.object, piece.range, &self.stop).await {
                Ok(bytes) => return Some(bytes),
                // The file is there now, most likely.
                Err(error)
                    if piece.is_part && matches!(error.cause, Cause::NotFound | Cause::Changed) =>
                {
                    self.source.forget_parts(key).await;
                    piece = self.piece((file, key), &range, &is_wanted).await?;
                }
                Err(error) => {
                    self.fail(SourceFailure::Store(error));
                    return None;
                }
            }
        }
    }

    /// A file of one part whose bytes are wrong is not sent.
    fn refuse_whole(&self, file: &ManifestFile, actual: Checksums, sinks: &[Sink<'_>]) {
        if self.number > 0 {
            return self.fail(SourceFailure::Differs {
                file: file.clone(),
                actual: actual.to_string(),
            });
        }
        for sink in sinks {
            sink.miss(self.mismatch(file, &actual.to_string()));
        }
    }

    fn mismatch(&self, file: &ManifestFile, actual: &str) -> PublishError {
        PublishError::SourceMismatch {
            store: self.job.from.store.name().to_owned(),
            file: file.path.clone(),
            expected: file.checksums().to_string(),
            actual: actual.to_owned(),
        }
    }

    fn fail(&self, failure: SourceFailure) {
        let mut first = self
            .source_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
        self.stop.cancel();
    }

    /// What the source did ends up in every target that it kept from its version.
    fn tell_source_failure(&self, targets: &[&Target<'_>]) {
        let mut failure = self
            .source_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(failure) = failure.take() else {
            return;
        };
        for target in targets {
            let error = match &failure {
                SourceFailure::Store(error) => error.clone().into(),
                SourceFailure::Differs { file, actual } => self.mismatch(file, actual),
            };
            let mut state = target.state();
            let was_stopped = match &*state {
                State::Open(_) => true,
                State::Failed(error) => error.class() == ErrorClass::Cancelled,
                State::Done => false,
            };
            if was_stopped {
                *state = if may_pass(error.class()) && !self.job.cancel.is_cancelled() {
                    State::Open(Some(error))
                } else {
                    State::Failed(error)
                };
            }
        }
    }
}
