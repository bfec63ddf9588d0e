//! A sweep frees what mcdeploy left behind, and nothing of anybody else.

use std::{fs, time::Duration};

use bytes::Bytes;
use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_sandbox::testing::Versitygw;
use mcdeploy_store::{
    Checksums, Removal, Resume, Spared, Store, Swept, Upload, VersionName, copy_version,
    manifest_of, open, open_directory, sweep, verify_replica,
};

use crate::{
    other_tools::foreign_s3,
    removal::{Wrapped, remove},
    tools::{MIB, create, key, random_bytes, token},
    versions::push,
};

/// Claims `digits` `version` of one file, as a push does before it sends that file.
async fn claim(store: &dyn Store, version: &str, model: &Bytes) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.bin"), model).unwrap();
    let name = VersionName::new("digits", version).unwrap();
    let manifest = manifest_of(dir.path(), &name, &|_| {}, &token()).await;
    let manifest = manifest.unwrap();
    let claim = serde_json::json!({
        "manifestDigest": manifest.digest(),
        "manifest": manifest,
    });
    let object = key(&format!("digits/{version}/mcdeploy-push.json"));
    let bytes = Bytes::from(serde_json::to_vec(&claim).unwrap());
    create(store, &object, &bytes).await.unwrap();
}

async fn upload(store: &dyn Store, version: &str, model: &Bytes) -> Box<dyn Upload> {
    let object = key(&format!("digits/{version}/model.bin"));
    let content = Checksums::of(model);
    let cancel = token();
    let begun = store.begin(&object, &content, Resume::Never, &cancel).await;
    begun.unwrap()
}

async fn send(upload: &dyn Upload, model: &Bytes, index: u32) {
    let part = usize::try_from(upload.part_bytes()).unwrap();
    let at = usize::try_from(index).unwrap() * part;
    let piece = model.slice(at..at + part);
    let sums = Checksums::of(&piece);
    upload.part(index, piece, sums, &token()).await.unwrap();
}

async fn swept(store: &dyn Store, age_s: u64) -> Swept {
    let age = Duration::from_secs(age_s);
    let would = sweep(store, age, true, &token()).await.unwrap();
    let swept = sweep(store, age, false, &token()).await.unwrap();
    assert_eq!(would, swept);
    swept
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_other_applications_in_the_bucket_are_not_swept() {
    let server = Versitygw::start().await.unwrap();
    let access = server.access();
    let store = open(&access).await.unwrap();
    let (client, bucket) = foreign_s3(&access);
    let model = random_bytes(40 * MIB, 1);
    claim(store.as_ref(), "v1", &model).await;
    let theirs = [
        "backups/database.dump",
        "digits/v1/of another tool",
        "digits/v2/model.bin",
    ];
    for name in theirs {
        let begin = client.create_multipart_upload().bucket(&bucket).key(name);
        begin.send().await.unwrap();
    }
    let ours = upload(store.as_ref(), "v1", &model).await;
    send(ours.as_ref(), &model, 0).await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let swept = swept(store.as_ref(), 0).await;
    assert_eq!(swept.uploads, ["digits/v1/model.bin"]);
    assert_eq!(swept.claims, ["digits/v1/mcdeploy-push.json"]);
    let left = client.list_multipart_uploads().bucket(&bucket);
    let left = left.send().await.unwrap();
    let mut left: Vec<_> = left.uploads().iter().filter_map(|u| u.key()).collect();
    left.sort_unstable();
    assert_eq!(left, theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_got_a_part_lately_is_under_way_and_so_is_its_claim() {
    let server = Versitygw::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    let model = random_bytes(40 * MIB, 1);
    claim(store.as_ref(), "v1", &model).await;
    let ours = upload(store.as_ref(), "v1", &model).await;
    send(ours.as_ref(), &model, 0).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    send(ours.as_ref(), &model, 1).await;
    assert_eq!(swept(store.as_ref(), 3).await, Swept::default());
    send(ours.as_ref(), &model, 2).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = swept(store.as_ref(), 3).await;
    assert_eq!(after.uploads, ["digits/v1/model.bin"]);
    assert_eq!(after.claims.len(), 1);
}

#[tokio::test]
async fn a_partial_file_that_somebody_writes_is_not_swept() {
    let root = tempfile::tempdir().unwrap();
    let store = open_directory(root.path()).unwrap();
    let model = random_bytes(40 * MIB, 1);
    claim(store.as_ref(), "v1", &model).await;
    let ours = upload(store.as_ref(), "v1", &model).await;
    send(ours.as_ref(), &model, 0).await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(swept(store.as_ref(), 0).await, Swept::default());
    drop(ours);
    let after = swept(store.as_ref(), 0).await;
    assert_eq!(after.uploads.len(), 2, "it and the note of its parts");
    assert_eq!(after.claims.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_claim_that_is_gone_on_with_is_in_use() {
    let server = Versitygw::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let source = open_directory(home.path()).unwrap();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let model = random_bytes(1000, 1);
    fs::write(dir.path().join("model.bin"), &model).unwrap();
    fs::write(other.path().join("model.bin"), b"other").unwrap();
    let pushed = push(source.as_ref(), dir.path(), "v1").await.unwrap();
    let digest = pushed.manifest_digest;
    // As of a run that was killed, of an earlier version of mcdeploy.
    claim(store.as_ref(), "v1", &model).await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let slow = Wrapped::slow_by(&source, Duration::from_secs(3));
    let cancel = token();
    let both: (&dyn Store, &dyn Store) = (&slow, store.as_ref());
    let work = copy_version(both, "digits", "v1", &digest, &|_| {}, &cancel);
    let beside = async {
        // The manifest is there after three seconds, the file after six.
        tokio::time::sleep(Duration::from_millis(4_500)).await;
        assert_eq!(swept(store.as_ref(), 0).await.claims, [""; 0]);
        let refused = push(store.as_ref(), other.path(), "v1").await.unwrap_err();
        assert_eq!(refused.class(), ErrorClass::Precondition, "{refused}");
        let removed = remove(store.as_ref(), "v1", None, Duration::ZERO).await;
        assert_eq!(removed.unwrap(), Removal::Spared(Spared::Claimed));
    };
    let (copied, ()) = tokio::join!(work, beside);
    assert!(copied.unwrap().is_new);
    let report = verify_replica(store.as_ref(), "digits", "v1", &digest, &cancel).await;
    assert_eq!(report.unwrap().state, ReplicaState::Verified);
    let leases = store.list(".mcdeploy/leases/", &cancel).await.unwrap();
    assert_eq!(leases, [], "it was given back");
}
