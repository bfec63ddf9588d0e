//! Takes a whole version out of a store.
//!
//! **Invariant:** at no moment, and after no crash, is a manifest there whose files are not:
//! the manifest goes first, then the files, then the receipts. Who removes holds a lease and
//! looks for claims and leases of copies before the first deletion; who copies looks for it
//! (see `lease`). The same call again goes on where one was killed.
//!
//! **Invariant:** only files that a manifest of ours names, with its bytes, are deleted. What
//! else lies below the version's prefix was written by others, and stays. So that it can be
//! told apart after a crash too, the manifest is noted elsewhere before it goes (see `own`).

use std::time::Duration;

use futures::{TryStreamExt as _, stream};
use mcdeploy_api::{ErrorClass, Sha256Digest, names::MANIFEST_FILE};
use tokio_util::sync::CancellationToken;

use self::own::Own;
use crate::{
    Cause, ForeignObject, ListedObject, ObjectInfo, Store, StoreError, VersionName,
    key::{RECEIPTS_PREFIX, REMOVALS_PREFIX},
    lease::{self, Lease, Purpose, Seen},
    manifest::{CLAIM_FILE, own_key},
    publish::read_small,
    verify::{invalid, version_name},
};

mod own;

/// Deletions that are under way at once.
const CONCURRENCY: usize = 8;

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
pub struct RemoveRequest<'a> {
    /// Where.
    pub store: &'a dyn Store,
    /// Model name.
    pub model: &'a str,
    /// Version.
    pub version: &'a str,
    /// What the manifest must be, if there is one; none: there must be none.
    pub digest: Option<Sha256Digest>,
    /// A claim that is older was given up. Longer than the longest transfer.
    pub abandoned_after: Duration,
    /// Who removes, for people who read the lease.
    pub holder: &'a str,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing of the version is left.
    Removed {
        /// Objects that were deleted, mcdeploy's own included.
        objects: usize,
        /// Sum of their sizes, in bytes.
        bytes: u64,
        /// Objects below its prefix that nothing of ours names, or that have other bytes:
        /// others wrote them, and they stay. Sorted by key.
        foreign: Vec<ForeignObject>,
    },
    /// Nothing was deleted.
    Spared(Spared),
}

/// Why nothing was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spared {
    /// Somebody reads it, to copy it.
    Copied {
        /// Who.
        holder: String,
    },
    /// Somebody brings it here.
    Claimed,
    /// The manifest is another one.
    OtherBytes {
        /// Its digest.
        actual: Sha256Digest,
    },
}

/// Removes a version that nothing needs. Whether something does is for the caller to know;
/// here only who is at work on it in this store is looked at.
///
/// # Errors
/// A store that does not answer, or refuses; an object that somebody replaced meanwhile
/// (`Precondition`). Then a part may be gone: the version is not whole any more, and the same
/// call again goes on.
pub async fn remove_version(
    request: &RemoveRequest<'_>,
    cancel: &CancellationToken,
) -> Result<Removal, StoreError> {
    let RemoveRequest {
        store,
        model,
        version,
        holder,
        ..
    } = *request;
    let name = version_name(store, model, version)?;
    let lease = Lease::take(store, &name, Purpose::Removal, holder, cancel).await?;
    let work = remove(request, &name, &lease, cancel);
    let done = tokio::select! {
        done = Box::pin(work) => done,
        never = lease.keep(cancel) => match never {},
    };
    // After an error files may be left: the lease goes on to say that a removal began.
    if done.is_ok() {
        lease.release().await;
    }
    done
}

