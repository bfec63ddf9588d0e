//! The suite over the four backends.

use std::time::Duration;

use mcdeploy_api::{ErrorClass, S3Checksums};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use mcdeploy_store::{check_reader, check_store, open, open_directory, read_version};
use tokio_util::sync::CancellationToken;

use crate::{
    suite,
    tools::{MIB, class, create, key, random_bytes, token},
    versions::{push, version_directory},
};

#[tokio::test]
async fn directory_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_directory(directory.path()).unwrap();
    suite::all(store.as_ref()).await;
    suite::wrong_bytes_are_refused(store.as_ref(), &[17 * MIB]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    let server = Versitygw::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    suite::all(store.as_ref()).await;
    suite::wrong_bytes_are_refused(store.as_ref(), &[100, 17 * MIB]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_without_checksums_of_the_sdk_still_carries_ours() {
    let server = Versitygw::start().await.unwrap();
    let mut access = server.access();
    let location = access.spec.location.s3.as_mut().unwrap();
    location.checksums = S3Checksums::WhenRequired;
    let store = open(&access).await.unwrap();
    suite::bytes_come_back_at_every_size(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_keeps_the_contract() {
    let server = Azurite::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    suite::all(store.as_ref()).await;
    suite::wrong_bytes_are_refused(store.as_ref(), &[100, 17 * MIB]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_keeps_the_contract() {
    let server = FakeGcs::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    suite::all(store.as_ref()).await;
    suite::wrong_bytes_are_refused(store.as_ref(), &[100, 17 * MIB]).await;
}

/// What pods get by `auth.readSecretRef`.
#[tokio::test(flavor = "multi_thread")]
async fn azure_lets_a_reader_fetch_and_change_nothing() {
    let server = Azurite::start().await.unwrap();
    let writer = open(&server.access()).await.unwrap();
    let reader = open(&server.reader()).await.unwrap();
    let outcome = check_reader(reader.as_ref(), &token()).await;
    assert_eq!(class(outcome), ErrorClass::NotFound, "nothing was put yet");
    let outcome = check_store(reader.as_ref(), &token()).await;
    assert_eq!(class(outcome), ErrorClass::Permanent);
    check_store(writer.as_ref(), &token()).await.unwrap();
    check_reader(reader.as_ref(), &token()).await.unwrap();

    let pushed = push(writer.as_ref(), version_directory(1).path(), "v1").await;
    let digest = pushed.unwrap().manifest_digest;
    let root = tempfile::tempdir().unwrap();
    let (store, root) = (reader.as_ref(), root.path());
    read_version(store, "digits", "v1", &digest, root, &|_| {}, &token())
        .await
        .unwrap();
    let object = writer
        .head(&key("digits/v1/empty"), &token())
        .await
        .unwrap();
    let outcome = reader.delete(&object, &token()).await;
    assert_eq!(class(outcome), ErrorClass::Permanent);
    writer.head(&object.key, &token()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_can_be_left_at_once_and_is_used_again_later() {
    let server = Versitygw::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    let object = key("silent/object");
    create(store.as_ref(), &object, &random_bytes(10, 1))
        .await
        .unwrap();
    server.freeze(true).unwrap();
    let cancel = CancellationToken::new();
    let soon = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        soon.cancel();
    });
    let head = store.head(&object, &cancel);
    let outcome = tokio::time::timeout(Duration::from_secs(2), head)
        .await
        .unwrap();
    assert_eq!(class(outcome), ErrorClass::Cancelled);
    server.freeze(false).unwrap();
    store.head(&object, &token()).await.unwrap();
}
