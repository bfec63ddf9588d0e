//! S4: several writers of one key, of one version.

use bytes::Bytes;
use futures::future::join_all;
use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_store::{
    Checksums, ObjectKey, PublishError, PushError, Resume, Store, StoreError, open_directory,
    push_version,
};

use crate::world::{Cloud, MODEL, directory, key, random_bytes, state, token};

pub(crate) async fn create(
    store: &dyn Store,
    key: &ObjectKey,
    bytes: &Bytes,
) -> Result<(), StoreError> {
    let cancel = token();
    let content = Checksums::of(bytes);
    let upload = store.begin(key, &content, Resume::Never, &cancel).await?;
    let part = usize::try_from(upload.part_bytes()).unwrap();
    for (index, at) in (0..).zip((0..bytes.len()).step_by(part)) {
        let piece = bytes.slice(at..(at + part).min(bytes.len()));
        let sums = Checksums::of(&piece);
        upload.part(index, piece, sums, &cancel).await?;
    }
    upload.complete(&cancel).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s4_one_of_100_writers_of_a_key_wins() {
    let clouds = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let mut stores: Vec<_> = clouds.iter().map(|cloud| cloud.direct.clone()).collect();
    stores.push(open_directory(root.path()).unwrap());
    for store in stores {
        let contested = key("contested/object");
        let bytes: Vec<_> = (0..100).map(|n| random_bytes(1000, n)).collect();
        let writes = bytes.iter().map(|b| create(store.as_ref(), &contested, b));
        let outcomes = join_all(writes).await;
        let object = store.head(&contested, &token()).await.unwrap();
        let there = store.read(&object, 0..1000, &token()).await.unwrap();
        let name = store.name();
        let mut winners = 0;
        for (outcome, bytes) in outcomes.into_iter().zip(&bytes) {
            match outcome {
                Ok(()) => {
                    winners += 1;
                    assert!(*bytes == there, "{name}: a winner was overwritten");
                }
                Err(error) => assert!(
                    matches!(
                        error.class(),
                        ErrorClass::Precondition | ErrorClass::Unknown
                    ),
                    "{name}: {error}"
                ),
            }
        }
        assert!(winners <= 1, "{name}: {winners} winners");
        assert!(bytes.contains(&there), "{name}: a mix of writers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s4_one_of_100_pushes_of_a_version_wins_and_the_others_get_a_typed_conflict() {
    let clouds = Cloud::all().await;
    let dirs: Vec<_> = (1..=100)
        .map(|n| directory(&[("a", n), ("b", 10)]))
        .collect();
    for cloud in &clouds {
        let store = cloud.direct.as_ref();
        let cancel = token();
        let pushes = dirs
            .iter()
            .map(|dir| push_version(store, dir.path(), MODEL, "race", &|_| {}, &cancel));
        let outcomes = join_all(pushes).await;
        let winners: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().ok()).collect();
        let name = store.name();
        assert_eq!(winners.len(), 1, "{name}: {outcomes:?}");
        let digest = winners[0].manifest_digest;
        assert_eq!(state(store, "race", &digest).await, ReplicaState::Verified);
        for error in outcomes.iter().filter_map(|o| o.as_ref().err()) {
            let PushError::Publish(PublishError::Conflict { existing, .. }) = error else {
                panic!("{name}: {error}");
            };
            assert_eq!(*existing, digest, "{name}");
        }
    }
}
