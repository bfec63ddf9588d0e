//! One target in one round.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use super::{Job, State, Target, by_key, delta::Delta, existing, hold::Look};
use crate::{
    Cause, Checksums, ListedObject, ManifestFile, ObjectInfo, ObjectKey, PublishError, Receipts,
    Resume, StoreError, Upload,
    compare::{self, Comparison},
    publish::Claimed,
    receipt::{self, Receipt},
};

/// One target that takes part in a round.
pub(super) struct Run<'a> {
    job: &'a Job<'a>,
    pub(super) target: &'a Target<'a>,
    /// What it had when the round began, by key.
    there: BTreeMap<String, ListedObject>,
    is_published: bool,
    resume: Resume,
    /// What was proved of it in an earlier run.
    before: Receipt,
    /// What was proved in this round.
    proved: Mutex<Receipt>,
    delta: Delta,
    /// Ends all of its requests.
    stop: CancellationToken,
    /// What it has to do just now.
    busy: AtomicUsize,
    /// Files that are not in yet.
    files_left: AtomicUsize,
    is_over: AtomicBool,
    /// Why a file waits for the next round.
    missed: Mutex<Option<PublishError>>,
}

/// An object on its way into one target.
pub(super) struct Sink<'a> {
    pub(super) run: &'a Run<'a>,
    file: &'a ManifestFile,
    key: ObjectKey,
    upload: Box<dyn Upload>,
    /// Parts that the store lacked when the upload began.
    lacking: BTreeSet<u32>,
    /// Whether it still takes parts.
    is_open: AtomicBool,
}

/// Says that the target is busy as long as it lives.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks at what is in the target already, and takes what is equal. A claim that was made
/// just now goes again when something is in the way: nothing was written below it.
async fn adopt(
    job: &Job<'_>,
    target: &Target<'_>,
    listed: &[ListedObject],
    claimed: Claimed,
    stop: &CancellationToken,
) -> Result<Receipt, PublishError> {
    let looked = existing::look(job, target.store(), listed, claimed, stop).await;
    match &looked {
        Ok(equal) if claimed == Claimed::New => {
            let mut adopted = target
                .adopted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *adopted = equal.paths().cloned().collect();
        }
        Err(PublishError::Foreign { .. }) if claimed == Claimed::New => {
            target.publication.release(stop).await;
        }
        Ok(_) | Err(_) => {}
    }
    looked
}

