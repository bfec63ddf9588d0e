//! The life of a version in one store.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use futures::future::join_all;
use mcdeploy_api::{ErrorClass, ReplicaState, Sha256Digest};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use mcdeploy_store::{
    FetchError, Fetched, PublishError, PushError, Pushed, Store, open, open_directory,
    push_version, read_version, verify_replica,
};

use crate::tools::{MIB, flip_byte, key, overwrite, random_bytes, token};

pub(crate) async fn push(
    store: &dyn Store,
    dir: &Path,
    version: &str,
) -> Result<Pushed, PushError> {
    push_version(store, dir, "digits", version, &|_| {}, &token()).await
}

/// A small and a two-part file, and one in a sub-directory with an awkward name.
pub(crate) fn version_directory(seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.onnx"), random_bytes(17 * MIB, seed)).unwrap();
    fs::write(dir.path().join("empty"), b"").unwrap();
    fs::create_dir(dir.path().join("labels")).unwrap();
    fs::write(dir.path().join("labels/a b.json"), format!("{seed}")).unwrap();
    dir
}

async fn fetch_to(
    store: &dyn Store,
    version: &str,
    digest: &Sha256Digest,
    root: &Path,
) -> Result<Fetched, FetchError> {
    read_version(store, "digits", version, digest, root, &|_| {}, &token()).await
}

async fn verified(store: &dyn Store, version: &str, digest: &Sha256Digest) -> ReplicaState {
    let report = verify_replica(store, "digits", version, digest, &token()).await;
    report.unwrap().state
}

async fn live_one_life(store: &dyn Store) {
    let (dir, other) = (version_directory(1), version_directory(2));
    let pushed = push(store, dir.path(), "v1").await.unwrap();
    assert!(pushed.is_new);
    assert_eq!((pushed.files, pushed.size_bytes), (3, 17 * MIB as u64 + 1));
    let again = push(store, dir.path(), "v1").await.unwrap();
    assert_eq!(
        again,
        Pushed {
            is_new: false,
            ..pushed.clone()
        }
    );
    let digest = pushed.manifest_digest;
    assert_eq!(verified(store, "v1", &digest).await, ReplicaState::Verified);
    assert_eq!(verified(store, "v9", &digest).await, ReplicaState::Missing);

    let refused = push(store, other.path(), "v1").await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Precondition);
    let text = refused.to_string();
    let PushError::Publish(PublishError::Conflict {
        existing,
        offered,
        unfinished,
        ..
    }) = refused
    else {
        panic!("{text}");
    };
    assert_eq!((existing, unfinished), (digest, None));
    assert!(
        text.contains(&existing.to_string()) && text.contains(&offered.to_string()),
        "{text}"
    );

    let root = tempfile::tempdir().unwrap();
    let fetch = fetch_to(store, "v1", &digest, root.path());
    assert!(!fetch.await.unwrap().was_there);
    for file in ["model.onnx", "empty", "labels/a b.json"] {
        let fetched = fs::read(root.path().join("digits/v1").join(file)).unwrap();
        assert!(
            fetched == fs::read(dir.path().join(file)).unwrap(),
            "{file}"
        );
    }
    let fetch = fetch_to(store, "v1", &digest, root.path());
    assert!(fetch.await.unwrap().was_there);
    fs::write(root.path().join("digits/v1/model.onnx"), b"cut off").unwrap();
    let fetch = fetch_to(store, "v1", &digest, root.path());
    assert!(!fetch.await.unwrap().was_there);

    let keys = store.list("digits/v1/", &token()).await.unwrap();
    assert_eq!(
        keys.len(),
        4,
        "files and the manifest, nothing else: {keys:?}"
    );
    racing_pushes_have_one_winner(store).await;
    an_overwritten_file_is_a_mismatch(store).await;
    an_absent_file_is_missing_and_pushed_again(store).await;
}

async fn racing_pushes_have_one_winner(store: &dyn Store) {
    let dirs: Vec<_> = (0..5)
        .map(|seed| {
            let dir = tempfile::tempdir().unwrap();
            for file in ["a", "b", "c"] {
                fs::write(dir.path().join(file), random_bytes(500, seed)).unwrap();
            }
            dir
        })
        .collect();
    let outcomes = join_all(dirs.iter().map(|dir| push(store, dir.path(), "race"))).await;
    let winners: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let digest = winners[0].manifest_digest;
    assert_eq!(
        verified(store, "race", &digest).await,
        ReplicaState::Verified
    );
    for outcome in &outcomes {
        if let Err(error) = outcome {
            let PushError::Publish(PublishError::Conflict { existing, .. }) = error else {
                panic!("{error}");
            };
            assert_eq!(*existing, digest);
        }
    }
}

async fn an_overwritten_file_is_a_mismatch(store: &dyn Store) {
    let dir = version_directory(3);
    let pushed = push(store, dir.path(), "over").await.unwrap();
    overwrite(
        store,
        &key("digits/over/model.onnx"),
        &random_bytes(17 * MIB, 4),
    )
    .await;
    let digest = pushed.manifest_digest;
    let report = verify_replica(store, "digits", "over", &digest, &token())
        .await
        .unwrap();
    assert_eq!(report.state, ReplicaState::ChecksumMismatch);
    assert!(
        report.message.starts_with("model.onnx: expected "),
        "{}",
        report.message
    );
    assert_eq!((report.verified_bytes, report.read_files), (1, 0));
    let root = tempfile::tempdir().unwrap();
    let fetch = fetch_to(store, "over", &digest, root.path());
    assert!(matches!(fetch.await, Err(FetchError::Mismatch { .. })));
    let pushed = push(store, dir.path(), "over").await;
    let mismatch = PushError::Publish(PublishError::TargetMismatch {
        store: String::new(),
        file: key("x"),
        expected: String::new(),
        actual: String::new(),
    });
    assert_eq!(
        std::mem::discriminant(&pushed.unwrap_err()),
        std::mem::discriminant(&mismatch)
    );
    overwrite(
        store,
        &key("digits/over/mcdeploy-manifest.json"),
        &Bytes::from_static(b"{}"),
    )
    .await;
    assert_eq!(
        verified(store, "over", &digest).await,
        ReplicaState::ChecksumMismatch
    );
}

