//! What every backend promises. Each function stands alone and uses keys of its own.

use bytes::Bytes;
use futures::future::join_all;
use mcdeploy_api::ErrorClass;
use mcdeploy_store::{Checksums, ObjectKey, Resume, Store, Upload, check_store};
use tokio_util::sync::CancellationToken;

use crate::tools::{MIB, class, create, create_as, key, overwrite, random_bytes, read_all, token};

pub(crate) async fn all(store: &dyn Store) {
    absent_objects_are_not_found(store).await;
    bytes_come_back_at_every_size(store).await;
    a_key_is_created_once(store).await;
    one_of_many_writers_wins(store).await;
    what_is_not_completed_is_never_visible(store).await;
    unusual_keys_are_exact(store).await;
    a_changed_object_is_noticed(store).await;
    a_listing_has_exactly_the_prefix(store).await;
    a_cancelled_call_ends(store).await;
    parts_go_in_any_order_and_at_once(store).await;
    an_upload_goes_on_where_an_earlier_one_stopped(store).await;
    parts_of_other_content_are_never_taken_over(store).await;
    a_store_can_be_checked_again_and_again(store).await;
}

async fn absent_objects_are_not_found(store: &dyn Store) {
    let absent = key("absent/object");
    assert_eq!(
        class(store.head(&absent, &token()).await),
        ErrorClass::NotFound
    );
    assert_eq!(store.list("absent/", &token()).await.unwrap(), []);
    // An object where the key has a directory, and the other way round.
    create(store, &key("absent-a/b"), &Bytes::from_static(b"b"))
        .await
        .unwrap();
    for near in ["absent-a", "absent-a/b/c"] {
        let outcome = store.head(&key(near), &token()).await;
        assert_eq!(class(outcome), ErrorClass::NotFound, "{near}");
    }
}

pub(crate) async fn bytes_come_back_at_every_size(store: &dyn Store) {
    let sizes = [0, 1, 100, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1];
    let larger = [16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 20 * MIB, 33 * MIB];
    for (seed, size) in sizes.into_iter().chain(larger).enumerate() {
        let (key, bytes) = (
            key(&format!("sizes/{size}")),
            random_bytes(size, seed as u64),
        );
        create(store, &key, &bytes).await.unwrap();
        let object = store.head(&key, &token()).await.unwrap();
        assert_eq!(object.size_bytes, size as u64);
        let stored = store.stored_checksums(&object, &token()).await.unwrap();
        assert!(!stored.is_empty(), "{size}: no checksum");
        assert!(
            stored.agree_with(&Checksums::of(&bytes)),
            "{size}: {stored}"
        );
        assert!(read_all(store, &key).await == bytes, "{size}: other bytes");
        if size > 16 {
            let end = size as u64;
            let middle = store.read(&object, 3..end - 5, &token()).await.unwrap();
            assert!(middle == bytes.slice(3..size - 5), "{size}: other range");
            let last = store.read(&object, end - 1..end, &token()).await.unwrap();
            assert_eq!(last, bytes.slice(size - 1..));
        }
        store.delete(&object, &token()).await.unwrap();
        assert_eq!(
            class(store.head(&key, &token()).await),
            ErrorClass::NotFound
        );
        store.delete(&object, &token()).await.unwrap();
    }
}

async fn a_key_is_created_once(store: &dyn Store) {
    for size in [0, 10, 17 * MIB] {
        let key = key(&format!("once/{size}"));
        let (first, second) = (random_bytes(size, 1), random_bytes(size.max(1), 2));
        create(store, &key, &first).await.unwrap();
        let outcome = create(store, &key, &second).await;
        assert_eq!(class(outcome), ErrorClass::Precondition, "{size}");
        assert!(read_all(store, &key).await == first, "{size}: overwritten");
    }
}

async fn one_of_many_writers_wins(store: &dyn Store) {
    let contested = key("contested/object");
    let bytes: Vec<_> = (0..12).map(|n| random_bytes(1000, 100 + n)).collect();
    let outcomes = join_all(bytes.iter().map(|b| create(store, &contested, b))).await;
    let winners: Vec<_> = (0..12).filter(|n| outcomes[*n].is_ok()).collect();
    let there = read_all(store, &contested).await;
    assert!(winners.len() <= 1, "winners {winners:?}");
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(()) => assert!(bytes[n] == there),
            Err(error) => assert!(
                matches!(
                    error.class(),
                    ErrorClass::Precondition | ErrorClass::Unknown
                ),
                "{error}"
            ),
        }
    }
}

