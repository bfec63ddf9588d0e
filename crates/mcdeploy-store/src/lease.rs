//! Leases: who is at work on a version that a store has.
//!
//! The claim (see `publish`) says that somebody brings a version into a store. A lease says
//! the other things: somebody reads the version to copy it elsewhere, somebody removes it, or
//! whoever brings it is still at work, however old the claim is. It is a small object outside
//! of the version, `.mcdeploy/leases/MODEL/VERSION/PURPOSE-ID-N.json`, that is good for the
//! seconds that it names since it was written, by the store's clock. No object is ever
//! overwritten: a lease is renewed by a next one, and only then the one before goes.
//!
//! **Invariant:** whoever copies or brings and whoever removes (a version, or by a sweep only
//! its claim) first writes its own note (lease or claim) and then looks for the other's. A
//! listing shows what was written before it, so at least one of two sees the other, and gives
//! way.

use std::{
    convert::Infallible,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, ListedObject, ObjectKey, Store, StoreError, VersionName,
    create::{CreateError, create_bytes},
    key::LEASES_PREFIX,
    publish::read_small,
    sweep::store_clock,
};

/// How long a lease is good: so long does a killed holder stand in the way.
pub(crate) const TERM: Duration = Duration::from_mins(15);
/// A holder renews three times in a term.
pub(crate) const RENEW: Duration = Duration::from_mins(5);
/// How long giving one back may take: it ends by itself.
const RELEASE: Duration = Duration::from_secs(10);

/// What a lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Purpose {
    /// The version is read, to be copied elsewhere.
    Copy,
    /// The version is removed, or the claim of one that never came.
    Removal,
    /// The version is brought here: the claim is in use.
    Push,
}

impl Purpose {
    /// By the name of a lease.
    fn of(key: &str) -> Option<Self> {
        let file = key.rsplit('/').next()?;
        match file.split('-').next() {
            Some("copy") => Some(Self::Copy),
            Some("removal") => Some(Self::Removal),
            Some("push") => Some(Self::Push),
            Some(_) | None => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Removal => "removal",
            Self::Push => "push",
        }
    }
}

/// What stands in a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    purpose: Purpose,
    holder: String,
    term_seconds: u64,
}

/// A lease that somebody holds, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldLease {
    /// Who, for people.
    pub holder: String,
    /// Seconds until it ends by itself, if it is not renewed; none where the store does not
    /// tell when it was written.
    pub ends_in_seconds: Option<u64>,
}

/// A lease of ours.
pub(crate) struct Lease<'a> {
    store: &'a dyn Store,
    written: Arc<Written>,
}

/// What was written of a lease, whatever store it is in.
#[derive(Debug)]
pub(crate) struct Written {
    /// Key without the running number.
    stem: String,
    note: Bytes,
    renewed: Mutex<Instant>,
}

impl<'a> Lease<'a> {
    /// Writes the note. What others wrote is to be looked at next.
    pub(crate) async fn take(
        store: &'a dyn Store,
        name: &VersionName,
        purpose: Purpose,
        holder: &str,
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let note = Note {
            purpose,
            holder: holder.to_owned(),
            term_seconds: TERM.as_secs(),
        };
        // A hasher with random keys makes an id that no other holder has.
        let id = RandomState::new().hash_one(0);
        let written = Written {
            stem: format!("{}{}-{id:016x}-", prefix(name), purpose.as_str()),
            note: Bytes::from(serde_json::to_vec(&note).unwrap_or_default()),
            renewed: Mutex::new(Instant::now()),
        };
        let lease = Self::of(store, Arc::new(written));
        lease.write(0, cancel).await?;
        Ok(lease)
    }

    /// One that was written to this store.
    pub(crate) fn of(store: &'a dyn Store, written: Arc<Written>) -> Self {
        Self { store, written }
    }

    /// What is kept of it to go on with it.
    pub(crate) fn written(&self) -> Arc<Written> {
        Arc::clone(&self.written)
    }

    fn renewed(&self) -> MutexGuard<'_, Instant> {
        // Nothing panics while it is held.
        let renewed = self.written.renewed.lock();
        renewed.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a listed lease is this one.
    pub(crate) fn is_mine(&self, seen: &Seen) -> bool {
        seen.object.key.starts_with(&self.written.stem)
    }

