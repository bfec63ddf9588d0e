//! `push --from` an OCI artifact in a real registry, to a store that is a directory.

use std::{path::Path, process::Command};

use mcdeploy_api::Sha256Digest;
use mcdeploy_sandbox::testing::TestRegistry;
use serde_json::{Value, json};

/// An artifact of two files, as `oras push` writes it.
async fn publish(registry: &TestRegistry) {
    let http = reqwest::Client::new();
    let root = format!("http://{}/v2/models/digits", registry.authority());
    let mut layers = vec![];
    for (name, body) in [("model.onnx", "weights"), ("config/c.json", "{}")] {
        let digest = Sha256Digest::of(body);
        let begin = http.post(format!("{root}/blobs/uploads/"));
        let begin = begin.send().await.unwrap();
        let at = begin.headers()["location"].to_str().unwrap().to_owned();
        let put = http.put(format!("{at}&digest={digest}")).body(body);
        assert_eq!(put.send().await.unwrap().status(), 201);
        layers.push(json!({
            "mediaType": "application/octet-stream", "digest": digest.to_string(),
            "size": body.len(), "annotations": { "org.opencontainers.image.title": name },
        }));
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let config = layers[1].clone();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers,
    });
    let put = http.put(format!("{root}/manifests/v1"));
    let put = put.header("content-type", kind).body(manifest.to_string());
    assert_eq!(put.send().await.unwrap().status(), 201);
}

fn push(dir: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
    command.current_dir(dir).env_clear().env("HOME", dir);
    let output = command.arg("push").args(words).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn a_published_artifact_becomes_a_version_and_nothing_stays_in_the_cache() {
    let registry = TestRegistry::start().await.unwrap();
    publish(&registry).await;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let project = format!(
        "model: digits\nregistryMirrors: {{\"models.test\": \"http://{}\"}}\n",
        registry.authority()
    );
    std::fs::write(dir.join("mcdeploy.yaml"), project).unwrap();
    let store = format!("file://{}/store", dir.display());
    std::fs::create_dir(dir.join("store")).unwrap();
    let from = "oci://models.test/models/digits:v1";
    let words = ["v1", "--from", from, "--store", &store, "-o", "json"];
    let (code, stdout, stderr) = push(dir, &words);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("@sha256:"), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&report["files"], &report["sizeBytes"]),
        (&json!(2), &json!(9))
    );
    let weights = std::fs::read(dir.join("store/digits/v1/model.onnx")).unwrap();
    assert_eq!(weights, b"weights");
    let cache = dir.join(".cache/mcdeploy/sources");
    assert_eq!(std::fs::read_dir(cache).unwrap().count(), 0);

    let (code, stdout, stderr) = push(dir, &words);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["isNew"], false);

    let absent = "oci://models.test/models/digits:v9";
    let (code, _, stderr) = push(dir, &["v9", "--from", absent, "--store", &store]);
    assert_eq!(code, 5, "{stderr}");
    let (code, _, stderr) = push(dir, &["v9", "--from", "ftp://x", "--store", &store]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("hf://ORG/NAME"), "{stderr}");
}