async fn what_is_not_completed_is_never_visible(store: &dyn Store) {
    for (size, abort) in [
        (20 * MIB, true),
        (20 * MIB, false),
        (100, true),
        (100, false),
    ] {
        let key = key(&format!("unfinished/{size}-{abort}"));
        let bytes = random_bytes(size, 7);
        let content = Checksums::of(&bytes);
        let upload = store
            .begin(&key, &content, Resume::Never, &token())
            .await
            .unwrap();
        let part = usize::try_from(upload.part_bytes()).unwrap();
        let first = bytes.slice(..part.min(size));
        let sums = Checksums::of(&first);
        upload.part(0, first, sums, &token()).await.unwrap();
        if abort {
            upload.abort().await;
        } else {
            drop(upload);
        }
        assert_eq!(
            class(store.head(&key, &token()).await),
            ErrorClass::NotFound
        );
    }
    assert_eq!(store.list("unfinished/", &token()).await.unwrap(), []);
}

async fn unusual_keys_are_exact(store: &dyn Store) {
    let names = [
        "a b", "grüße", "模型", "a+b", "a&b=c", "a#b", "a?b", "100%", "a:b@c", "~x'y(z)", "..a",
        ".a",
    ];
    for name in names {
        let key = key(&format!("unusual/{name}/x"));
        create(store, &key, &Bytes::from(name)).await.unwrap();
    }
    for name in names {
        let key = key(&format!("unusual/{name}/x"));
        assert_eq!(read_all(store, &key).await, Bytes::from(name), "{name:?}");
    }
    let listed = store.list("unusual/", &token()).await.unwrap();
    let mut expected: Vec<_> = names.iter().map(|n| format!("unusual/{n}/x")).collect();
    expected.sort();
    let listed: Vec<_> = listed.into_iter().map(|o| o.key).collect();
    assert_eq!(listed, expected);
}

async fn a_changed_object_is_noticed(store: &dyn Store) {
    let key = key("changed/object");
    create(store, &key, &random_bytes(1000, 1)).await.unwrap();
    let before = store.head(&key, &token()).await.unwrap();
    overwrite(store, &key, &random_bytes(1000, 2)).await;
    let read = store.read(&before, 0..1000, &token()).await;
    assert_eq!(class(read), ErrorClass::Precondition);
    let deleted = store.delete(&before, &token()).await;
    assert_eq!(class(deleted), ErrorClass::Precondition);
    assert!(read_all(store, &key).await == random_bytes(1000, 2));
}

async fn a_listing_has_exactly_the_prefix(store: &dyn Store) {
    for name in ["list/a/1", "list/a/2", "list/ab/1", "list/b"] {
        create(store, &key(name), &Bytes::from(name)).await.unwrap();
    }
    let keys = async |prefix: &str| {
        let listed = store.list(prefix, &token()).await.unwrap();
        listed
            .into_iter()
            .map(|object| (object.key, object.size_bytes))
            .collect::<Vec<_>>()
    };
    let object = |name: &str| (name.to_owned(), name.len() as u64);
    assert_eq!(
        keys("list/a/").await,
        [object("list/a/1"), object("list/a/2")]
    );
    assert_eq!(keys("list/a").await.len(), 3);
    assert_eq!(keys("list/b").await, [object("list/b")]);
}

async fn a_cancelled_call_ends(store: &dyn Store) {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let key = key("cancelled/object");
    assert_eq!(
        class(store.head(&key, &cancel).await),
        ErrorClass::Cancelled
    );
    assert_eq!(class(store.list("", &cancel).await), ErrorClass::Cancelled);
}

async fn a_store_can_be_checked_again_and_again(store: &dyn Store) {
    for _ in 0..2 {
        check_store(store, &token()).await.unwrap();
    }
}

/// Bytes that do not have the checksums that were said never become visible. A single
/// part is checked by the store itself.
pub(crate) async fn wrong_bytes_are_refused(store: &dyn Store, sizes: &[usize]) {
    for &size in sizes {
        let key = key(&format!("wrong/{size}"));
        let wrong = Checksums::of(&random_bytes(size, 1));
        let outcome = create_as(store, &key, &random_bytes(size, 2), &wrong).await;
        assert_eq!(class(outcome), ErrorClass::Permanent, "{size}");
        assert_eq!(
            class(store.head(&key, &token()).await),
            ErrorClass::NotFound
        );
    }
}