impl<'a> Run<'a> {
    /// Claims the version in the target and looks at what is there.
    pub(super) async fn begin(
        job: &'a Job<'a>,
        target: &'a Target<'a>,
        round: u32,
        stop: CancellationToken,
    ) -> Result<Self, PublishError> {
        let publication = &target.publication;
        let mut is_published = publication.published(&stop).await?;
        let mut claimed = Claimed::Finished;
        if !is_published {
            claimed = publication.claim(&stop).await?;
            is_published = claimed == Claimed::Finished;
        }
        let is_first = round == 0 && claimed == Claimed::New;
        let store = target.store();
        let listed = store.list(&job.name.prefix(), &stop).await?;
        let digest = job.manifest.digest();
        let (mut before, mut delta) = (Receipt::new(digest), Delta::default());
        if !is_published {
            before = adopt(job, target, &listed, claimed, &stop).await?;
            delta = Delta::find(store, job.name, job.manifest, &stop).await;
        } else if store.receipts() == Receipts::Proof {
            before = receipt::read(store, job.name, &digest, &stop).await;
        }
        target.is_new.fetch_or(!is_published, Ordering::Relaxed);
        target.done_bytes.store(0, Ordering::Relaxed);
        // Nobody can have begun an upload before the first claim.
        let resume = if is_first || target.is_suspect.load(Ordering::Relaxed) {
            Resume::Never
        } else {
            Resume::IfThere
        };
        Ok(Self {
            job,
            target,
            there: by_key(listed),
            is_published,
            resume,
            before,
            proved: Mutex::new(Receipt::new(digest)),
            delta,
            stop,
            busy: AtomicUsize::new(0),
            files_left: AtomicUsize::new(job.manifest.files.len()),
            is_over: AtomicBool::new(false),
            missed: Mutex::new(None),
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn look(&self) -> Look {
        if self.is_over() {
            Look::Over
        } else if self.busy.load(Ordering::Relaxed) > 0 {
            Look::Busy
        } else {
            Look::Idle
        }
    }

    /// Ends its part in this round; what it lacks is left for the next.
    pub(super) fn leave_behind(&self) {
        if !self.is_over.swap(true, Ordering::Relaxed) {
            tracing::info!(
                store = self.target.store().name(),
                "left behind: it holds the other targets back; its rest is read again later"
            );
            self.stop.cancel();
        }
    }

    fn fail(&self, error: PublishError) {
        // The first error is the cause of what follows.
        if !self.is_over.swap(true, Ordering::Relaxed) {
            self.stop.cancel();
            self.target.fail(error);
        }
    }

    fn miss(&self, error: PublishError) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        *missed = Some(error);
    }

    /// Whoever comes to the end of a round with files that were missed tries again.
    pub(super) fn end(&self) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = missed.take()
            && !self.is_over.swap(true, Ordering::Relaxed)
        {
            *self.target.state() = State::Open(Some(error));
        }
    }

    /// Looks whether the file is in, and begins an upload if not. None: nothing to send.
    pub(super) async fn open<'r>(&'r self, file: &'r ManifestFile) -> Option<Sink<'r>> {
        if self.is_over() {
            return None;
        }
        let _busy = Busy::new(&self.busy);
        match self.try_open(file).await {
            Ok(Some(sink)) => Some(sink),
            Ok(None) => {
                self.job.progress(self.target, &file.path, file.size_bytes);
                self.file_is_in().await;
                None
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    async fn try_open<'r>(
        &'r self,
        file: &'r ManifestFile,
    ) -> Result<Option<Sink<'r>>, PublishError> {
        let key = self.job.name.key(&file.path)?;
        if let Some(listed) = self.there.get(key.as_str()) {
            if self.before.proves(file, listed) {
                self.proved(file, listed.pin.clone());
                return Ok(None);
            }
            if self.is_right(file, &listed.object()?).await? {
                return Ok(None);
            }
        }
        if self.duplicate(file, &key).await? {
            return Ok(None);
        }
        let begun = self.begin_upload(&key, file).await;
        let upload = match begun {
            Ok(upload) => upload,
            // It appeared since it was listed.
            Err(error) if error.class() == ErrorClass::Precondition => {
                let object = self.target.store().head(&key, &self.stop).await?;
                if self.is_right(file, &object).await? {
                    return Ok(None);
                }
                self.begin_upload(&key, file).await?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(self.sink(file, key, upload)))
    }

    /// Makes the file of one that the store has, and looks at it as at any other.
    async fn duplicate(&self, file: &ManifestFile, key: &ObjectKey) -> Result<bool, PublishError> {
        let Some(source) = self.delta.source(file) else {
            return Ok(false);
        };
        let store = self.target.store();
        match store.duplicate(source, key, &self.stop).await {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => {
                tracing::debug!(store = store.name(), "sent, not copied: {error}");
                // One that changed says nothing about the others.
                if error.class() != ErrorClass::Precondition {
                    self.delta.turn_off();
                }
                return Ok(false);
            }
        }
        let object = store.head(key, &self.stop).await?;
        match self.compare(file, &object).await? {
            Comparison::Equal { .. } => {
                let copied = &self.target.copied_bytes;
                copied.fetch_add(file.size_bytes, Ordering::Relaxed);
                Ok(true)
            }
            // We wrote it just now, create-only, of an object that is not what its receipt
            // says.
            Comparison::Differs { .. } => {
                store.delete(&object, &self.stop).await?;
                Ok(false)
            }
        }
    }

    fn proved(&self, file: &ManifestFile, pin: String) {
        let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        proved.note(&file.path, pin);
    }

    /// Keeps what was proved, when it is news.
    async fn keep_receipt(&self) {
        let proved = {
            let proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
            proved.clone()
        };
        if !self.is_published || proved != self.before {
            receipt::replace(self.target.store(), self.job.name, &proved, &self.stop).await;
        }
    }

    async fn begin_upload(
        &self,
        key: &ObjectKey,
        file: &ManifestFile,
    ) -> Result<Box<dyn Upload>, StoreError> {
        let content = file.checksums();
        let store = self.target.store();
        store.begin(key, &content, self.resume, &self.stop).await
    }

    fn sink<'r>(
        &'r self,
        file: &'r ManifestFile,
        key: ObjectKey,
        upload: Box<dyn Upload>,
    ) -> Sink<'r> {
        let parts = file.size_bytes.div_ceil(upload.part_bytes());
        let held = upload.held();
        let resumed = held.values().map(|part| part.size_bytes).sum();
        if resumed > 0 {
            let total = &self.target.resumed_bytes;
            total.fetch_add(resumed, Ordering::Relaxed);
            self.job.progress(self.target, &file.path, resumed);
        }
        let all = 0..u32::try_from(parts).unwrap_or(u32::MAX);
        Sink {
            run: self,
            file,
            key,
            lacking: all.filter(|index| !held.contains_key(index)).collect(),
            upload,
            is_open: AtomicBool::new(true),
        }
    }

    /// Whether the object is the file. Other bytes are an error: they may be somebody's.
    async fn is_right(
        &self,
        file: &ManifestFile,
        object: &ObjectInfo,
    ) -> Result<bool, PublishError> {
        match self.compare(file, object).await? {
            Comparison::Equal { .. } => Ok(true),
            Comparison::Differs { actual } if self.is_published => {
                Err(PublishError::TargetMismatch {
                    store: self.target.store().name().to_owned(),
                    file: file.path.clone(),
                    expected: file.checksums().to_string(),
                    actual,
                })
            }
            Comparison::Differs { .. } => {
                let store = self.target.store();
                Err(existing::foreign(self.job, store, &object.key, &self.stop).await)
            }
        }
    }

    async fn compare(
        &self,
        file: &ManifestFile,
        object: &ObjectInfo,
    ) -> Result<Comparison, StoreError> {
        let (store, content) = (self.target.store(), file.checksums());
        let compared = compare::compare(store, object, &content, &self.stop).await?;
        if matches!(compared, Comparison::Equal { .. }) {
            self.proved(file, object.pin.clone());
        }
        Ok(compared)
    }

    async fn file_is_in(&self) {
        if self.files_left.fetch_sub(1, Ordering::Relaxed) > 1 || self.is_over() {
            return;
        }
        if !self.is_published
            && let Err(error) = self.target.publication.finish(&self.stop).await
        {
            self.fail(error);
            return;
        }
        self.keep_receipt().await;
        if !self.is_over.swap(true, Ordering::Relaxed) {
            *self.target.state() = State::Done;
        }
    }
}

impl Sink<'_> {
    pub(super) fn part_bytes(&self) -> u64 {
        self.upload.part_bytes()
    }