async fn remove(
    request: &RemoveRequest<'_>,
    name: &VersionName,
    lease: &Lease<'_>,
    cancel: &CancellationToken,
) -> Result<Removal, StoreError> {
    let store = request.store;
    let leases = lease::look(store, name, cancel).await?;
    // The store's time, by the note that was written just now.
    let mine = leases.iter().find(|seen| lease.is_mine(seen));
    let now_s = mine.and_then(|seen| seen.object.modified_s);
    let listed = store.list(&name.prefix(), cancel).await?;
    if let Some(spared) = at_work(request, &leases, &listed, name, now_s) {
        return Ok(Removal::Spared(spared));
    }
    let manifest_key = own_key(name, MANIFEST_FILE)
        .map_err(|e| invalid(store, MANIFEST_FILE, Cause::InvalidKey(e)))?;
    let manifest = read_small(store, &manifest_key, cancel).await?;
    if let Some((_, bytes)) = &manifest {
        let actual = Sha256Digest::of(bytes);
        if request.digest != Some(actual) {
            return Ok(Removal::Spared(Spared::OtherBytes { actual }));
        }
    }
    let mut own = Own::noted(store, name, cancel).await?;
    let mut deleting = Deleting::new(store, lease);
    if let Some((object, bytes)) = manifest {
        own.note(store, name, &bytes, cancel).await?;
        deleting.one(object, cancel).await?;
    }
    let claim = format!("{}{CLAIM_FILE}", name.prefix());
    let (claims, files): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .filter(|object| object.key != manifest_key.as_str())
        .partition(|object| object.key == claim);
    let told = own.tell_apart(store, name, files, cancel).await?;
    deleting.all(&told.own, cancel).await?;
    for prefix in [RECEIPTS_PREFIX, REMOVALS_PREFIX] {
        let notes = format!("{prefix}{}", name.prefix());
        let notes = store.list(&notes, cancel).await?;
        deleting.all(&notes, cancel).await?;
    }
    // One that was given up holds the rest of the version until here.
    deleting.all(&claims, cancel).await?;
    let ended = leases.iter().filter(|seen| !lease.is_mine(seen));
    let ended = ended.filter(|seen| now_s.is_some_and(|now_s| seen.held_at(now_s).is_none()));
    let ended: Vec<_> = ended.map(|seen| seen.object.clone()).collect();
    deleting.all(&ended, cancel).await?;
    let Deleting { objects, bytes, .. } = deleting;
    Ok(Removal::Removed {
        objects,
        bytes,
        foreign: told.foreign,
    })
}

/// Who is at work on the version. Without the store's time everybody still is.
fn at_work(
    request: &RemoveRequest<'_>,
    leases: &[Seen],
    listed: &[ListedObject],
    name: &VersionName,
    now_s: Option<i64>,
) -> Option<Spared> {
    let mut copies = leases.iter().filter(|seen| seen.purpose == Purpose::Copy);
    let held = copies.find_map(|seen| seen.held_at(now_s.unwrap_or(i64::MIN)));
    if let Some(held) = held {
        let holder = held.holder;
        return Some(Spared::Copied { holder });
    }
    let mut pushes = leases.iter().filter(|seen| seen.purpose == Purpose::Push);
    if pushes.any(|seen| seen.held_at(now_s.unwrap_or(i64::MIN)).is_some()) {
        return Some(Spared::Claimed);
    }
    let claim = format!("{}{CLAIM_FILE}", name.prefix());
    let claim = listed.iter().find(|object| object.key == claim)?;
    let age = now_s.zip(claim.modified_s).map(|(now, at)| now - at);
    let patience = i64::try_from(request.abandoned_after.as_secs()).unwrap_or(i64::MAX);
    (age.is_none_or(|age| age <= patience)).then_some(Spared::Claimed)
}

/// Deletes objects, and counts them.
struct Deleting<'a> {
    store: &'a dyn Store,
    lease: &'a Lease<'a>,
    objects: usize,
    bytes: u64,
}

impl<'a> Deleting<'a> {
    fn new(store: &'a dyn Store, lease: &'a Lease<'a>) -> Self {
        Self {
            store,
            lease,
            objects: 0,
            bytes: 0,
        }
    }

    async fn one(
        &mut self,
        object: ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        delete(self.store, self.lease, &object, cancel).await?;
        self.objects += 1;
        self.bytes += object.size_bytes;
        Ok(())
    }

    async fn all(
        &mut self,
        listed: &[ListedObject],
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let (store, lease) = (self.store, self.lease);
        // A key that we refuse is none of ours.
        let objects: Vec<_> = listed.iter().filter_map(|o| o.object().ok()).collect();
        stream::iter(objects.iter().map(Ok))
            .try_for_each_concurrent(CONCURRENCY, |object| delete(store, lease, object, cancel))
            .await?;
        self.objects += objects.len();
        self.bytes += objects.iter().map(|object| object.size_bytes).sum::<u64>();
        Ok(())
    }
}

async fn delete(
    store: &dyn Store,
    lease: &Lease<'_>,
    object: &ObjectInfo,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    // Stopped for long: others may have written the version again since.
    if !lease.is_good() {
        return Err(StoreError {
            store: store.name().to_owned(),
            location: store.location().into(),
            operation: "delete",
            key: Some(object.key.as_str().into()),
            cause: Cause::Changed,
        });
    }
    match store.delete(object, cancel).await {
        Err(error) if error.class() == ErrorClass::NotFound => Ok(()),
        other => other,
    }
}
