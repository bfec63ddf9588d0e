//! Artifacts and images that are not what they should be.

use std::{
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use mcdeploy_api::names;
use mcdeploy_e2e::sandbox::faults::NAMESPACE;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, assert_no_failure};

/// One request over plain HTTP: status and body.
async fn ask(address: &str, request: Request<Full<Bytes>>) -> (u16, Bytes) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        answer.into_body().collect().await.unwrap().to_bytes(),
    )
}

fn request(
    method: Method,
    address: &str,
    path: &str,
    kind: &str,
    body: Bytes,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address)
        .header(header::CONTENT_TYPE, kind)
        .header(header::ACCEPT, kind)
        .body(Full::new(body))
        .unwrap()
}

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

/// Puts an image of a digest of its own under a tag into some registries: the manifest
/// of `mcserve:dev` with an annotation.
async fn partial_image(tag: &str, registries: &[&str]) {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    for registry in registries {
        let path = "/v2/mcserve/manifests/dev";
        let get = request(Method::GET, registry, path, kind, Bytes::new());
        let (status, manifest) = ask(registry, get).await;
        assert_eq!(status, 200, "{manifest:?}");
        let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["annotations"] = json!({ "test": tag });
        let path = format!("/v2/mcserve/manifests/{tag}");
        let body = serde_json::to_vec(&manifest).unwrap().into();
        let put = request(Method::PUT, registry, &path, kind, body);
        let (status, answer) = ask(registry, put).await;
        assert_eq!(status, 201, "{answer:?}");
    }
}

#[tokio::test]
async fn fault_a6_image_missing_in_one_cloud_is_said_and_others_finish() {
    let fixture = Fixture::new().await;
    let tag = format!("a6-{}", std::process::id());
    partial_image(&tag, &["10.203.0.10:5000", "10.203.0.11:5000"]).await;
    let image = format!("registry.mcdeploy.test:5000/mcserve:{tag}");
    let load = fixture.load(&["aws", "gcp", "azure"]).await;
    let words = [
        "rollout", "--model", "v3", "--clouds", "gcp,aws", "--image", &image,
    ];
    let said = fixture.refused(&words, 1).await;
    assert!(said.contains("ImagePullFailed"), "{said}");
    let row = fixture.row("gcp").await;
    assert_eq!(row.reason, "ImagePullFailed", "{row:?}");
    assert_eq!(row.version.as_deref(), Some("v2"), "{row:?}");
    fixture.wait_serving("aws", "v3").await;
    crate::fixture::assert_no_failure(load).await;
}