    pub(super) fn wants(&self, index: u32) -> bool {
        self.is_open() && self.lacking.contains(&index)
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed) && !self.run.is_over()
    }

    /// Leaves the file for the next round.
    pub(super) fn miss(&self, error: PublishError) {
        self.is_open.store(false, Ordering::Relaxed);
        self.run.miss(error);
    }

    pub(super) async fn send(&self, index: u32, bytes: Bytes, checksums: Checksums) {
        let Run {
            job,
            target,
            stop,
            busy,
            ..
        } = self.run;
        let _busy = Busy::new(busy);
        target
            .sent_bytes
            .fetch_add(checksums.size_bytes, Ordering::Relaxed);
        match self.upload.part(index, bytes, checksums, stop).await {
            Ok(()) => job.progress(target, &self.file.path, checksums.size_bytes),
            Err(error) if self.is_for_next_round(&error) => self.miss(error.into()),
            Err(error) => self.run.fail(error.into()),
        }
    }

    /// Whether the error is about this upload and says nothing about the target.
    fn is_for_next_round(&self, error: &StoreError) -> bool {
        match &error.cause {
            // The upload is gone: completed by another writer, or swept.
            Cause::Changed | Cause::AlreadyExists => true,
            // Once may be the wire.
            Cause::ChecksumMismatch { .. } => {
                !self.run.target.is_suspect.swap(true, Ordering::Relaxed)
            }
            _ => false,
        }
    }

    /// Makes the object visible and counts the file in.
    pub(super) async fn complete(self) {
        let is_open = self.is_open();
        let Self {
            run,
            file,
            key,
            upload,
            ..
        } = self;
        let _busy = Busy::new(&run.busy);
        if !is_open {
            // Parts stay for the next round or run, unless there can be none.
            if run.target.is_hopeless() {
                upload.abort().await;
            }
            return;
        }
        match upload.complete(&run.stop).await {
            Ok(pin) => {
                run.proved(file, pin);
                run.target.is_new.store(true, Ordering::Relaxed);
                run.file_is_in().await;
            }
            Err(error) => run.settle(file, &key, error).await,
        }
    }
}

impl Run<'_> {
    /// After a write that did not say yes.
    async fn settle(&self, file: &ManifestFile, key: &ObjectKey, error: StoreError) {
        match error.cause {
            Cause::AlreadyExists | Cause::Changed | Cause::OutcomeUnknown { .. } => {
                let object = match self.target.store().head(key, &self.stop).await {
                    Ok(object) => object,
                    Err(gone) if gone.class() == ErrorClass::NotFound => {
                        return self.miss(error.into());
                    }
                    Err(other) => return self.fail(other.into()),
                };
                match self.is_right(file, &object).await {
                    Ok(true) => self.file_is_in().await,
                    Ok(false) => self.miss(error.into()),
                    Err(other) => self.fail(other),
                }
            }
            // Bytes changed on the way from the source, or an earlier upload's parts were
            // of other bytes. The next round begins anew; if it ends here too, the source
            // is wrong.
            Cause::ChecksumMismatch { expected, actual } => {
                let mismatch = PublishError::SourceMismatch {
                    store: self.job.from.store.name().to_owned(),
                    file: file.path.clone(),
                    expected,
                    actual,
                };
                if self.target.is_suspect.swap(true, Ordering::Relaxed) {
                    self.fail(mismatch);
                } else {
                    self.miss(mismatch);
                }
            }
            _ => self.fail(error.into()),
        }
    }
}