/// The parts of `bytes` with their checksums, as an upload wants them.
fn parts_of(bytes: &Bytes, part_bytes: u64) -> Vec<(u32, Bytes, Checksums)> {
    let part = usize::try_from(part_bytes).unwrap();
    let starts = (0..bytes.len()).step_by(part);
    let pieces = starts.map(|at| bytes.slice(at..(at + part).min(bytes.len())));
    let parts = (0..).zip(pieces);
    parts
        .map(|(n, piece)| (n, piece.clone(), Checksums::of(&piece)))
        .collect()
}

async fn begin(
    store: &dyn Store,
    key: &ObjectKey,
    bytes: &Bytes,
    resume: Resume,
) -> Box<dyn Upload> {
    let content = Checksums::of(bytes);
    store.begin(key, &content, resume, &token()).await.unwrap()
}

async fn parts_go_in_any_order_and_at_once(store: &dyn Store) {
    let (key, bytes) = (key("any-order/object"), random_bytes(50 * MIB, 3));
    let upload = begin(store, &key, &bytes, Resume::Never).await;
    let mut parts = parts_of(&bytes, upload.part_bytes());
    parts.reverse();
    let token = token();
    let sent = parts
        .into_iter()
        .map(|(index, piece, sums)| upload.part(index, piece, sums, &token));
    for outcome in join_all(sent).await {
        outcome.unwrap();
    }
    upload.complete(&token).await.unwrap();
    assert!(read_all(store, &key).await == bytes);
}

async fn an_upload_goes_on_where_an_earlier_one_stopped(store: &dyn Store) {
    let (key, bytes) = (key("resumed/object"), random_bytes(50 * MIB, 4));
    let part_objects_before = store.list(".mcdeploy/parts/", &token()).await.unwrap();
    let upload = begin(store, &key, &bytes, Resume::IfThere).await;
    assert!(upload.held().is_empty());
    let parts = parts_of(&bytes, upload.part_bytes());
    for n in [0, 2] {
        let (index, piece, sums) = parts[n].clone();
        upload.part(index, piece, sums, &token()).await.unwrap();
    }
    drop(upload);
    let upload = begin(store, &key, &bytes, Resume::IfThere).await;
    let held = upload.held();
    assert_eq!(held.keys().copied().collect::<Vec<_>>(), [0, 2]);
    for (index, part) in held {
        let sums = parts[index as usize].2;
        assert!(part.size_bytes == sums.size_bytes && part.checksums.agree_with(&sums));
    }
    // Not whole yet: nothing is visible, whatever is tried.
    for (index, piece, sums) in parts.into_iter().filter(|part| ![0, 2].contains(&part.0)) {
        assert_eq!(
            class(store.head(&key, &token()).await),
            ErrorClass::NotFound
        );
        upload.part(index, piece, sums, &token()).await.unwrap();
    }
    upload.complete(&token()).await.unwrap();
    assert!(read_all(store, &key).await == bytes);
    let left = store.leftovers(&token()).await.unwrap();
    assert!(
        !left.iter().any(|left| left.key.starts_with("resumed")),
        "{left:?}"
    );
    let part_objects = store.list(".mcdeploy/parts/", &token()).await.unwrap();
    assert_eq!(part_objects, part_objects_before);
}

async fn parts_of_other_content_are_never_taken_over(store: &dyn Store) {
    let key = key("other-content/object");
    let (old, new) = (random_bytes(33 * MIB, 5), random_bytes(33 * MIB, 6));
    let upload = begin(store, &key, &old, Resume::Never).await;
    let (index, piece, sums) = parts_of(&old, upload.part_bytes()).swap_remove(1);
    upload.part(index, piece, sums, &token()).await.unwrap();
    drop(upload);
    // S3 cannot tell whose parts these are before they are put together.
    for resume in [Resume::IfThere, Resume::Never] {
        let upload = begin(store, &key, &new, resume).await;
        let held = upload.held();
        for (index, piece, sums) in parts_of(&new, upload.part_bytes()) {
            if !held.contains_key(&index) {
                upload.part(index, piece, sums, &token()).await.unwrap();
            }
        }
        match upload.complete(&token()).await {
            Ok(_) => break,
            Err(error) => {
                assert_eq!(
                    (error.class(), resume),
                    (ErrorClass::Permanent, Resume::IfThere)
                );
                assert_eq!(
                    class(store.head(&key, &token()).await),
                    ErrorClass::NotFound
                );
            }
        }
    }
    assert!(read_all(store, &key).await == new);
}
