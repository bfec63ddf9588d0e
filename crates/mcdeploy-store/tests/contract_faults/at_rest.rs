//! S3: bytes that rot where they are.

use std::os::unix::fs::FileExt as _;

use mcdeploy_api::ReplicaState;
use mcdeploy_sandbox::testing::{FakeGcs, Versitygw};
use mcdeploy_store::{
    RepairError, Replication, Rot, Store, open, open_directory, repair_replica, scrub_replica,
    verify_replica,
};

use crate::world::{MIB, MODEL, directory, options, push, replicate, state, token};

fn flip(path: &std::path::Path, at: u64) {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s3_rot_at_rest_is_found_moved_away_and_repaired_from_a_verified_replica() {
    let (aws, gcp) = (
        Versitygw::start().await.unwrap(),
        FakeGcs::start().await.unwrap(),
    );
    let rotten = open(&aws.access()).await.unwrap();
    let healthy = open(&gcp.access()).await.unwrap();
    let dir = directory(&[("model.onnx", 20 * MIB), ("a", 100), ("b", 200)]);
    let digest = push(rotten.as_ref(), dir.path(), "v1").await;
    let targets = [healthy.as_ref()];
    let done = replicate(rotten.as_ref(), &targets, ("v1", &digest), &options()).await;
    done.unwrap().targets.pop().unwrap().outcome.unwrap();

    let scrub = async |share| {
        let (version, token) = ((MODEL, "v1"), token());
        let report = scrub_replica(rotten.as_ref(), version, &digest, (share, 7), &token);
        report.await.unwrap()
    };
    let clean = scrub(1.0).await;
    assert_eq!((clean.findings.len(), clean.read_files), (0, 3));
    assert_eq!(scrub(0.0).await.read_bytes, 0);

    flip(&aws.object_file("digits/v1/model.onnx"), 17 * MIB as u64);
    // Metadata cannot tell.
    assert_eq!(
        state(rotten.as_ref(), "v1", &digest).await,
        ReplicaState::Verified
    );
    let found = scrub(1.0).await.findings;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].file.as_str(), found[0].rot),
        ("model.onnx", Rot::Differs)
    );
    assert_ne!(found[0].expected, found[0].actual);

    let targets = [rotten.as_ref()];
    let request = Replication {
        source: healthy.as_ref(),
        targets: &targets,
        model: MODEL,
        version: "v1",
        digest: &digest,
    };
    let repaired = repair_replica(&request, &found, &options(), &|_| {}, &token())
        .await
        .unwrap();
    assert_eq!(repaired.sent_bytes, 20 * MIB as u64);
    assert!(scrub(1.0).await.findings.is_empty());
    assert_eq!(
        state(rotten.as_ref(), "v1", &digest).await,
        ReplicaState::Verified
    );
    let kept = rotten
        .list(".mcdeploy/quarantine/", &token())
        .await
        .unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].key, repaired.quarantined[0].as_str());
    let again = repair_replica(&request, &[], &options(), &|_| {}, &token())
        .await
        .unwrap();
    assert_eq!((again.quarantined.len(), again.sent_bytes), (0, 0));
}

#[tokio::test]
async fn fault_s3_nothing_is_moved_when_the_other_replica_is_not_verified() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (rotten, missing) = (
        open_directory(one.path()).unwrap(),
        open_directory(two.path()).unwrap(),
    );
    let dir = directory(&[("model.onnx", 1000)]);
    let digest = push(rotten.as_ref(), dir.path(), "v1").await;
    flip(&one.path().join("digits/v1/model.onnx"), 10);
    let cancel = token();
    let scrub = scrub_replica(rotten.as_ref(), (MODEL, "v1"), &digest, (1.0, 1), &cancel);
    let found = scrub.await.unwrap().findings;
    assert_eq!(found.len(), 1);
    let targets: [&dyn Store; 1] = [rotten.as_ref()];
    let request = Replication {
        source: missing.as_ref(),
        targets: &targets,
        model: MODEL,
        version: "v1",
        digest: &digest,
    };
    let refused = repair_replica(&request, &found, &options(), &|_| {}, &token()).await;
    assert!(matches!(
        refused,
        Err(RepairError::SourceNotVerified { .. })
    ));
    assert!(one.path().join("digits/v1/model.onnx").exists());
    let report = verify_replica(rotten.as_ref(), MODEL, "v1", &digest, &token()).await;
    assert_eq!(report.unwrap().state, ReplicaState::ChecksumMismatch);
}
