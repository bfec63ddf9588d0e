//! What others wrote where a version goes: adopted when equal, else a conflict that names it.

use std::fs;

use bytes::Bytes;
use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use mcdeploy_store::{Store, copy_version, open, open_directory, verify_replica};

use crate::{
    tools::{MIB, create, key, random_bytes, read_all, token},
    versions::push,
};

/// Which objects of a version are there.
async fn keys(store: &dyn Store, version: &str) -> Vec<String> {
    let prefix = format!("digits/{version}/");
    let listed = store.list(&prefix, &token()).await.unwrap();
    listed.into_iter().map(|object| object.key).collect()
}

/// Other bytes than the version's under the names of its files, or a name that it has not.
async fn foreign_objects_are_a_conflict_and_stay(store: &dyn Store) {
    let dir = tempfile::tempdir().unwrap();
    let model = random_bytes(17 * MIB, 1);
    fs::write(dir.path().join("model.bin"), &model).unwrap();
    fs::write(dir.path().join("labels"), b"0123456789").unwrap();
    let home = tempfile::tempdir().unwrap();
    let source = open_directory(home.path()).unwrap();
    let digest = push(source.as_ref(), dir.path(), "f0").await.unwrap();
    assert!(digest.is_new);
    for (n, (file, bytes)) in [
        ("model.bin", random_bytes(17 * MIB, 2)),
        ("model.bin", Bytes::from_static(b"theirs")),
        ("labels", Bytes::from_static(b"9876543210")),
        ("of another tool", Bytes::from_static(b"notes")),
    ]
    .into_iter()
    .enumerate()
    {
        let version = format!("f{n}");
        let name = format!("digits/{version}/{file}");
        create(store, &key(&name), &bytes).await.unwrap();
        for attempt in 0..2 {
            let pushed = push(store, dir.path(), &version).await;
            let error = pushed.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Precondition, "{error}");
            let text = error.to_string();
            let size = format!("{} bytes", bytes.len());
            assert!(text.contains(&name) && text.contains(&size), "{text}");
            assert!(text.contains(", written 20"), "with its date: {text}");
            assert_eq!(read_all(store, &key(&name)).await, bytes, "{attempt}");
            assert_eq!(keys(store, &version).await, [name.as_str()], "{attempt}");
        }
        let object = store.head(&key(&name), &token()).await.unwrap();
        store.delete(&object, &token()).await.unwrap();
        assert!(push(store, dir.path(), &version).await.unwrap().is_new);
    }
    let source_version = push(source.as_ref(), dir.path(), "copied").await.unwrap();
    let theirs = Bytes::from_static(b"theirs");
    create(store, &key("digits/copied/labels"), &theirs)
        .await
        .unwrap();
    let both = (source.as_ref(), store);
    let digest = source_version.manifest_digest;
    let copied = copy_version(both, "digits", "copied", &digest, &|_| {}, &token()).await;
    let error = copied.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Precondition, "{error}");
    assert_eq!(
        read_all(store, &key("digits/copied/labels")).await,
        theirs,
        "a copy deletes nothing either"
    );
    assert_eq!(keys(store, "copied").await, ["digits/copied/labels"]);
}

async fn equal_objects_are_adopted(store: &dyn Store) {
    let dir = tempfile::tempdir().unwrap();
    let model = random_bytes(17 * MIB, 3);
    fs::write(dir.path().join("model.bin"), &model).unwrap();
    fs::write(dir.path().join("labels"), b"0123456789").unwrap();
    let name = key("digits/equal/model.bin");
    create(store, &name, &model).await.unwrap();
    let before = store.head(&name, &token()).await.unwrap();
    let pushed = push(store, dir.path(), "equal").await.unwrap();
    assert_eq!(pushed.adopted, [key("model.bin")]);
    let after = store.head(&name, &token()).await.unwrap();
    assert_eq!(before.pin, after.pin, "it was not written again");
    let digest = pushed.manifest_digest;
    let report = verify_replica(store, "digits", "equal", &digest, &token()).await;
    assert_eq!(report.unwrap().state, ReplicaState::Verified);
    let again = push(store, dir.path(), "equal").await.unwrap();
    assert!(again.adopted.is_empty(), "it belongs to the version now");
}

async fn all(store: &dyn Store) {
    foreign_objects_are_a_conflict_and_stay(store).await;
    equal_objects_are_adopted(store).await;
}

#[tokio::test]
async fn a_directory_keeps_what_others_wrote() {
    let directory = tempfile::tempdir().unwrap();
    all(open_directory(directory.path()).unwrap().as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_what_others_wrote() {
    let server = Versitygw::start().await.unwrap();
    all(open(&server.access()).await.unwrap().as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_keeps_what_others_wrote() {
    let server = Azurite::start().await.unwrap();
    all(open(&server.access()).await.unwrap().as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_keeps_what_others_wrote() {
    let server = FakeGcs::start().await.unwrap();
    all(open(&server.access()).await.unwrap().as_ref()).await;
}
