//! S2 and S8: what was left behind goes after a safe age, by the store's own clock.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use mcdeploy_api::ReplicaState;
use mcdeploy_store::{
    Checksums, Leftover, ListedObject, ObjectInfo, ObjectKey, Resume, Store, StoreError,
    StoredChecksums, Swept, Upload, VersionName, manifest_of, open_directory, sweep,
};
use tokio_util::sync::CancellationToken;

use crate::world::{
    Cloud, MIB, MODEL, directory, key, one_file, options, random_bytes, replicate, state, token,
};

async fn leave_an_upload_behind(store: &dyn Store, name: &str) {
    let bytes = random_bytes(40 * MIB, 1);
    let content = Checksums::of(&bytes);
    let begun = store
        .begin(&key(name), &content, Resume::Never, &token())
        .await;
    let upload = begun.unwrap();
    let part = bytes.slice(..usize::try_from(upload.part_bytes()).unwrap());
    let sums = Checksums::of(&part);
    upload.part(0, part, sums, &token()).await.unwrap();
}

/// Claims the version of the model for one file of the length that was left behind, as
/// versions of mcdeploy without holders did.
async fn claim(store: &dyn Store, version: &str) {
    let dir = directory(&[("model.onnx", 40 * MIB)]);
    let name = VersionName::new(MODEL, version).unwrap();
    let manifest = manifest_of(dir.path(), &name, &|_| {}, &token()).await;
    let manifest = manifest.unwrap();
    let digest = manifest.digest();
    let claim = serde_json::json!({ "manifestDigest": digest, "manifest": manifest });
    let object = key(&format!("{MODEL}/{version}/mcdeploy-push.json"));
    let bytes = Bytes::from(claim.to_string());
    crate::writers::create(store, &object, &bytes)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s2_what_uploads_left_behind_goes_after_a_safe_age_and_not_before() {
    let clouds = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let mut stores: Vec<Arc<dyn Store>> = clouds.iter().map(|cloud| cloud.direct.clone()).collect();
    stores.push(open_directory(root.path()).unwrap());
    for store in &stores {
        let (store, cancel) = (store.as_ref(), token());
        let name = store.name();
        let digest = one_file(store, "v1", 17 * MIB).await;
        claim(store, "v2").await;
        leave_an_upload_behind(store, "digits/v2/model.onnx").await;

        let young = sweep(store, Duration::from_hours(1), false, &cancel)
            .await
            .unwrap();
        assert_eq!(young, Swept::default(), "{name}");
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        let would = sweep(store, Duration::ZERO, true, &cancel).await.unwrap();
        let swept = sweep(store, Duration::ZERO, false, &cancel).await.unwrap();
        assert_eq!(would, swept, "{name}");
        assert_eq!(swept.claims, ["digits/v2/mcdeploy-push.json"], "{name}");
        match name {
            "gcp" => assert_eq!((swept.part_objects.len(), swept.bytes), (1, 5 * MIB as u64)),
            // Azure frees its blocks by itself.
            "azure" => assert!(swept.uploads.is_empty()),
            _ => assert!(!swept.uploads.is_empty(), "{name}"),
        }
        let left = store.list("", &cancel).await.unwrap();
        let left = left.into_iter().map(|object| object.key);
        let left: Vec<_> = left
            .filter(|key| !key.starts_with(".mcdeploy/receipts/"))
            .collect();
        let whole = ["digits/v1/mcdeploy-manifest.json", "digits/v1/model.onnx"];
        assert_eq!(left, whole, "{name}");
        assert_eq!(store.leftovers(&cancel).await.unwrap(), [], "{name}");
        assert_eq!(state(store, "v1", &digest).await, ReplicaState::Verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s8_a_sweep_beside_a_transfer_spares_its_parts() {
    let clouds = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let local = open_directory(root.path()).unwrap();
    let size = 100 * MIB as u64;
    let digest = one_file(local.as_ref(), "v1", 100 * MIB).await;
    for cloud in &clouds {
        cloud.proxy.set_bandwidth(Some(50 * MIB as u64));
        let targets = [cloud.store.as_ref()];
        let options = options();
        let work = replicate(local.as_ref(), &targets, ("v1", &digest), &options);
        let sweeps = async {
            while cloud.proxy.counts().sent_bytes < size * 3 / 4 {
                let hour = Duration::from_hours(1);
                let swept = sweep(cloud.direct.as_ref(), hour, false, &token()).await;
                assert_eq!(swept.unwrap(), Swept::default());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let (done, ()) = tokio::join!(work, sweeps);
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap());
        assert_eq!(target.sent_bytes, size);
        assert_eq!(cloud.verified("v1", &digest).await, ReplicaState::Verified);
    }
}

/// A store whose clock is off by so many seconds.
#[derive(Debug)]
struct Shifted(Arc<dyn Store>, i64);

#[async_trait]
impl Store for Shifted {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn location(&self) -> &str {
        self.0.location()
    }

    async fn list(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<ListedObject>, StoreError> {
        let mut listed = self.0.list(prefix, cancel).await?;
        for object in &mut listed {
            object.modified_s = object.modified_s.map(|at| at + self.1);
        }
        Ok(listed)
    }

    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError> {
        self.0.head(key, cancel).await
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        self.0.stored_checksums(object, cancel).await
    }

    async fn read(
        &self,
        object: &ObjectInfo,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError> {
        self.0.read(object, range, cancel).await
    }

    async fn begin(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        self.0.begin(key, content, resume, cancel).await
    }

    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.0.delete(object, cancel).await
    }

    async fn leftovers(&self, cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError> {
        let mut left = self.0.leftovers(cancel).await?;
        for leftover in &mut left {
            leftover.began_s = leftover.began_s.map(|at| at + self.1);
        }
        Ok(left)
    }

    async fn discard(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.0.discard(leftover, cancel).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_t1_a_clock_that_is_off_by_ten_minutes_changes_no_sweep() {
    let [aws, _, gcp] = Cloud::all().await;
    for cloud in [&aws, &gcp] {
        claim(cloud.direct.as_ref(), "v1").await;
        leave_an_upload_behind(cloud.direct.as_ref(), "digits/v1/model.onnx").await;
        for off_s in [-600, 600] {
            let store = Shifted(cloud.direct.clone(), off_s);
            let (minute, cancel) = (Duration::from_mins(1), token());
            let swept = sweep(&store, minute, true, &cancel).await.unwrap();
            assert_eq!(swept, Swept::default(), "{off_s}");
        }
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        for off_s in [-600, 600] {
            let store = Shifted(cloud.direct.clone(), off_s);
            let swept = sweep(&store, Duration::ZERO, true, &token()).await.unwrap();
            assert_ne!(swept, Swept::default(), "{off_s}");
        }
    }
}
