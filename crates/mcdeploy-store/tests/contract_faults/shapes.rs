//! S6 and C6: sizes, names, numbers of files, and a disk that is full.

use std::fs;

use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_sandbox::testing::SmallDisk;
use mcdeploy_store::{TransferOptions, open_directory};

use crate::world::{Cloud, MIB, directory, one_file, options, push, replicate, state};

#[tokio::test(flavor = "multi_thread")]
async fn fault_s6_sizes_around_a_part_and_awkward_names_arrive_exactly() {
    let [aws, azure, gcp] = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let local = open_directory(root.path()).unwrap();
    let part = 16 * MIB;
    let files = [
        ("empty", 0),
        ("one", 1),
        ("under", part - 1),
        ("exact", part),
        ("over", part + 1),
        ("four exact", 20 * MIB),
        ("four over", 20 * MIB + 1),
        ("a b/grüße/模型.onnx", 10),
        ("a..b", 11),
        ("100%", 12),
        ("a+b&c=d#e?f", 13),
        (".hidden", 14),
    ];
    let dir = directory(&files);
    let digest = push(aws.direct.as_ref(), dir.path(), "v1").await;
    let targets = [azure.store.as_ref(), gcp.store.as_ref(), local.as_ref()];
    let done = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options()).await;
    for target in done.unwrap().targets {
        assert!(target.outcome.unwrap());
    }
    for target in targets {
        assert_eq!(state(target, "v1", &digest).await, ReplicaState::Verified);
    }
    for (name, _) in files {
        let there = fs::read(root.path().join("digits/v1").join(name)).unwrap();
        assert!(there == fs::read(dir.path().join(name)).unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s6_many_small_files_take_two_requests_each_and_a_repetition_none() {
    // Ten thousand take minutes.
    let is_full = std::env::var_os("MCDEPLOY_TEST_FULL").is_some();
    small_files(if is_full { 10_000 } else { 1_000 }).await;
}

async fn small_files(count: u32) {
    let [aws, azure, gcp] = Cloud::all().await;
    let dir = tempfile::tempdir().unwrap();
    for n in 0..count {
        fs::write(dir.path().join(format!("part-{n:05}.json")), format!("{n}")).unwrap();
    }
    let digest = push(gcp.direct.as_ref(), dir.path(), "v1").await;
    let targets = [aws.store.as_ref(), azure.store.as_ref()];
    let options = TransferOptions::default();
    let done = replicate(gcp.store.as_ref(), &targets, ("v1", &digest), &options).await;
    for target in done.unwrap().targets {
        assert!(target.outcome.unwrap());
    }
    let requests = |cloud: &Cloud| cloud.proxy.counts().requests;
    let files = u64::from(count);
    assert!(requests(&gcp) < files + 40, "{}", requests(&gcp));
    assert!(requests(&aws) < files + 40, "{}", requests(&aws));
    assert!(requests(&azure) < 2 * files + 40, "{}", requests(&azure));
    assert_eq!(aws.verified("v1", &digest).await, ReplicaState::Verified);

    // A repetition asks nothing per file: the listing tells, with a receipt or by itself.
    for (cloud, source) in [(&gcp, &aws), (&azure, &gcp), (&aws, &gcp)] {
        cloud.proxy.reset_counts();
        let targets = [cloud.store.as_ref()];
        let done = replicate(source.store.as_ref(), &targets, ("v1", &digest), &options).await;
        assert!(!done.unwrap().targets.pop().unwrap().outcome.unwrap());
        assert!(requests(cloud) < 40, "{}", requests(cloud));
        cloud.proxy.reset_counts();
        let verified = state(cloud.store.as_ref(), "v1", &digest).await;
        assert_eq!(verified, ReplicaState::Verified);
        assert!(requests(cloud) < 40, "{}", requests(cloud));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c6_a_full_disk_ends_typed_leaves_nothing_and_spares_the_others() {
    let aws = Cloud::aws().await;
    let disk = SmallDisk::new(24).unwrap();
    let root = tempfile::tempdir().unwrap();
    let (full, roomy) = (
        open_directory(disk.path()).unwrap(),
        open_directory(root.path()).unwrap(),
    );
    let digest = one_file(aws.direct.as_ref(), "v1", 50 * MIB).await;
    let targets = [full.as_ref(), roomy.as_ref()];
    let done = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options()).await;
    let [full_done, roomy_done] = <[_; 2]>::try_from(done.unwrap().targets).unwrap();
    assert!(roomy_done.outcome.unwrap());
    let error = full_done.outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent, "{error}");
    assert_eq!(
        state(full.as_ref(), "v1", &digest).await,
        ReplicaState::Missing
    );
    let left = fs::read_dir(disk.path().join("digits/v1")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mcdeploy-push.json"], "only the claim");
}