    /// Whether others must still believe it. A process that was stopped for long learns here
    /// that it may not go on.
    pub(crate) fn is_good(&self) -> bool {
        self.renewed().elapsed() < TERM.saturating_sub(RENEW)
    }

    async fn write(&self, n: u32, cancel: &CancellationToken) -> Result<(), StoreError> {
        let began = Instant::now();
        let key = format!("{}{n}.json", self.written.stem);
        let key = ObjectKey::new(key).map_err(|error| StoreError {
            store: self.store.name().to_owned(),
            location: self.store.location().into(),
            operation: "write",
            key: None,
            cause: Cause::InvalidKey(error),
        })?;
        match create_bytes(self.store, &key, &self.written.note, cancel).await {
            Ok(_) => {}
            Err(CreateError::Store(error)) => return Err(error),
            Err(CreateError::Taken { .. }) => {
                return Err(StoreError {
                    store: self.store.name().to_owned(),
                    location: self.store.location().into(),
                    operation: "write",
                    key: Some(key.as_str().into()),
                    cause: Cause::AlreadyExists,
                });
            }
        }
        *self.renewed() = began;
        Ok(())
    }

    /// Does the work and renews the lease beside it; gives it back at the end.
    pub(crate) async fn during<T>(
        self,
        work: impl Future<Output = T>,
        cancel: &CancellationToken,
    ) -> T {
        let done = tokio::select! {
            done = work => done,
            never = self.keep(cancel) => match never {},
        };
        self.release().await;
        done
    }

    /// Renews the lease, for ever.
    pub(crate) async fn keep(&self, cancel: &CancellationToken) -> Infallible {
        let mut n = 0;
        loop {
            tokio::time::sleep(RENEW).await;
            n += 1;
            self.renew(n, cancel).await;
        }
    }

    /// Renews the lease for the `n`-th time. Never fails: what is not renewed ends by itself.
    pub(crate) async fn renew(&self, n: u32, cancel: &CancellationToken) {
        // The next one first: there is no moment without one.
        match self.write(n, cancel).await {
            Ok(()) => self.delete_all_but(Some(n), cancel).await,
            Err(error) => tracing::warn!("a lease is not renewed: {error}"),
        }
    }

    /// Deletes what was written of it. What stays ends by itself.
    pub(crate) async fn release(&self) {
        // Also after an interruption.
        let cancel = CancellationToken::new();
        let work = self.delete_all_but(None, &cancel);
        if tokio::time::timeout(RELEASE, work).await.is_err() {
            tracing::debug!(store = self.store.name(), "a lease ends by itself");
        }
    }

