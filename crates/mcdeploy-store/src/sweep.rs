//! Frees what uploads left behind: multiparts, part objects, partial files, claims, leases.
//!
//! Ages are by the store's own clock on both sides, so a wrong clock here does no harm:
//! "now" is the time that the store gives to an object that is written for this purpose.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use bytes::Bytes;
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, ListedObject, ObjectKey, Store, StoreError, VersionName,
    catalog::parts_of,
    create::{CreateError, create_bytes},
    key::{LEASES_PREFIX, PARTS_PREFIX},
    lease::{self, Lease, Purpose, Seen, TERM},
    manifest::CLAIM_FILE,
    named::Named,
    publish::has_holder,
};

/// What a sweep freed, or would free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys that unfinished uploads were for; partial files have their directory here.
    pub uploads: Vec<String>,
    /// Part objects.
    pub part_objects: Vec<String>,
    /// Claims of pushes that ended, or never will.
    pub claims: Vec<String>,
    /// Leases of copies and removals that were killed.
    pub leases: Vec<String>,
    /// Bytes of the part objects; stores do not say it of the rest.
    pub bytes: u64,
}

/// Frees what nobody has touched for `older_than`; with `dry_run` only says what it would.
///
/// Only what mcdeploy made is looked at, however old the rest is: uploads to keys that a
/// claim or manifest of ours names, and objects with names of ours. An upload counts from
/// its last part, a claim from the last thing that came below it. Each is looked at again
/// just before it goes, and goes only as it was seen.
///
/// What stands still for that long is lost, so the time must be longer than any pause of a
/// transfer: a week is what Azure itself waits. A version whose claim goes may be pushed
/// with other bytes.
///
/// # Errors
/// A store that does not answer, refuses, or does not tell when objects were written. What
/// comes after that stays.
pub async fn sweep(
    store: &dyn Store,
    older_than: Duration,
    dry_run: bool,
    cancel: &CancellationToken,
) -> Result<Swept, StoreError> {
    let now_s = store_clock(store, cancel).await?;
    let age_s = i64::try_from(older_than.as_secs()).unwrap_or(i64::MAX);
    let is_old = |at: Option<i64>| at.is_some_and(|at| now_s.saturating_sub(at) > age_s);
    let leftovers = store.leftovers(cancel).await?;
    let listed = store.list("", cancel).await?;
    let named = Named::of(store, &leftovers, &listed, cancel).await?;
    let (mut swept, mut active) = (Swept::default(), vec![]);
    for leftover in leftovers.into_iter().filter(|l| named.is_ours(l)) {
        // What began a short while ago has no older activity: it costs no request.
        let is_idle =
            is_old(leftover.began_s) && is_old(store.last_activity(&leftover, cancel).await?);
        if !is_idle {
            // A directory's uploads are known by the directory that they are in.
            active.push(format!("{}/", leftover.key));
            continue;
        }
        if !dry_run {
            store.discard(&leftover, cancel).await?;
        }
        swept.uploads.push(leftover.key);
    }
    let parts = old_parts(&listed, is_old);
    let claims = old_claims(&listed, &active, is_old);
    let leases = ended_leases(&listed, is_old, now_s);
    for object in free(store, parts, dry_run, cancel).await? {
        swept.bytes += object.size_bytes;
        swept.part_objects.push(object.key.clone());
    }
    let keys = |objects: Vec<&ListedObject>| objects.iter().map(|o| o.key.clone()).collect();
    for claim in claims {
        if free_claim(store, claim, now_s, dry_run, cancel).await? {
            swept.claims.push(claim.key.clone());
        }
    }
    swept.leases = keys(free(store, leases, dry_run, cancel).await?);
    Ok(swept)
}

/// Old leases that nobody holds any more, however short the age that was asked for.
fn ended_leases(
    listed: &[ListedObject],
    is_old: impl Fn(Option<i64>) -> bool,
    now_s: i64,
) -> Vec<&ListedObject> {
    let term_s = i64::try_from(TERM.as_secs()).unwrap_or(i64::MAX);
    let has_ended = |at: i64| now_s.saturating_sub(at) > term_s;
    let leases = listed.iter().filter(|object| {
        object.key.starts_with(LEASES_PREFIX)
            && is_old(object.modified_s)
            && object.modified_s.is_some_and(has_ended)
    });
    leases.collect()
}

