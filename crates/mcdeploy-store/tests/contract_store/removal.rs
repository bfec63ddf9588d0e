//! A version goes whole, gives way to whoever is at work on it, and never looks whole when
//! it is not, wherever its removal is killed.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use mcdeploy_api::{ErrorClass, ReplicaState, Sha256Digest};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use mcdeploy_store::{
    Cause, Checksums, Leftover, ListedObject, ObjectInfo, ObjectKey, PublishError, Receipts,
    Removal, RemoveRequest, Replication, Resume, Spared, Store, StoreError, StoredChecksums,
    StoredState, TransferError, TransferOptions, Upload, list_versions, open, open_directory,
    remove_version, replicate_version, survey_versions, sweep, verify_replica,
};
use tokio_util::sync::CancellationToken;

use crate::{
    tools::{create, key, token},
    versions::push,
};

/// A store whose caller dies at a deletion, or that is slow to read.
#[derive(Debug)]
pub(crate) struct Wrapped {
    inner: Arc<dyn Store>,
    /// Deletions that happen before the caller dies.
    deletions: AtomicI64,
    /// Whether the last one happens, and only its answer is lost.
    is_answer_lost: bool,
    read: Duration,
}

impl Wrapped {
    fn dying(inner: &Arc<dyn Store>, deletions: i64, is_answer_lost: bool) -> Self {
        Self {
            inner: Arc::clone(inner),
            deletions: AtomicI64::new(deletions),
            is_answer_lost,
            read: Duration::ZERO,
        }
    }

    fn slow(inner: &Arc<dyn Store>) -> Self {
        Self::slow_by(inner, Duration::from_millis(400))
    }

    pub(crate) fn slow_by(inner: &Arc<dyn Store>, read: Duration) -> Self {
        Self {
            read,
            ..Self::dying(inner, i64::MAX, false)
        }
    }
}

#[async_trait]
impl Store for Wrapped {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn location(&self) -> &str {
        self.inner.location()
    }

