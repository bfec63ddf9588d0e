//! S2, S7: a store is down, silent or slow; a process ends in the middle.

use std::time::Duration;

use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_sandbox::testing::Link;
use mcdeploy_store::TransferOptions;
use tokio::time::Instant;

use crate::world::{Cloud, MIB, directory, one_file, options, push, replicate};

#[tokio::test(flavor = "multi_thread")]
async fn fault_s7_a_store_that_is_down_for_the_whole_run_does_not_hold_the_others() {
    let [aws, azure, gcp] = Cloud::all().await;
    let digest = one_file(aws.direct.as_ref(), "v1", 100 * MIB).await;
    azure.proxy.set_link(Link::Down);
    let targets = [azure.store.as_ref(), gcp.store.as_ref()];
    let start = Instant::now();
    let options = options();
    let work = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options);
    let watch = async {
        while gcp.verified("v1", &digest).await != ReplicaState::Verified {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        start.elapsed()
    };
    let (done, others_took) = tokio::join!(work, watch);
    let [down, up] = <[_; 2]>::try_from(done.unwrap().targets).unwrap();
    assert!(up.outcome.unwrap());
    let error = down.outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    assert!(error.to_string().contains("azure"), "{error}");
    assert!(others_took < Duration::from_secs(20), "{others_took:?}");

    // Catch-up sends what is missing, to nobody else.
    azure.proxy.heal();
    gcp.proxy.reset_counts();
    let done = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options).await;
    for target in done.unwrap().targets {
        target.outcome.unwrap();
    }
    assert_eq!(azure.verified("v1", &digest).await, ReplicaState::Verified);
    assert_eq!(gcp.proxy.counts().sent_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s7_an_outage_in_the_middle_converges_by_itself() {
    let [aws, azure, gcp] = Cloud::all().await;
    let size = 128 * MIB;
    let digest = one_file(aws.direct.as_ref(), "v1", size).await;
    let options = TransferOptions {
        rounds: 6,
        pause: Duration::from_secs(1),
        // It is the outage that this is about, and not the slowness.
        hold_back: Duration::from_mins(1),
        ..options()
    };
    azure.proxy.set_bandwidth(Some(40 * MIB as u64));
    let targets = [azure.store.as_ref(), gcp.store.as_ref()];
    let work = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options);
    let outage = async {
        while azure.proxy.counts().sent_bytes < 80 * MIB as u64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        azure.proxy.set_link(Link::Down);
        tokio::time::sleep(Duration::from_secs(6)).await;
        azure.proxy.heal();
    };
    let (done, ()) = tokio::join!(work, outage);
    let [azure_done, gcp_done] = <[_; 2]>::try_from(done.unwrap().targets).unwrap();
    assert!(gcp_done.outcome.unwrap() && azure_done.outcome.unwrap());
    assert!(azure_done.resumed_bytes > 0);
    for target in [&azure, &gcp] {
        assert_eq!(target.verified("v1", &digest).await, ReplicaState::Verified);
    }
    let read = aws.proxy.counts().received_bytes;
    assert!(read < 2 * size as u64, "the source was read {read} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s7_a_slow_store_is_left_behind_and_catches_up_alone() {
    let [aws, azure, gcp] = Cloud::all().await;
    let digest = one_file(aws.direct.as_ref(), "v1", 160 * MIB).await;
    azure.proxy.set_bandwidth(Some(8 * MIB as u64));
    let start = Instant::now();
    let targets = [azure.store.as_ref(), gcp.store.as_ref()];
    let options = options();
    let work = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options);
    let watch = async {
        while gcp.verified("v1", &digest).await != ReplicaState::Verified {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (took, behind) = (start.elapsed(), azure.proxy.counts().sent_bytes);
        azure.proxy.set_bandwidth(None);
        (took, behind)
    };
    let (done, (fast_took, behind)) = tokio::join!(work, watch);
    for target in done.unwrap().targets {
        assert!(target.outcome.unwrap());
    }
    // At 8 MiB/s the slow one alone needs 20 s.
    assert!(fast_took < Duration::from_secs(12), "{fast_took:?}");
    assert!(behind < 150 * MIB as u64, "{behind}");
    assert_eq!(azure.verified("v1", &digest).await, ReplicaState::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s2_a_run_that_ends_in_the_middle_is_gone_on_with() {
    let [aws, azure, gcp] = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let local = mcdeploy_store::open_directory(root.path()).unwrap();
    let size = 160 * MIB as u64;
    let digest = one_file(local.as_ref(), "v1", 160 * MIB).await;
    for cloud in [&aws, &azure, &gcp] {
        cloud.proxy.set_bandwidth(Some(100 * MIB as u64));
        let targets = [cloud.store.as_ref()];
        let options = options();
        let work = replicate(local.as_ref(), &targets, ("v1", &digest), &options);
        // Dropped in the middle, as by a crash: no clean-up runs.
        let half = async {
            while cloud.proxy.counts().sent_bytes < size / 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            biased;
            () = half => {}
            done = work => panic!("it ended first: {done:?}"),
        }
        let name = cloud.store.name();
        let state = cloud.verified("v1", &digest).await;
        assert_eq!(state, ReplicaState::Missing, "{name}");
        cloud.proxy.heal();
        let done = replicate(local.as_ref(), &targets, ("v1", &digest), &options).await;
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap());
        let sent = cloud.proxy.counts().sent_bytes;
        // What was under way in four requests at once is lost.
        assert!(
            target.resumed_bytes > 0 && sent < size + 5 * 5 * MIB as u64,
            "{name}: {sent}"
        );
        assert_eq!(cloud.verified("v1", &digest).await, ReplicaState::Verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_read_once_for_all_targets() {
    let [aws, azure, gcp] = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let local = mcdeploy_store::open_directory(root.path()).unwrap();
    let dir = directory(&[
        ("model.onnx", 60 * MIB),
        ("a", 5 * MIB),
        ("b", 100),
        ("c", 0),
    ]);
    let digest = push(aws.direct.as_ref(), dir.path(), "v1").await;
    let targets = [azure.store.as_ref(), gcp.store.as_ref(), local.as_ref()];
    let options = TransferOptions::default();
    let done = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options).await;
    for target in done.unwrap().targets {
        assert!(target.outcome.unwrap());
    }
    let read = aws.proxy.counts().received_bytes;
    let size = 65 * MIB as u64 + 100;
    assert!(read >= size && read < size + size / 50, "{read} of {size}");
    for target in [&azure, &gcp] {
        assert_eq!(target.verified("v1", &digest).await, ReplicaState::Verified);
    }
}
