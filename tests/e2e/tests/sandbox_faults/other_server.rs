//! A model server that is not ours, in the place of `mcserve`.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use mcdeploy_e2e::digits::MODEL;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    fixture::Fixture,
    requests::{ask, request},
};

async fn run(command: &mut Command) {
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Builds the program into an image and pushes it, as its users would have done.
async fn push_image(tag: &str, registries: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox_faults/other_server");
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-o"])
        .arg(dir.path().join("server"));
    let go = go.arg(here.join("main.go")).current_dir(dir.path());
    run(go.env("CGO_ENABLED", "0")).await;
    let file = dir.path().join("Containerfile");
    let text = "FROM scratch\nCOPY server /server\nUSER 65532:65532\nENTRYPOINT [\"/server\"]\n";
    std::fs::write(&file, text).unwrap();
    let buildah = || {
        let mut buildah = Command::new("buildah");
        buildah.args(["--storage-driver", "vfs", "--root"]);
        buildah.arg(dir.path().join("root")).arg("--runroot");
        buildah.arg(dir.path().join("run"));
        buildah
    };
    let mut build = buildah();
    build.args([
        "bud",
        "--isolation",
        "chroot",
        "--tag",
        "other-server",
        "--file",
    ]);
    run(build.arg(&file).arg(dir.path())).await;
    for registry in registries {
        let target = format!("docker://{registry}/other-server:{tag}");
        let words = ["push", "--tls-verify=false", "other-server", &target];
        run(buildah().args(words)).await;
    }
}

#[tokio::test]
async fn another_server_that_speaks_v2_is_rolled_out_like_ours() {
    let fixture = Fixture::new().await;
    // The hub's registry only tells the digest; azure has a mirror of its own.
    push_image("v1", &["10.203.0.10:5000", "10.203.0.11:5000"]).await;
    let image = "registry.mcdeploy.test:5000/other-server:v1";
    let words = [
        "rollout", "--model", "v3", "--clouds", "azure", "--image", image,
    ];
    fixture.ok(&words).await;
    fixture.wait_serving("azure", "v3").await;
    let address = fixture.sandbox.gateway("azure").await.unwrap().to_string();
    let pixels =
        json!({ "name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": vec![0; 64] });
    let body = Bytes::from(json!({ "inputs": [pixels] }).to_string());
    let path = format!("/v2/models/{MODEL}/infer");
    let infer = request(Method::POST, &address, &path, "application/json", body);
    let (status, answer) = ask(&address, infer).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    let file = fixture.sandbox.project().join("models/v3/model.onnx");
    let length = std::fs::metadata(file).unwrap().len();
    assert_eq!(answer["outputs"][0]["data"], json!([length]), "{answer}");
}
