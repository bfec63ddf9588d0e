//! Two writers of the same content to the same key do not disturb each other.

use bytes::Bytes;
use mcdeploy_api::ErrorClass;
use mcdeploy_sandbox::testing::FakeGcs;
use mcdeploy_store::{Checksums, Resume, Store, Upload, open};

use crate::tools::{MIB, key, random_bytes, read_all, token};

async fn begin(store: &dyn Store, bytes: &Bytes) -> Box<dyn Upload> {
    let (content, cancel) = (Checksums::of(bytes), token());
    let object = key("digits/v1/model.bin");
    let begun = store.begin(&object, &content, Resume::IfThere, &cancel);
    begun.await.unwrap()
}

async fn send(upload: &dyn Upload, bytes: &Bytes, indices: std::ops::Range<u32>) {
    let part = usize::try_from(upload.part_bytes()).unwrap();
    for index in indices {
        let at = usize::try_from(index).unwrap() * part;
        let piece = bytes.slice(at..(at + part).min(bytes.len()));
        let sums = Checksums::of(&piece);
        upload.part(index, piece, sums, &token()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_on_gcs_that_gives_up_leaves_the_parts_of_the_other() {
    let server = FakeGcs::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    // More parts than one request composes.
    let bytes = random_bytes(171 * MIB, 1);
    let (one, other) = tokio::join!(begin(store.as_ref(), &bytes), begin(store.as_ref(), &bytes));
    send(one.as_ref(), &bytes, 0..2).await;
    send(other.as_ref(), &bytes, 0..35).await;
    one.abort().await;
    other.complete(&token()).await.unwrap();
    let there = read_all(store.as_ref(), &key("digits/v1/model.bin")).await;
    assert!(there == bytes);
    let left = store.list(".mcdeploy/parts/", &token()).await.unwrap();
    assert_eq!(left, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_writers_on_gcs_finds_the_key_taken_and_leaves_nothing() {
    let server = FakeGcs::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    let bytes = random_bytes(20 * MIB, 1);
    let (one, other) = tokio::join!(begin(store.as_ref(), &bytes), begin(store.as_ref(), &bytes));
    send(one.as_ref(), &bytes, 0..4).await;
    send(other.as_ref(), &bytes, 0..2).await;
    one.complete(&token()).await.unwrap();
    send(other.as_ref(), &bytes, 2..4).await;
    let refused = other.complete(&token()).await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Precondition, "{refused}");
    let left = store.list(".mcdeploy/parts/", &token()).await.unwrap();
    assert_eq!(left, []);
}