/// Deletes a claim that nobody uses. Says whether it went, or would.
async fn free_claim(
    store: &dyn Store,
    claim: &ListedObject,
    now_s: i64,
    dry_run: bool,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    let name = parts_of(&claim.key).and_then(|(m, v, _)| VersionName::new(m, v).ok());
    let (Some(name), Ok(key)) = (name, ObjectKey::new(claim.key.as_str())) else {
        return Ok(false);
    };
    let has_holder = has_holder(store, &key, cancel).await?;
    let leases = lease::look(store, &name, cancel).await?;
    if is_in_use(claim, has_holder, &leases, now_s) {
        return Ok(false);
    }
    if dry_run {
        return Ok(true);
    }
    // Whoever takes the claim up again writes a lease and then looks for this one.
    let sweep = Lease::take(store, &name, Purpose::Removal, "a sweep", cancel).await?;
    let outcome = async {
        let leases = lease::look(store, &name, cancel).await?;
        if is_in_use(claim, has_holder, &leases, now_s) {
            return Ok(false);
        }
        let freed = free(store, vec![claim], dry_run, cancel).await?;
        Ok(!freed.is_empty())
    };
    let outcome = outcome.await;
    sweep.release().await;
    outcome
}

/// Whether somebody works with a claim: by its lease, or for a lease's term by itself.
fn is_in_use(claim: &ListedObject, has_holder: bool, leases: &[Seen], now_s: i64) -> bool {
    let term_s = i64::try_from(TERM.as_secs()).unwrap_or(i64::MAX);
    let is_young = |at: i64| now_s.saturating_sub(at) <= term_s;
    let mut pushes = leases.iter().filter(|seen| seen.purpose == Purpose::Push);
    (has_holder && claim.modified_s.is_none_or(is_young))
        || pushes.any(|seen| seen.held_at(now_s).is_some())
}

