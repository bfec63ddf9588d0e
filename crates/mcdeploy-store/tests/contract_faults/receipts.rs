//! A version that was proved once is proved again by a listing, and whatever was written
//! since is found.

use bytes::Bytes;
use mcdeploy_api::{ReplicaState, Sha256Digest};
use mcdeploy_store::{ReplicaReport, verify_replica, verify_replica_fully};

use crate::world::{
    Cloud, MODEL, delete, directory, options, overwrite, push, random_bytes, replicate, token,
};

const FILES: usize = 120;
/// Manifest, receipt and listing, with what finding them takes.
const FEW: u64 = 8;

async fn some_version(cloud: &Cloud) -> Sha256Digest {
    let names: Vec<_> = (0..FILES).map(|n| format!("f-{n:03}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 100)).collect();
    let dir = directory(&files);
    push(cloud.direct.as_ref(), dir.path(), "v1").await
}

/// Through the proxy, with the number of requests that it took.
async fn look(cloud: &Cloud, digest: &Sha256Digest) -> (ReplicaReport, u64) {
    cloud.proxy.reset_counts();
    let report = verify_replica(cloud.store.as_ref(), MODEL, "v1", digest, &token()).await;
    (report.unwrap(), cloud.proxy.counts().requests)
}

async fn look_fully(cloud: &Cloud, digest: &Sha256Digest) -> (ReplicaReport, u64) {
    cloud.proxy.reset_counts();
    let cancel = token();
    let report = verify_replica_fully(cloud.store.as_ref(), MODEL, "v1", digest, &cancel);
    (report.await.unwrap(), cloud.proxy.counts().requests)
}

fn receipt_key(digest: &Sha256Digest) -> String {
    format!(".mcdeploy/receipts/{MODEL}/v1/{}.json", digest.short(64))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_proves_what_was_proved_and_an_overwritten_file_is_found() {
    for cloud in Cloud::all().await {
        let name = cloud.store.name().to_owned();
        let is_noted = name != "gcp";
        let digest = some_version(&cloud).await;
        let (report, requests) = look(&cloud, &digest).await;
        assert_eq!(report.state, ReplicaState::Verified, "{name}");
        assert_eq!(
            report.receipt_files,
            if is_noted { FILES } else { 0 },
            "{name}"
        );
        assert!(requests <= FEW, "{name}: {requests}");
        let (full, requests) = look_fully(&cloud, &digest).await;
        assert_eq!(
            (full.state, full.receipt_files),
            (ReplicaState::Verified, 0),
            "{name}"
        );
        assert_eq!(requests > FILES as u64, is_noted, "{name}: {requests}");

        let other = random_bytes(100, 999);
        overwrite(cloud.direct.as_ref(), "digits/v1/f-007", &other).await;
        let (report, requests) = look(&cloud, &digest).await;
        assert_eq!(report.state, ReplicaState::ChecksumMismatch, "{name}");
        assert!(
            report.message.starts_with("f-007: expected "),
            "{}",
            report.message
        );
        assert_eq!(
            report.receipt_files,
            if is_noted { FILES - 1 } else { 0 },
            "{name}"
        );
        assert!(requests <= FEW + 2, "{name}: {requests}");
        let (full, _) = look_fully(&cloud, &digest).await;
        assert_eq!(full.message, report.message, "{name}");

        delete(cloud.direct.as_ref(), &receipt_key(&digest)).await;
        let (without, _) = look(&cloud, &digest).await;
        assert_eq!(without.message, report.message, "{name}");
        assert_eq!(without.receipt_files, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_something_else_proves_nothing_and_the_next_copy_mends_it() {
    let [aws, azure, gcp] = Cloud::all().await;
    for cloud in [&aws, &azure] {
        let name = cloud.store.name();
        let digest = some_version(cloud).await;
        some_version(&gcp).await;
        let key = receipt_key(&digest);
        let other = format!(
            r#"{{"manifestDigest":"{}","pins":{{}}}}"#,
            Sha256Digest::of(b"x")
        );
        for receipt in [Bytes::from_static(b"{"), Bytes::from(other)] {
            overwrite(cloud.direct.as_ref(), &key, &receipt).await;
            let (report, _) = look(cloud, &digest).await;
            assert_eq!(
                (report.state, report.receipt_files),
                (ReplicaState::Verified, 0),
                "{name}"
            );
        }
        let targets = [cloud.direct.as_ref()];
        let done = replicate(gcp.store.as_ref(), &targets, ("v1", &digest), &options()).await;
        assert!(!done.unwrap().targets.pop().unwrap().outcome.unwrap());
        let (report, requests) = look(cloud, &digest).await;
        assert_eq!(report.receipt_files, FILES, "{name}");
        assert!(requests <= FEW, "{name}: {requests}");
    }
}
