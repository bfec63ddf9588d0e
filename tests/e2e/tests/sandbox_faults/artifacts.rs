//! Artifacts that are not what they should be.

use std::{
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{EvictParams, ListParams},
};
use mcdeploy_api::names;
use mcdeploy_e2e::sandbox::faults::NAMESPACE;

use crate::{
    fixture::{Fixture, PATIENCE, assert_no_failure},
    requests::{ask, request},
};

async fn pods_of(fixture: &Fixture, cloud: &str, version: &str) -> Vec<Pod> {
    let client = fixture.sandbox.client(cloud).await.unwrap();
    let label = format!("{}={version}", names::LABEL_VERSION);
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let of_version = ListParams::default().labels(&label);
    pods.list(&of_version).await.unwrap().items
}

#[tokio::test]
async fn fault_s4_artifact_overwritten_in_one_store_gets_no_pods_there_and_others_finish() {
    let fixture = Fixture::new().await;
    let version = format!("s4-{}", std::process::id());
    fixture.fresh_version(&version, &["aws", "gcp"]).await;
    let path = format!(
        "/upload/storage/v1/b/models/o?uploadType=media&name=digits%2F{version}%2Fmodel.onnx"
    );
    let kind = "application/octet-stream";
    let gcs = "10.203.0.12:80";
    let overwrite = request(Method::POST, gcs, &path, kind, "other bytes".into());
    let (status, answer) = ask(gcs, overwrite).await;
    assert_eq!(status, 200, "{answer:?}");
    let words = ["rollout", "--model", &version, "--clouds", "gcp,aws"];
    let said = fixture.refused(&words, 1).await;
    assert!(said.contains("ChecksumMismatch"), "{said}");
    let row = fixture.row("gcp").await;
    assert_eq!(row.reason, "ChecksumMismatch", "{row:?}");
    assert_eq!(row.version.as_deref(), Some("v2"), "{row:?}");
    assert_eq!(pods_of(&fixture, "gcp", &version).await.len(), 0);
    fixture.wait_serving("aws", &version).await;
}

/// The one file of this name below a directory.
fn find(dir: &Path, end: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?;
    entries.filter_map(Result::ok).find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            find(&path, end)
        } else {
            path.ends_with(end).then_some(path)
        }
    })
}

#[tokio::test]
async fn fault_s3_flipped_byte_is_refused_by_fetch_and_gets_no_weight() {
    let fixture = Fixture::new().await;
    let version = format!("s3-{}", std::process::id());
    fixture.fresh_version(&version, &["aws", "gcp"]).await;
    let store = Path::new("/var/lib/mcdeploy-sandbox/aws");
    let file = find(store, &format!("digits/{version}/model.onnx")).expect("the object's file");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // In place, so that what the store keeps beside the bytes stays as it is.
    let mut open = std::fs::File::options().write(true).open(&file).unwrap();
    open.write_all_at(&bytes, 0).unwrap();
    open.flush().unwrap();
    let load = fixture.load(&["aws"]).await;
    let words = ["rollout", "--model", &version, "--clouds", "aws,gcp"];
    let said = fixture.refused(&words, 1).await;
    assert!(said.contains("ChecksumMismatch"), "{said}");
    let row = fixture.row("aws").await;
    assert_eq!(row.reason, "ChecksumMismatch", "{row:?}");
    for word in ["model.onnx", "expected", "actual"] {
        assert!(row.message.contains(word), "{row:?}");
    }
    assert_eq!(row.version.as_deref(), Some("v2"), "{row:?}");
    let weights = fixture.weights("aws").await;
    let is_new = |(found, _): &&(String, i32)| *found == version;
    assert!(
        weights
            .iter()
            .filter(is_new)
            .all(|(_, weight)| *weight == 0),
        "{weights:?}"
    );
    assert!(weights.contains(&("v2".to_owned(), 100)), "{weights:?}");
    assert_no_failure(load).await;
    fixture.wait_serving("gcp", &version).await;
}

/// Pods of a version's transfer, in the cluster that it runs in.
async fn transfer_pods(fixture: &Fixture, cloud: &str, version: &str) -> (Api<Pod>, Vec<Pod>) {
    let client = fixture.sandbox.client(cloud).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client, names::SYSTEM_NAMESPACE);
    let label = format!("{}={version}", names::LABEL_VERSION);
    let found = pods.list(&ListParams::default().labels(&label)).await;
    (pods, found.unwrap().items)
}

fn is_running(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

/// Begins a rollout to gcp of a version that only aws has, large enough that its copy takes
/// a while, and waits until the copy runs.
async fn rollout_with_a_long_copy(fixture: &Fixture, version: &str) -> (Api<Pod>, Pod) {
    let dir = fixture.sandbox.project().join("models").join(version);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("padding.bin"), vec![7; 400 << 20]).unwrap();
    fixture.fresh_version(version, &["aws"]).await;
    std::fs::remove_file(dir.join("padding.bin")).unwrap();
    let words = [
        "rollout",
        "--model",
        version,
        "--clouds",
        "gcp",
        "--no-wait",
    ];
    fixture.ok(&words).await;
    let begun = async {
        loop {
            let (pods, found) = transfer_pods(fixture, "aws", version).await;
            if let Some(pod) = found.into_iter().find(is_running) {
                return (pods, pod);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun)
        .await
        .expect("a copy begins")
}

/// Waits until the copy is in progress but not over.
async fn half_way(fixture: &Fixture, version: &str) {
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let row = fixture.row("gcp").await;
    assert_eq!(row.version.as_deref(), Some("v2"), "{version}: {row:?}");
}

#[tokio::test]
async fn fault_a6_a_transfer_that_is_evicted_starts_again_and_the_rollout_ends() {
    let fixture = Fixture::new().await;
    let version = format!("evicted-{}", std::process::id());
    let (pods, first) = rollout_with_a_long_copy(&fixture, &version).await;
    half_way(&fixture, &version).await;
    let name = first.metadata.name.clone().unwrap();
    pods.evict(&name, &EvictParams::default()).await.unwrap();
    let replaced = async {
        loop {
            let (_, found) = transfer_pods(&fixture, "aws", &version).await;
            let other = |pod: &Pod| pod.metadata.uid != first.metadata.uid;
            if found.iter().any(other) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let replaced = tokio::time::timeout(PATIENCE, replaced).await;
    replaced.expect("another pod takes over");
    fixture.wait_serving("gcp", &version).await;
}

#[tokio::test]
async fn fault_p3_a_transfer_whose_node_dies_goes_on_when_it_is_back() {
    let fixture = Fixture::new().await;
    let version = format!("lost-{}", std::process::id());
    rollout_with_a_long_copy(&fixture, &version).await;
    half_way(&fixture, &version).await;
    fixture.ok(&["sandbox", "outage", "aws", "--kill"]).await;
    let row = fixture.row("gcp").await;
    assert_eq!(
        row.version.as_deref(),
        Some("v2"),
        "the copy was over: {row:?}"
    );
    fixture.ok(&["sandbox", "heal", "aws"]).await;
    fixture.wait_serving("gcp", &version).await;
}
