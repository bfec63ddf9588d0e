//! Versions between stores.

use std::{fs, sync::Arc, sync::atomic::Ordering};

use mcdeploy_api::{ErrorClass, ReplicaState, Sha256Digest, StoreLocation, TransferPlan};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use mcdeploy_store::{
    PublishError, ReplicaReport, Replication, Store, StoreError, TransferError, TransferOptions,
    Transferred, copy_version, open, open_directory, replicate_version, transfer_version,
    verify_replica,
};

use crate::{
    tools::{MIB, Metered, flip_byte, key, overwrite, random_bytes, token},
    versions::{push, version_directory},
};

async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    version: &str,
    digest: &Sha256Digest,
) -> Result<Transferred, TransferError> {
    copy_version((from, to), "digits", version, digest, &|_| {}, &token()).await
}

async fn verify(
    store: &dyn Store,
    version: &str,
    digest: &Sha256Digest,
) -> Result<ReplicaReport, StoreError> {
    verify_replica(store, "digits", version, digest, &token()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_between_every_pair_of_stores() {
    let (aws, azure, gcp) = tokio::join!(Versitygw::start(), Azurite::start(), FakeGcs::start());
    let (aws, azure, gcp) = (aws.unwrap(), azure.unwrap(), gcp.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn Store>; 4] = [
        open(&aws.access()).await.unwrap(),
        open(&azure.access()).await.unwrap(),
        open(&gcp.access()).await.unwrap(),
        open_directory(directory.path()).unwrap(),
    ];
    for (n, from) in stores.iter().enumerate() {
        let version = format!("from-{n}");
        let dir = version_directory(n as u64);
        let pushed = push(from.as_ref(), dir.path(), &version).await.unwrap();
        let digest = pushed.manifest_digest;
        for to in stores.iter().filter(|to| !Arc::ptr_eq(from, to)) {
            let done = copy(from.as_ref(), to.as_ref(), &version, &digest)
                .await
                .unwrap();
            assert!(done.is_new);
            let again = copy(from.as_ref(), to.as_ref(), &version, &digest)
                .await
                .unwrap();
            assert!(!again.is_new);
            let metered = Metered::new(to.clone());
            let report = verify(&metered, &version, &digest);
            let report = report.await.unwrap();
            assert_eq!(report.state, ReplicaState::Verified, "{}", report.message);
            assert_eq!(report.verified_bytes, pushed.size_bytes);
            let read = metered.read.load(Ordering::Relaxed);
            assert!(read < 4096, "{read} bytes read to verify");
        }
    }
    // The same by plan, as a Job does it; and a target that has other bytes.
    let dir = version_directory(9);
    let pushed = push(stores[1].as_ref(), dir.path(), "plan").await.unwrap();
    let plan = TransferPlan {
        model: "digits".to_owned(),
        version: "plan".to_owned(),
        manifest_digest: pushed.manifest_digest,
        source: azure.access(),
        targets: vec![gcp.access()],
    };
    let options = TransferOptions::default();
    let done = transfer_version(&plan, &options, &|_| {}, &token()).await;
    assert!(done.unwrap().targets.remove(0).outcome.unwrap());
    let other = version_directory(10);
    push(stores[0].as_ref(), other.path(), "plan")
        .await
        .unwrap();
    // One that cannot be opened does not hold the others either.
    let mut unusable = gcp.access();
    unusable.spec.location = StoreLocation::default();
    let plan = TransferPlan {
        targets: vec![unusable, gcp.access(), aws.access()],
        ..plan
    };
    let done = transfer_version(&plan, &options, &|_| {}, &token()).await;
    let [there, refused, closed] = <[_; 3]>::try_from(done.unwrap().targets).unwrap();
    assert!(!there.outcome.unwrap(), "it was there already");
    let refused = refused.outcome.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Precondition);
    assert!(matches!(refused, PublishError::Conflict { .. }));
    assert!(matches!(closed.outcome, Err(PublishError::Store(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_a_few_parts_whatever_the_size() {
    let (aws, azure, gcp) = tokio::join!(Versitygw::start(), Azurite::start(), FakeGcs::start());
    let (aws, azure, gcp) = (aws.unwrap(), azure.unwrap(), gcp.unwrap());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.onnx"), random_bytes(130 * MIB, 1)).unwrap();
    let source = open(&aws.access()).await.unwrap();
    let digest = push(source.as_ref(), dir.path(), "big")
        .await
        .unwrap()
        .manifest_digest;
    for target in [azure.access(), gcp.access()] {
        let metered = Metered::new(source.clone());
        let target = open(&target).await.unwrap();
        let options = TransferOptions {
            buffer_bytes: 48 * MIB as u64,
            ..TransferOptions::default()
        };
        let request = Replication {
            source: &metered,
            targets: &[target.as_ref()],
            model: "digits",
            version: "big",
            digest: &digest,
        };
        replicate_version(&request, &options, &|_| {}, &token())
            .await
            .unwrap()
            .targets
            .pop()
            .unwrap()
            .outcome
            .unwrap();
        let most = metered.most_held.load(Ordering::Relaxed);
        assert!(most <= 48 * MIB as u64, "{most} bytes held at once");
        let read = metered.read.load(Ordering::Relaxed);
        assert!(read < 131 * MIB as u64, "read once: {read}");
        let report = verify(target.as_ref(), "big", &digest);
        assert_eq!(report.await.unwrap().state, ReplicaState::Verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_source_never_becomes_visible_in_the_target() {
    let server = Versitygw::start().await.unwrap();
    let source = open(&server.access()).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let target = open_directory(root.path()).unwrap();
    let dir = version_directory(1);
    let digest = push(source.as_ref(), dir.path(), "rot")
        .await
        .unwrap()
        .manifest_digest;
    flip_byte(&server.object_file("digits/rot/model.onnx"), 3);
    let error = copy(source.as_ref(), target.as_ref(), "rot", &digest)
        .await
        .unwrap_err();
    assert!(error.is_checksum_mismatch());
    let text = error.to_string();
    assert!(
        text.starts_with("model.onnx: expected ") && text.contains("\"aws\""),
        "{text}"
    );
    let model = target.head(&key("digits/rot/model.onnx"), &token()).await;
    assert_eq!(model.unwrap_err().class(), ErrorClass::NotFound);
    let report = verify(target.as_ref(), "rot", &digest);
    assert_eq!(report.await.unwrap().state, ReplicaState::Missing);

    overwrite(
        source.as_ref(),
        &key("digits/rot/model.onnx"),
        &random_bytes(3, 1),
    )
    .await;
    let error = copy(source.as_ref(), target.as_ref(), "rot", &digest)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("actual 3 bytes"), "{error}");
    let error = copy(source.as_ref(), target.as_ref(), "none", &digest)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
}
