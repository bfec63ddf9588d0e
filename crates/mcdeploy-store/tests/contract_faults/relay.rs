//! A relay forwards while it is still receiving.

use std::time::Duration;

use mcdeploy_api::{ErrorClass, ReplicaState, Sha256Digest};
use mcdeploy_store::{Store, TransferOptions, list_versions};
use tokio::time::Instant;

use crate::world::{Cloud, MIB, MODEL, directory, one_file, options, push, replicate, token};

/// Goes on as long as the source gets something within this time.
fn following(patience: Duration) -> TransferOptions {
    TransferOptions {
        follow: Some(patience),
        ..options()
    }
}

async fn many_files(store: &dyn Store) -> Sha256Digest {
    let names: Vec<_> = (0..40).map(|n| format!("shard {n:02}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), MIB)).collect();
    push(store, directory(&files).path(), "v1").await
}

/// Waits until the version's own files in `store` are this many.
async fn files_there(cloud: &Cloud, count: usize) {
    loop {
        let prefix = format!("{MODEL}/v1/shard");
        if cloud.direct.list(&prefix, &token()).await.unwrap().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn is_whole(cloud: &Cloud, digest: &Sha256Digest) -> bool {
    cloud.verified("v1", digest).await == ReplicaState::Verified
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_forwards_files_while_it_is_still_receiving_others() {
    let [aws, azure, gcp] = Cloud::all().await;
    let digest = many_files(aws.direct.as_ref()).await;
    // 40 MiB take four seconds into the relay.
    azure.proxy.set_bandwidth(Some(10 * MIB as u64));
    let (into, onward) = ([azure.store.as_ref()], [gcp.store.as_ref()]);
    let (plain, follow) = (options(), following(Duration::from_secs(20)));
    let first = replicate(aws.store.as_ref(), &into, ("v1", &digest), &plain);
    let second = replicate(azure.store.as_ref(), &onward, ("v1", &digest), &follow);
    let watch = async {
        files_there(&gcp, 1).await;
        let relay_was_whole = is_whole(&azure, &digest).await;
        let child_was_whole = is_whole(&gcp, &digest).await;
        (relay_was_whole, child_was_whole)
    };
    let (first, second, (relay_was_whole, child_was_whole)) = tokio::join!(first, second, watch);
    assert!(!relay_was_whole, "the child began after the relay ended");
    assert!(!child_was_whole, "a part of a version was a version");
    for done in [first, second] {
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap());
        assert_eq!(target.sent_bytes, 40 * MIB as u64);
    }
    assert!(is_whole(&azure, &digest).await && is_whole(&gcp, &digest).await);
    let read = aws.proxy.counts().received_bytes;
    assert!(read < 42 * MIB as u64, "the source was read {read} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_may_begin_before_the_relay_does() {
    let [aws, azure, gcp] = Cloud::all().await;
    let digest = one_file(aws.direct.as_ref(), "v1", 20 * MIB).await;
    let (into, onward) = ([gcp.store.as_ref()], [azure.store.as_ref()]);
    let (plain, follow) = (options(), following(Duration::from_secs(20)));
    let first = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        replicate(aws.store.as_ref(), &into, ("v1", &digest), &plain).await
    };
    let second = replicate(gcp.store.as_ref(), &onward, ("v1", &digest), &follow);
    let (first, second) = tokio::join!(first, second);
    for done in [first, second] {
        assert!(done.unwrap().targets.pop().unwrap().outcome.unwrap());
    }
    assert!(is_whole(&azure, &digest).await && is_whole(&gcp, &digest).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s7_a_relay_that_stands_still_ends_who_follows_and_shows_no_version() {
    let [aws, azure, gcp] = Cloud::all().await;
    let digest = many_files(aws.direct.as_ref()).await;
    azure.proxy.set_bandwidth(Some(10 * MIB as u64));
    let (into, onward) = ([azure.store.as_ref()], [gcp.store.as_ref()]);
    let (plain, follow) = (options(), following(Duration::from_secs(3)));
    let source = aws.store.as_ref();
    let first = async {
        let begun = replicate(source, &into, ("v1", &digest), &plain);
        // As after a kill: it ends in the middle.
        tokio::time::timeout(Duration::from_secs(2), begun).await
    };
    let second = replicate(azure.direct.as_ref(), &onward, ("v1", &digest), &follow);
    let start = Instant::now();
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err(), "the relay was filled before it was killed");
    let error = second.unwrap().targets.pop().unwrap().outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
    let there = list_versions(gcp.direct.as_ref(), None, &token()).await;
    assert!(there.unwrap().iter().all(|v| v.manifest_digest.is_none()));

    // Both again: each goes on with what its store has.
    azure.proxy.heal();
    let (first, second) = tokio::join!(
        replicate(source, &into, ("v1", &digest), &plain),
        replicate(azure.store.as_ref(), &onward, ("v1", &digest), &follow),
    );
    for done in [first, second] {
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap());
        assert!(target.sent_bytes < 40 * MIB as u64, "{}", target.sent_bytes);
    }
    assert!(is_whole(&gcp, &digest).await);
}
