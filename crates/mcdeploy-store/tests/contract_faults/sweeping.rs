//! S2 and S8: what was left behind goes after a safe age, by the store's own clock.

use std::{sync::Arc, time::Duration};

use mcdeploy_api::ReplicaState;
use mcdeploy_store::{Checksums, Resume, Store, open_directory, sweep};

use crate::world::{Cloud, MIB, key, one_file, random_bytes, state, token};

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
        leave_an_upload_behind(store, "digits/v2/model.onnx").await;
        let claim = key("digits/v2/mcdeploy-push.json");
        crate::writers::create(store, &claim, &random_bytes(10, 1))
            .await
            .unwrap();

        let young = sweep(store, Duration::from_hours(1), false, &cancel)
            .await
            .unwrap();
        assert_eq!(young, mcdeploy_store::Swept::default(), "{name}");
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        let would = sweep(store, Duration::ZERO, true, &cancel).await.unwrap();
        let swept = sweep(store, Duration::ZERO, false, &cancel).await.unwrap();
        assert_eq!(would, swept, "{name}");
        assert_eq!(swept.claims, ["digits/v2/mcdeploy-push.json"], "{name}");
        match name {
            "gcp" => assert_eq!(
                (swept.part_objects.len(), swept.bytes),
                (1, 16 * MIB as u64)
            ),
            // Azure frees its blocks by itself.
            "azure" => assert!(swept.uploads.is_empty()),
            _ => assert!(!swept.uploads.is_empty(), "{name}"),
        }
        let left = store.list("", &cancel).await.unwrap();
        let left: Vec<_> = left.into_iter().map(|object| object.key).collect();
        let whole = ["digits/v1/mcdeploy-manifest.json", "digits/v1/model.onnx"];
        assert_eq!(left, whole, "{name}");
        assert_eq!(store.leftovers(&cancel).await.unwrap(), [], "{name}");
        assert_eq!(state(store, "v1", &digest).await, ReplicaState::Verified);
    }
}