    async fn list(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<ListedObject>, StoreError> {
        self.inner.list(prefix, cancel).await
    }

    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError> {
        self.inner.head(key, cancel).await
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        self.inner.stored_checksums(object, cancel).await
    }

    async fn read(
        &self,
        object: &ObjectInfo,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError> {
        tokio::time::sleep(self.read).await;
        self.inner.read(object, range, cancel).await
    }

    async fn begin(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        self.inner.begin(key, content, resume, cancel).await
    }

    fn receipts(&self) -> Receipts {
        self.inner.receipts()
    }

    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let left = self.deletions.fetch_sub(1, Ordering::SeqCst);
        if left > 0 || (left == 0 && self.is_answer_lost) {
            self.inner.delete(object, cancel).await?;
        }
        if left > 0 {
            return Ok(());
        }
        Err(StoreError {
            store: self.name().to_owned(),
            location: self.location().into(),
            operation: "delete",
            key: Some(object.key.as_str().into()),
            cause: Cause::Cancelled,
        })
    }

    async fn leftovers(&self, cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError> {
        self.inner.leftovers(cancel).await
    }

    async fn discard(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.inner.discard(leftover, cancel).await
    }
}

async fn push_small(store: &dyn Store, version: &str) -> Sha256Digest {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    for file in ["a.bin", "b b.bin", "sub/c.bin"] {
        std::fs::write(dir.path().join(file), format!("{version} {file}")).unwrap();
    }
    push(store, dir.path(), version)
        .await
        .unwrap()
        .manifest_digest
}

pub(crate) async fn remove(
    store: &dyn Store,
    version: &str,
    digest: Option<Sha256Digest>,
    abandoned_after: Duration,
) -> Result<Removal, StoreError> {
    let request = RemoveRequest {
        store,
        model: "digits",
        version,
        digest,
        abandoned_after,
        holder: "a test",
    };
    remove_version(&request, &token()).await
}

const HOUR: Duration = Duration::from_hours(1);

async fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let listed = store.list(prefix, &token()).await.unwrap();
    listed.into_iter().map(|object| object.key).collect()
}

async fn state(store: &dyn Store, version: &str, digest: &Sha256Digest) -> ReplicaState {
    let report = verify_replica(store, "digits", version, digest, &token()).await;
    report.unwrap().state
}

async fn seen(store: &dyn Store, version: &str) -> Option<StoredState> {
    let versions = list_versions(store, Some("digits"), &token())
        .await
        .unwrap();
    let mut versions = versions.into_iter();
    versions.find(|v| v.version == version).map(|v| v.state)
}

async fn it_goes_on_wherever_it_was_killed(store: &Arc<dyn Store>) {
    let neighbour = push_small(store.as_ref(), "neighbour").await;
    let mut kills = 0;
    for (is_answer_lost, most) in [(false, 100), (true, 2)] {
        for deletions in 0..most {
            let version = format!("k{deletions}-{is_answer_lost}");
            let digest = push_small(store.as_ref(), &version).await;
            let dying = Wrapped::dying(store, deletions, is_answer_lost);
            let killed = remove(&dying, &version, Some(digest), HOUR).await;
            if let Ok(done) = killed {
                let Removal::Removed { objects, .. } = done else {
                    panic!("{done:?}");
                };
                assert!(objects >= 4, "{objects}");
                assert_eq!(
                    keys(store.as_ref(), &format!("digits/{version}/")).await,
                    [""; 0]
                );
                break;
            }
            kills += 1;
            let expected = if deletions == 0 && !is_answer_lost {
                StoredState::Whole
            } else {
                // Whatever is left, it does not look whole.
                StoredState::Unfinished
            };
            let left = seen(store.as_ref(), &version)
                .await
                .unwrap_or(StoredState::Unfinished);
            assert_eq!(left, expected, "{version}");
            let surveyed = survey_versions(store.as_ref(), &token()).await.unwrap();
            let mut surveyed = surveyed.into_iter();
            if let Some(entry) = surveyed.find(|entry| entry.stored.version == version) {
                assert!(entry.is_being_removed, "{entry:?}");
            }
            let again = remove(store.as_ref(), &version, Some(digest), HOUR).await;
            assert!(
                matches!(again, Ok(Removal::Removed { .. })),
                "{version}: {again:?}"
            );
            for prefix in ["", ".mcdeploy/receipts/", ".mcdeploy/removals/"] {
                let prefix = format!("{prefix}digits/{version}/");
                assert_eq!(keys(store.as_ref(), &prefix).await, [""; 0]);
            }
        }
    }
    assert!(kills >= 6, "{kills}");
    assert_eq!(
        state(store.as_ref(), "neighbour", &neighbour).await,
        ReplicaState::Verified
    );
    // What the killed ones left of themselves ends by itself, and is not swept before.
    let left = keys(store.as_ref(), ".mcdeploy/leases/").await.len();
    assert!(left >= kills, "{left} of {kills}");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let swept = sweep(store.as_ref(), Duration::ZERO, false, &token())
        .await
        .unwrap();
    assert_eq!(swept.leases, [""; 0]);
    assert_eq!(keys(store.as_ref(), ".mcdeploy/leases/").await.len(), left);
}

/// Another application, or a person, wrote below the version's prefix too.
async fn what_others_wrote_stays_wherever_it_was_killed(store: &Arc<dyn Store>) {
    let bytes = Bytes::from_static;
    for deletions in [0, 1, 3, 100] {
        let version = format!("shared{deletions}");
        let prefix = format!("digits/{version}/");
        let digest = push_small(store.as_ref(), &version).await;
        let theirs = [
            (format!("{prefix}a.bin"), bytes(b"other bytes")),
            (format!("{prefix}sub/notes.txt"), bytes(b"of a person")),
        ];
        delete(store.as_ref(), &theirs[0].0).await;
        for (object, bytes) in &theirs {
            create(store.as_ref(), &key(object), bytes).await.unwrap();
        }
        let dying = Wrapped::dying(store, deletions, false);
        let mut done = remove(&dying, &version, Some(digest), HOUR).await;
        if deletions < 100 {
            assert!(done.is_err(), "{done:?}");
            done = remove(store.as_ref(), &version, Some(digest), HOUR).await;
        }
        let Removal::Removed { foreign, .. } = done.unwrap() else {
            panic!("{version} was spared");
        };
        let foreign: Vec<_> = foreign.into_iter().map(|object| object.key).collect();
        let expected: Vec<_> = theirs.iter().map(|(object, _)| object.clone()).collect();
        assert_eq!(foreign, expected);
        assert_eq!(keys(store.as_ref(), &prefix).await, expected);
        for prefix in [".mcdeploy/receipts/", ".mcdeploy/removals/"] {
            let prefix = format!("{prefix}digits/{version}/");
            assert_eq!(keys(store.as_ref(), &prefix).await, [""; 0]);
        }
    }
}

/// The keys of any application look like `MODEL/VERSION/FILE`.
async fn what_no_manifest_or_claim_names_is_no_version_of_ours(store: &dyn Store) {
    let object = "logs/2024/01.gz";
    create(store, &key(object), &Bytes::from_static(b"theirs"))
        .await
        .unwrap();
    let request = RemoveRequest {
        store,
        model: "logs",
        version: "2024",
        digest: None,
        abandoned_after: Duration::ZERO,
        holder: "a test",
    };
    let done = remove_version(&request, &token()).await.unwrap();
    let Removal::Removed {
        objects, foreign, ..
    } = done
    else {
        panic!("{done:?}");
    };
    assert_eq!((objects, foreign.len()), (0, 1));
    assert_eq!(keys(store, "logs/").await, [object]);
}

async fn note(store: &dyn Store, object: &str, purpose: &str, seconds: u64) {
    let text = format!(r#"{{"purpose":"{purpose}","holder":"somebody","termSeconds":{seconds}}}"#);
    create(store, &key(object), &Bytes::from(text))
        .await
        .unwrap();
}

async fn it_gives_way_to_whoever_is_at_work(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    let digest = push_small(store, "busy").await;
    let other = Sha256Digest::of("other");
    for wrong in [Some(other), None] {
        let spared = remove(store, "busy", wrong, HOUR).await.unwrap();
        assert_eq!(
            spared,
            Removal::Spared(Spared::OtherBytes { actual: digest })
        );
    }
    let copy = ".mcdeploy/leases/digits/busy/copy-00-0.json";
    note(store, copy, "copy", 3_600).await;
    let spared = remove(store, "busy", Some(digest), HOUR).await.unwrap();
    let holder = "somebody".to_owned();
    assert_eq!(spared, Removal::Spared(Spared::Copied { holder }));
    delete(store, copy).await;

    let claim = "digits/busy/mcdeploy-push.json";
    create(store, &key(claim), &Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let spared = remove(store, "busy", Some(digest), HOUR).await.unwrap();
    assert_eq!(spared, Removal::Spared(Spared::Claimed));
    assert_eq!(state(store, "busy", &digest).await, ReplicaState::Verified);

    // The copy was killed, and its lease has ended; the claim was given up.
    note(store, copy, "copy", 1).await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let removed = remove(store, "busy", Some(digest), Duration::ZERO)
        .await
        .unwrap();
    assert!(matches!(removed, Removal::Removed { .. }), "{removed:?}");
    assert_eq!(keys(store, "digits/busy/").await, [""; 0]);
    assert_eq!(keys(store, ".mcdeploy/leases/digits/busy/").await, [""; 0]);
}

async fn delete(store: &dyn Store, name: &str) {
    let object = store.head(&key(name), &token()).await.unwrap();
    store.delete(&object, &token()).await.unwrap();
}

async fn copy(
    source: &dyn Store,
    target: &dyn Store,
    version: &str,
    digest: &Sha256Digest,
) -> Result<(), TransferError> {
    let request = Replication {
        source,
        targets: &[target],
        model: "digits",
        version,
        digest,
    };
    let options = TransferOptions {
        rounds: 1,
        ..TransferOptions::default()
    };
    let done = replicate_version(&request, &options, &|_| {}, &token()).await?;
    let mut targets = done.targets.into_iter();
    targets
        .next()
        .unwrap()
        .outcome
        .map(drop)
        .map_err(Into::into)
}

fn is_being_removed(outcome: Result<(), TransferError>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    let TransferError::Publish(PublishError::BeingRemoved { holder, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(&*holder, "somebody");
}

async fn whoever_is_at_work_gives_way_to_it(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    let root = tempfile::tempdir().unwrap();
    let local = open_directory(root.path()).unwrap();
    let digest = push_small(store, "going").await;
    assert_eq!(push_small(local.as_ref(), "going").await, digest);
    note(
        store,
        ".mcdeploy/leases/digits/going/removal-00-0.json",
        "removal",
        3_600,
    )
    .await;
    // Out of the store that it is removed from, and into it.
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = open_directory(elsewhere.path()).unwrap();
    is_being_removed(copy(store, elsewhere.as_ref(), "going", &digest).await);
    assert_eq!(elsewhere.list("", &token()).await.unwrap(), []);
    delete(store, "digits/going/mcdeploy-manifest.json").await;
    is_being_removed(copy(local.as_ref(), store, "going", &digest).await);
    assert_eq!(seen(store, "going").await, Some(StoredState::Unfinished));
    // Killed, it holds nobody up for longer than its term.
    delete(store, ".mcdeploy/leases/digits/going/removal-00-0.json").await;
    note(
        store,
        ".mcdeploy/leases/digits/going/removal-00-1.json",
        "removal",
        1,
    )
    .await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    copy(local.as_ref(), store, "going", &digest).await.unwrap();
    assert_eq!(state(store, "going", &digest).await, ReplicaState::Verified);
    assert_eq!(keys(local.as_ref(), ".mcdeploy/leases/").await, [""; 0]);
}

async fn a_copy_under_way_holds_its_source(store: &Arc<dyn Store>) {
    let digest = push_small(store.as_ref(), "read").await;
    let root = tempfile::tempdir().unwrap();
    let target = open_directory(root.path()).unwrap();
    let slow = Wrapped::slow(store);
    let copying = copy(&slow, target.as_ref(), "read", &digest);
    let removing = async {
        while keys(store.as_ref(), ".mcdeploy/leases/digits/read/")
            .await
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // It has looked for removals by now.
        tokio::time::sleep(Duration::from_millis(200)).await;
        remove(store.as_ref(), "read", Some(digest), HOUR)
            .await
            .unwrap()
    };
    let (copied, spared) = tokio::join!(copying, removing);
    copied.unwrap();
    let name = target.name();
    let holder = format!("a copy to {name}");
    assert_eq!(spared, Removal::Spared(Spared::Copied { holder }));
    assert_eq!(
        state(target.as_ref(), "read", &digest).await,
        ReplicaState::Verified
    );
    let removed = remove(store.as_ref(), "read", Some(digest), HOUR)
        .await
        .unwrap();
    assert!(matches!(removed, Removal::Removed { .. }), "{removed:?}");
}

async fn all(store: Arc<dyn Store>) {
    it_gives_way_to_whoever_is_at_work(&store).await;
    whoever_is_at_work_gives_way_to_it(&store).await;
    a_copy_under_way_holds_its_source(&store).await;
    what_others_wrote_stays_wherever_it_was_killed(&store).await;
    what_no_manifest_or_claim_names_is_no_version_of_ours(store.as_ref()).await;
    sweep(store.as_ref(), Duration::ZERO, false, &token())
        .await
        .unwrap();
    it_goes_on_wherever_it_was_killed(&store).await;
}

#[tokio::test]
async fn directory_lets_versions_go_whole() {
    let root = tempfile::tempdir().unwrap();
    all(open_directory(root.path()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_lets_versions_go_whole() {
    let server = Versitygw::start().await.unwrap();
    all(open(&server.access()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_lets_versions_go_whole() {
    let server = Azurite::start().await.unwrap();
    all(open(&server.access()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_lets_versions_go_whole() {
    let server = FakeGcs::start().await.unwrap();
    all(open(&server.access()).await.unwrap()).await;
}
