//! Files that the target holds in another version are copied inside it.

use std::fs;

use mcdeploy_api::{ReplicaState, Sha256Digest};
use mcdeploy_sandbox::testing::{Fault, ProxyRequest};
use mcdeploy_store::{Store, open_directory, read_version, verify_replica_fully};

use crate::world::{
    Cloud, MIB, MODEL, directory, options, overwrite, push, random_bytes, replicate, token,
};

const SMALL: usize = 20;

/// Two versions in one store, of which one file in twenty-one differs; both digests.
async fn two_versions(store: &dyn Store) -> (Sha256Digest, Sha256Digest) {
    let names: Vec<_> = (0..SMALL).map(|n| format!("tensor {n:03}")).collect();
    let small = names.iter().map(|name| (name.as_str(), MIB));
    let files: Vec<_> = small.chain([("model.onnx", 22 * MIB)]).collect();
    let dir = directory(&files);
    let first = push(store, dir.path(), "v1").await;
    fs::write(dir.path().join("tensor 007"), random_bytes(MIB, 99)).unwrap();
    (first, push(store, dir.path(), "v2").await)
}

/// Whether a request copies inside a store, to the second version.
fn is_copy(request: &ProxyRequest) -> bool {
    let is_block = request.query.contains("comp=");
    let is_put = request.method == "PUT" && request.body_bytes == 0 && !is_block;
    request.path.contains("rewriteTo") || (is_put && request.path.contains("v2"))
}

async fn check_bytes(cloud: &Cloud, digest: &Sha256Digest) {
    let report = verify_replica_fully(cloud.direct.as_ref(), MODEL, "v2", digest, &token()).await;
    let report = report.unwrap();
    assert_eq!(report.state, ReplicaState::Verified, "{}", report.message);
    assert_eq!(report.read_files, 0);
    let root = tempfile::tempdir().unwrap();
    let (store, cancel) = (cloud.direct.as_ref(), token());
    let read = read_version(store, MODEL, "v2", digest, root.path(), &|_| {}, &cancel);
    read.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_changed_are_sent_to_a_store_that_holds_the_version_before() {
    let root = tempfile::tempdir().unwrap();
    let source = open_directory(root.path()).unwrap();
    let (first, second) = two_versions(source.as_ref()).await;
    for cloud in Cloud::all().await {
        let name = cloud.store.name();
        let targets = [cloud.store.as_ref()];
        let done = replicate(source.as_ref(), &targets, ("v1", &first), &options()).await;
        let target = done.unwrap().targets.pop().unwrap();
        assert_eq!(target.copied_bytes, 0);
        assert!(target.outcome.unwrap());
        cloud.proxy.reset_counts();
        let done = replicate(source.as_ref(), &targets, ("v2", &second), &options()).await;
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap());
        let same = ((SMALL - 1) + 22) * MIB;
        assert_eq!(
            (target.copied_bytes, target.sent_bytes),
            (same as u64, MIB as u64),
            "{name}"
        );
        let counts = cloud.proxy.counts();
        assert!(
            counts.sent_bytes < MIB as u64 * 5 / 4,
            "{name}: {}",
            counts.sent_bytes
        );
        assert!(
            counts.received_bytes < MIB as u64 / 2,
            "{name}: {}",
            counts.received_bytes
        );
        check_bytes(&cloud, &second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sent_where_the_store_refuses_to_copy_or_the_copy_before_was_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let source = open_directory(root.path()).unwrap();
    let (first, second) = two_versions(source.as_ref()).await;
    for cloud in Cloud::all().await {
        let name = cloud.store.name();
        let targets = [cloud.store.as_ref()];
        let done = replicate(source.as_ref(), &targets, ("v1", &first), &options()).await;
        assert!(done.unwrap().targets.pop().unwrap().outcome.unwrap());
        let other = random_bytes(22 * MIB, 5);
        overwrite(cloud.direct.as_ref(), "digits/v1/model.onnx", &other).await;
        let mut copies = 0;
        cloud.proxy.inject(move |request| {
            copies += u32::from(is_copy(request));
            let (status, retry_after) = (400, None);
            (copies > 3 && is_copy(request)).then_some(Fault::Answer {
                status,
                retry_after,
            })
        });
        let done = replicate(source.as_ref(), &targets, ("v2", &second), &options()).await;
        cloud.proxy.heal();
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap(), "{name}");
        let all = ((SMALL + 22) * MIB) as u64;
        assert_eq!(target.copied_bytes + target.sent_bytes, all, "{name}");
        assert!(
            target.copied_bytes <= 3 * MIB as u64,
            "{name}: {}",
            target.copied_bytes
        );
        check_bytes(&cloud, &second).await;
    }
}