/// Deletes objects as they were listed. Gives those that went, or would.
async fn free<'a>(
    store: &dyn Store,
    objects: Vec<&'a ListedObject>,
    dry_run: bool,
    cancel: &CancellationToken,
) -> Result<Vec<&'a ListedObject>, StoreError> {
    let mut freed = vec![];
    for listed in objects {
        // A key that we refuse is none of ours.
        let Ok(object) = listed.object() else {
            continue;
        };
        if dry_run {
            freed.push(listed);
            continue;
        }
        match store.delete(&object, cancel).await {
            Ok(()) => freed.push(listed),
            // Somebody wrote it again since: it is in use.
            Err(error) if error.class() == ErrorClass::Precondition => {
                tracing::debug!(object.key = listed.key, "spared: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(freed)
}

/// Part objects of uploads none of whose parts is young.
fn old_parts(listed: &[ListedObject], is_old: impl Fn(Option<i64>) -> bool) -> Vec<&ListedObject> {
    let mut uploads: BTreeMap<&str, Vec<&ListedObject>> = BTreeMap::new();
    for object in listed {
        let name = object.key.strip_prefix(PARTS_PREFIX);
        if let Some((upload, _)) = name.and_then(|name| name.split_once('/')) {
            uploads.entry(upload).or_default().push(object);
        }
    }
    let old = uploads
        .into_values()
        .filter(|parts| parts.iter().all(|part| is_old(part.modified_s)));
    old.flatten().collect()
}

/// Old claims: of pushes that were given up, or whose last request was lost. One below
/// which something is young, an object or an upload to one of the `active` keys, is in use.
fn old_claims<'a>(
    listed: &'a [ListedObject],
    active: &[String],
    is_old: impl Fn(Option<i64>) -> bool,
) -> Vec<&'a ListedObject> {
    let young = listed.iter().filter(|object| !is_old(object.modified_s));
    let young = young.map(|object| object.key.as_str());
    let mut used = BTreeSet::new();
    for key in young.chain(active.iter().map(String::as_str)) {
        used.extend(parts_of(key).map(|(model, version, _)| (model, version)));
    }
    let claims = listed.iter().filter(|object| {
        parts_of(&object.key).is_some_and(|(model, version, file)| {
            file == CLAIM_FILE && is_old(object.modified_s) && !used.contains(&(model, version))
        })
    });
    claims.collect()
}

/// The time by the store's clock, in seconds since 1970.
pub(crate) async fn store_clock(
    store: &dyn Store,
    cancel: &CancellationToken,
) -> Result<i64, StoreError> {
    // A hasher with random keys makes a name that no other sweep has.
    let name = format!(".mcdeploy/clock-{:016x}", RandomState::new().hash_one(0));
    let error = |cause| StoreError {
        store: store.name().to_owned(),
        location: store.location().into(),
        operation: "ask the time of",
        key: Some(name.as_str().into()),
        cause,
    };
    let key = ObjectKey::new(name.as_str()).map_err(|e| error(Cause::InvalidKey(e)))?;
    let bytes = Bytes::from_static(b"what time is it\n");
    match create_bytes(store, &key, &bytes, cancel).await {
        Ok(_) => {}
        Err(CreateError::Store(error)) => return Err(error),
        Err(CreateError::Taken { .. }) => return Err(error(Cause::AlreadyExists)),
    }
    let listed = store.list(&name, cancel).await?;
    let marker = listed.into_iter().find(|object| object.key == name);
    let marker = marker.ok_or_else(|| error(Cause::NotFound))?;
    if let Ok(object) = marker.object() {
        store.delete(&object, cancel).await?;
    }
    marker.modified_s.ok_or_else(|| {
        error(Cause::Refused {
            detail: "the store does not tell when objects were written".to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, modified_s: i64) -> ListedObject {
        ListedObject {
            key: key.to_owned(),
            size_bytes: 1,
            pin: String::new(),
            checksums: crate::StoredChecksums::default(),
            modified_s: Some(modified_s),
        }
    }

    #[test]
    fn only_uploads_without_any_young_part_and_claims_with_nothing_young_below_go() {
        let listed = [
            object(".mcdeploy/parts/aa/000000-0", 10),
            object(".mcdeploy/parts/aa/000001-0", 99),
            object(".mcdeploy/parts/bb/000000-0", 10),
            object(".mcdeploy/quarantine/m/v/f/0", 10),
            object("m/v1/mcdeploy-push.json", 10),
            object("m/v2/mcdeploy-push.json", 99),
            object("m/v1/model.onnx", 10),
            object("m/v3/mcdeploy-push.json", 10),
            object("m/v3/model.onnx", 99),
            object("m/v4/mcdeploy-push.json", 10),
            object("of/another/application/mcdeploy-push.json", 10),
        ];
        let active = ["m/v4/model.onnx".to_owned()];
        let is_old = |at: Option<i64>| at.is_some_and(|at| at < 50);
        let keys = |objects: Vec<&ListedObject>| {
            let keys = objects.iter().map(|object| object.key.clone());
            keys.collect::<Vec<_>>()
        };
        assert_eq!(
            keys(old_parts(&listed, is_old)),
            [".mcdeploy/parts/bb/000000-0"]
        );
        assert_eq!(
            keys(old_claims(&listed, &active, is_old)),
            ["m/v1/mcdeploy-push.json"]
        );
    }

    #[test]
    fn a_lease_that_may_be_held_is_not_swept_however_short_the_age() {
        let term_s = i64::try_from(TERM.as_secs()).unwrap();
        let now_s = 10_000;
        let lease = |at| object(".mcdeploy/leases/m/v1/copy-0-0.json", at);
        let listed = [
            lease(now_s - 1),
            lease(now_s - term_s),
            lease(now_s - term_s - 1),
            object("m/v1/model.onnx", 0),
        ];
        let ended = ended_leases(&listed, |_| true, now_s);
        assert_eq!(ended, [&listed[2]]);
        assert!(ended_leases(&listed, |_| false, now_s).is_empty());
    }

    #[test]
    fn a_claim_is_in_use_for_a_term_or_as_long_as_its_lease_is_renewed() {
        let now_s = 10_000;
        let term_s = i64::try_from(TERM.as_secs()).unwrap();
        let lease = |purpose, at| Seen::for_tests(purpose, at, term_s);
        let claim = |at| object("m/v1/mcdeploy-push.json", at);
        let (young, old) = (now_s - term_s, now_s - term_s - 1);
        for (at, has_holder, leases, expected) in [
            (young, true, vec![], true),
            (old, true, vec![], false),
            // Those of earlier versions of mcdeploy have their age alone.
            (young, false, vec![], false),
            (old, false, vec![lease(Purpose::Push, now_s - 1)], true),
            (old, true, vec![lease(Purpose::Push, old)], false),
            (old, true, vec![lease(Purpose::Copy, now_s - 1)], false),
        ] {
            let actual = is_in_use(&claim(at), has_holder, &leases, now_s);
            assert_eq!(actual, expected, "{at} {has_holder} {leases:?}");
        }
        let untold = ListedObject {
            modified_s: None,
            ..claim(0)
        };
        assert!(is_in_use(&untold, true, &[], now_s));
    }
}