async fn an_absent_file_is_missing_and_pushed_again(store: &dyn Store) {
    let dir = version_directory(5);
    let pushed = push(store, dir.path(), "part").await.unwrap();
    let object = store
        .head(&key("digits/part/empty"), &token())
        .await
        .unwrap();
    store.delete(&object, &token()).await.unwrap();
    let digest = pushed.manifest_digest;
    assert_eq!(
        verified(store, "part", &digest).await,
        ReplicaState::Missing
    );
    assert!(push(store, dir.path(), "part").await.unwrap().is_new);
    assert_eq!(
        verified(store, "part", &digest).await,
        ReplicaState::Verified
    );
}

/// Metadata proves what was accepted; only reading proves what is there.
async fn a_byte_flipped_on_disk_is_seen_by_fetch(
    store: &dyn Store,
    file: impl Fn(&str) -> std::path::PathBuf,
) {
    let dir = version_directory(6);
    let pushed = push(store, dir.path(), "rot").await.unwrap();
    flip_byte(&file("digits/rot/model.onnx"), 12_345_678);
    let digest = pushed.manifest_digest;
    let root = tempfile::tempdir().unwrap();
    let fetch = fetch_to(store, "rot", &digest, root.path());
    let error = fetch.await.unwrap_err();
    assert_eq!(error.reason().as_str(), "ChecksumMismatch");
    let text = error.to_string();
    assert!(
        text.starts_with("model.onnx: expected 17825792 bytes sha256:"),
        "{text}"
    );
    assert!(text.contains(", actual "), "{text}");
    let left: Vec<_> = fs::read_dir(root.path().join("digits")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn directory_holds_versions() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_directory(directory.path()).unwrap();
    live_one_life(store.as_ref()).await;
    let file = |key: &str| directory.path().join(key);
    a_byte_flipped_on_disk_is_seen_by_fetch(store.as_ref(), file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_holds_versions() {
    let server = Versitygw::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    live_one_life(store.as_ref()).await;
    let file = |key: &str| server.object_file(key);
    a_byte_flipped_on_disk_is_seen_by_fetch(store.as_ref(), file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_holds_versions() {
    let server = Azurite::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    live_one_life(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_holds_versions() {
    let server = FakeGcs::start().await.unwrap();
    let store = open(&server.access()).await.unwrap();
    live_one_life(store.as_ref()).await;
    let file = |key: &str| server.object_file(key);
    a_byte_flipped_on_disk_is_seen_by_fetch(store.as_ref(), file).await;
}

#[tokio::test]
async fn a_push_that_did_not_finish_holds_the_version_for_its_own_bytes() {
    let root = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_directory(root.path()).unwrap();
    let (dir, other) = (version_directory(1), version_directory(2));
    let pushed = push(store.as_ref(), dir.path(), "v1").await.unwrap();
    // As after a crash between the claim and the manifest.
    let version = root.path().join("digits/v1");
    fs::remove_file(version.join("mcdeploy-manifest.json")).unwrap();
    let claim = format!(r#"{{"manifestDigest":"{}"}}"#, pushed.manifest_digest);
    fs::write(version.join("mcdeploy-push.json"), claim).unwrap();
    fs::write(version.join("model.onnx"), b"half").unwrap();
    let refused = push(store.as_ref(), other.path(), "v1").await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("mcdeploy-push.json"), "{text}");
    assert!(text.contains(&pushed.manifest_digest.to_string()), "{text}");
    // Nothing of ours is ever visible by half: somebody else wrote that, claim or not.
    let refused = push(store.as_ref(), dir.path(), "v1").await.unwrap_err();
    let PushError::Publish(PublishError::Foreign { objects, .. }) = refused else {
        panic!("{refused}");
    };
    assert_eq!(objects[0].key, "digits/v1/model.onnx");
    assert_eq!(fs::read(version.join("model.onnx")).unwrap(), b"half");
    fs::remove_file(version.join("model.onnx")).unwrap();
    let again = push(store.as_ref(), dir.path(), "v1").await.unwrap();
    assert_eq!(again, pushed);
    let state = verified(store.as_ref(), "v1", &pushed.manifest_digest).await;
    assert_eq!(state, ReplicaState::Verified);
    assert!(!version.join("mcdeploy-push.json").exists());
}

#[tokio::test]
async fn directories_that_make_no_version_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let store = open_directory(root.path()).unwrap();
    let refused = async |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        if name != "nothing" {
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        let error = push(store.as_ref(), dir.path(), "v1").await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Permanent);
        error.to_string()
    };
    assert!(refused("nothing").await.contains("no files"));
    assert!(refused("a\\b").await.contains("backslash"));
    assert!(refused("%2e%2e").await.contains("percent escape"));
    assert!(refused("mcdeploy-manifest.json").await.contains("reserved"));
    let gone = push(store.as_ref(), Path::new("/nonexistent/dir"), "v1").await;
    assert!(gone.unwrap_err().to_string().contains("/nonexistent/dir"));
    let dir = version_directory(1);
    let bad = push_version(store.as_ref(), dir.path(), "../x", "v1", &|_| {}, &token()).await;
    assert!(bad.unwrap_err().to_string().contains("not a model name"));
    assert_eq!(store.list("", &token()).await.unwrap(), []);
}