    async fn delete_all_but(&self, kept: Option<u32>, cancel: &CancellationToken) {
        let kept = kept.map(|n| format!("{}{n}.json", self.written.stem));
        let outcome = async {
            for listed in self.store.list(&self.written.stem, cancel).await? {
                if Some(&listed.key) != kept.as_ref()
                    && let Ok(object) = listed.object()
                {
                    self.store.delete(&object, cancel).await?;
                }
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = outcome.await {
            tracing::debug!("a lease ends by itself: {error}");
        }
    }
}

/// A lease that a listing showed.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) object: ListedObject,
    pub(crate) purpose: Purpose,
    holder: String,
    term_s: i64,
}

#[cfg(test)]
impl Seen {
    pub(crate) fn for_tests(purpose: Purpose, modified_s: i64, term_s: i64) -> Self {
        Self {
            object: ListedObject {
                key: format!(".mcdeploy/leases/m/v1/{}-0-0.json", purpose.as_str()),
                size_bytes: 1,
                pin: String::new(),
                checksums: crate::StoredChecksums::default(),
                modified_s: Some(modified_s),
            },
            purpose,
            holder: "a test".to_owned(),
            term_s,
        }
    }
}

impl Seen {
    /// Of a listed object, and what stands in it. One that cannot be read counts for a whole
    /// term: it stands for somebody.
    pub(crate) async fn of(
        store: &dyn Store,
        object: &ListedObject,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, StoreError> {
        let Some(purpose) = Purpose::of(&object.key) else {
            return Ok(None);
        };
        let Ok(key) = ObjectKey::new(object.key.as_str()) else {
            return Ok(None);
        };
        let Some((_, bytes)) = read_small(store, &key, cancel).await? else {
            return Ok(None); // Given back since it was listed.
        };
        let note: Option<Note> = serde_json::from_slice(&bytes).ok();
        let term = note
            .as_ref()
            .map_or(TERM.as_secs(), |note| note.term_seconds);
        Ok(Some(Self {
            object: object.clone(),
            purpose,
            holder: note.map_or_else(|| key.to_string(), |note| note.holder),
            term_s: i64::try_from(term).unwrap_or(i64::MAX),
        }))
    }

    /// None: it has ended. One without a time never ends.
    pub(crate) fn held_at(&self, now_s: i64) -> Option<HeldLease> {
        let left = match self.object.modified_s {
            Some(at) => {
                let left = at.saturating_add(self.term_s).saturating_sub(now_s);
                Some(u64::try_from(left).ok().filter(|left| *left > 0)?)
            }
            None => None,
        };
        Some(HeldLease {
            holder: self.holder.clone(),
            ends_in_seconds: left,
        })
    }
}

/// What the keys of a version's leases start with.
fn prefix(name: &VersionName) -> String {
    format!("{LEASES_PREFIX}{}", name.prefix())
}

/// Every lease on a version, held or not.
pub(crate) async fn look(
    store: &dyn Store,
    name: &VersionName,
    cancel: &CancellationToken,
) -> Result<Vec<Seen>, StoreError> {
    let mut seen = vec![];
    for object in store.list(&prefix(name), cancel).await? {
        seen.extend(Seen::of(store, &object, cancel).await?);
    }
    Ok(seen)
}

/// Who removes the version now. For whoever has just written a claim or lease of its own.
pub(crate) async fn removal_of(
    store: &dyn Store,
    name: &VersionName,
    cancel: &CancellationToken,
) -> Result<Option<HeldLease>, StoreError> {
    let mut seen = vec![];
    for object in store.list(&prefix(name), cancel).await? {
        // Others, such as the caller's own, are not read.
        if Purpose::of(&object.key) == Some(Purpose::Removal) {
            seen.extend(Seen::of(store, &object, cancel).await?);
        }
    }
    if seen.is_empty() {
        return Ok(None);
    }
    let now_s = store_clock(store, cancel).await?;
    let held = seen.iter().filter_map(|lease| lease.held_at(now_s));
    Ok(held.max_by_key(|held| held.ends_in_seconds.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoredChecksums, open_directory};

    fn seen(modified_s: Option<i64>, term_s: i64) -> Seen {
        Seen {
            object: ListedObject {
                key: ".mcdeploy/leases/m/v1/copy-0-0.json".to_owned(),
                size_bytes: 1,
                pin: String::new(),
                checksums: StoredChecksums::default(),
                modified_s,
            },
            purpose: Purpose::Copy,
            holder: "a test".to_owned(),
            term_s,
        }
    }

    #[test]
    fn a_lease_ends_after_its_term_and_one_without_a_time_never() {
        let ends = |lease: Seen, now| lease.held_at(now).map(|held| held.ends_in_seconds);
        assert_eq!(ends(seen(Some(100), 60), 100), Some(Some(60)));
        assert_eq!(ends(seen(Some(100), 60), 159), Some(Some(1)));
        assert_eq!(ends(seen(Some(100), 60), 160), None);
        assert_eq!(
            ends(seen(Some(100), i64::MAX), 160),
            Some(Some(i64::MAX as u64 - 160))
        );
        assert_eq!(ends(seen(None, 60), i64::MAX), Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_renewed_while_the_work_goes_on_and_given_back_after() {
        let root = tempfile::tempdir().unwrap();
        let store = open_directory(root.path()).unwrap();
        let name = VersionName::new("m", "v1").unwrap();
        let cancel = CancellationToken::new();
        let store = store.as_ref();
        let lease = Lease::take(store, &name, Purpose::Copy, "a test", &cancel);
        let lease = lease.await.unwrap();
        let work = async {
            let mut numbers = vec![];
            for _ in 0..3 {
                let seen = look(store, &name, &cancel).await.unwrap();
                assert_eq!(seen.len(), 1);
                assert_eq!(seen[0].holder, "a test");
                let key = seen[0].object.key.clone();
                numbers.push(key.rsplit('-').next().unwrap().to_owned());
                tokio::time::sleep(RENEW + Duration::from_mins(1)).await;
            }
            numbers
        };
        let numbers = lease.during(work, &cancel).await;
        assert_eq!(numbers, ["0.json", "1.json", "2.json"]);
        assert!(look(store, &name, &cancel).await.unwrap().is_empty());
    }
}
