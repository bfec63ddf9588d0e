//! Models of others: a real MLflow server, a real OCI registry, and the Hugging Face Hub,
//! which cannot be had here: a server with the semantics that its documentation gives
//! (<https://huggingface.co/docs/hub/api>, read 2026-11-23) stands in for it, answers the
//! two calls that are used, and breaks off when told to.

use std::{path::Path, sync::atomic::Ordering};

use super::hub::{Hub, WEIGHTS};
use mcdeploy_api::{ErrorClass, Sha256Digest};
use mcdeploy_registry::{
    DownloadError, Downloaded, RegistryError, Source, SourceAddress, SourceSettings, download,
    open_source,
};
use mcdeploy_sandbox::testing::{TestMlflow, TestRegistry};
use serde_json::json;
use tokio_util::sync::CancellationToken;

async fn open(
    address: &str,
    settings: &SourceSettings,
) -> Result<std::sync::Arc<dyn Source>, RegistryError> {
    let address: SourceAddress = address.parse().unwrap();
    open_source(&address, settings, &CancellationToken::new()).await
}

async fn take(source: &dyn Source, to: &Path) -> Result<Downloaded, DownloadError> {
    download(source, to, &|_| {}, &CancellationToken::new()).await
}

fn settings(hub: &Hub) -> SourceSettings {
    SourceSettings {
        hf_endpoint: Some(hub.url()),
        hf_token: Some("hf_secret".to_owned()),
        ..SourceSettings::default()
    }
}

#[tokio::test]
async fn hugging_face_is_pinned_to_a_commit_and_goes_on_where_a_stream_broke_off() {
    let hub = Hub::start().await;
    let source = open("hf://org/digits@main", &settings(&hub)).await.unwrap();
    assert_eq!(
        source.pinned(),
        format!("hf://org/digits@{}", super::hub::COMMIT)
    );
    // The branch moves; the commit does not.
    hub.state.branch_moved.store(true, Ordering::Relaxed);
    hub.state.breaks.store(2, Ordering::Relaxed);

    let dir = tempfile::tempdir().unwrap();
    let got = take(source.as_ref(), dir.path()).await.unwrap();
    assert_eq!(got.files, 2);
    assert_eq!(got.read_bytes, got.size_bytes, "no byte was read twice");
    assert_eq!(hub.state.breaks.load(Ordering::Relaxed), 0);
    let weights = std::fs::read(dir.path().join("onnx/model.onnx")).unwrap();
    assert_eq!(weights, *WEIGHTS);

    let again = take(source.as_ref(), dir.path()).await.unwrap();
    assert_eq!(again.read_bytes, 0);
}

#[tokio::test]
async fn a_mirror_that_says_no_sizes_gives_whole_files() {
    let hub = Hub::start().await;
    hub.state.names_only.store(true, Ordering::Relaxed);
    let source = open("hf://org/digits", &settings(&hub)).await.unwrap();
    assert_eq!(source.files()[0].size_bytes, None);
    hub.state.breaks.store(2, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    let got = take(source.as_ref(), dir.path()).await.unwrap();
    assert_eq!(got.size_bytes, WEIGHTS.len() as u64 + 2);
    let weights = std::fs::read(dir.path().join("onnx/model.onnx")).unwrap();
    assert_eq!(weights, *WEIGHTS);
    let again = take(source.as_ref(), dir.path()).await.unwrap();
    assert_eq!((again.read_bytes, again.size_bytes), (0, got.size_bytes));
}

#[tokio::test]
async fn a_server_without_ranges_that_ends_early_is_given_up_soon() {
    let hub = Hub::start().await;
    hub.state.no_ranges.store(true, Ordering::Relaxed);
    let source = open("hf://org/digits", &settings(&hub)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = take(source.as_ref(), dir.path()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    let reads = hub.state.reads.load(Ordering::Relaxed);
    assert!(reads < 20, "{reads} requests");
}

#[tokio::test]
async fn a_source_without_files_or_with_two_of_one_name_is_said_to_be_one() {
    let hub = Hub::start().await;
    let error = open("hf://org/nothing-in-it", &settings(&hub)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no file in it"), "{error}");
    let twice = open("hf://org/digits-and-one", &settings(&hub)).await;
    let dir = tempfile::tempdir().unwrap();
    let error = take(twice.unwrap().as_ref(), dir.path()).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("two files are called \"onnx/model.onnx\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_download_that_was_killed_goes_on_in_the_next_one() {
    let hub = Hub::start().await;
    let source = open("hf://org/digits", &settings(&hub)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("onnx/model.onnx.mcdeploy-part");
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, &WEIGHTS[..40_000]).unwrap();
    let got = take(source.as_ref(), dir.path()).await.unwrap();
    assert_eq!(got.read_bytes, got.size_bytes - 40_000);
    assert!(!partial.exists());
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_never_get_the_files_name() {
    let hub = Hub::start().await;
    let source = open("hf://org/digits", &settings(&hub)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    hub.state.flip.store(true, Ordering::Relaxed);
    let error = take(source.as_ref(), dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("onnx/model.onnx"), "{error}");
    assert!(!dir.path().join("onnx/model.onnx").exists());
    hub.state.flip.store(false, Ordering::Relaxed);
    take(source.as_ref(), dir.path()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_said_without_the_token() {
    let hub = Hub::start().await;
    let error = open("hf://org/nothing", &settings(&hub)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
    let mut wrong = settings(&hub);
    wrong.hf_token = Some("hf_wrong".to_owned());
    let error = open("hf://org/digits", &wrong).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent, "{error}");
    let text = format!("{error} {error:?} {wrong:?}");
    assert!(!text.contains("hf_wrong"), "{text}");
}

#[tokio::test]
async fn names_that_lead_out_of_the_directory_are_refused_before_a_byte_is_read() {
    let hub = Hub::start().await;
    let source = open("hf://org/hostile", &settings(&hub)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = take(source.as_ref(), dir.path()).await.unwrap_err();
    assert!(matches!(error, DownloadError::Names { .. }), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Four versions of a model, and an alias: by path, elsewhere, with the server's own
/// address, and without a file.
async fn publish_to(server: &TestMlflow) {
    let http = reqwest::Client::new();
    let api = format!("{}/api/2.0", server.url());
    let artifacts = format!("{api}/mlflow-artifacts/artifacts/0/run/artifacts/model");
    for (path, body) in [
        ("MLmodel", "flavors: {}"),
        ("data/w%201.bin", "weights"),
        ("data/empty.txt", ""),
    ] {
        let put = http.put(format!("{artifacts}/{path}")).body(body);
        assert!(put.send().await.unwrap().status().is_success());
    }
    for (call, body) in [
        ("registered-models/create", json!({ "name": "digits" })),
        (
            "model-versions/create",
            json!({ "name": "digits", "source": "mlflow-artifacts:/0/run/artifacts/model" }),
        ),
        (
            "registered-models/alias",
            json!({ "name": "digits", "alias": "champion", "version": "1" }),
        ),
        (
            "model-versions/create",
            json!({ "name": "digits", "source": "s3://elsewhere/model" }),
        ),
        (
            "model-versions/create",
            json!({
                "name": "digits",
                "source": format!("mlflow-artifacts://{}/0/run/artifacts/model", server.url().trim_start_matches("http://")),
            }),
        ),
        (
            "model-versions/create",
            json!({ "name": "digits", "source": "mlflow-artifacts:/0/run/artifacts/none" }),
        ),
    ] {
        let post = http.post(format!("{api}/mlflow/{call}")).json(&body);
        let answer = post.send().await.unwrap();
        assert!(answer.status().is_success(), "{call}: {answer:?}");
    }
}

#[tokio::test]
async fn an_mlflow_version_is_found_by_number_and_by_alias() {
    let server = TestMlflow::start().await.unwrap();
    publish_to(&server).await;
    let settings = SourceSettings {
        mlflow_tracking_uri: Some(server.url().to_owned()),
        ..SourceSettings::default()
    };
    for (address, version) in [
        ("models:/digits/1", 1),
        ("models:/digits@champion", 1),
        // With the server's own address, as another tool writes it.
        ("models:/digits/3", 3),
    ] {
        let source = open(address, &settings).await.unwrap();
        assert_eq!(source.pinned(), format!("models:/digits/{version}"));
        let dir = tempfile::tempdir().unwrap();
        let got = take(source.as_ref(), dir.path()).await.unwrap();
        assert_eq!((got.files, got.size_bytes), (3, 18));
        let empty = std::fs::read(dir.path().join("data/empty.txt")).unwrap();
        assert_eq!(empty, b"");
        let weights = std::fs::read(dir.path().join("data/w 1.bin")).unwrap();
        assert_eq!(weights, b"weights");
    }
    let error = open("models:/digits/7", &settings).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
    let error = open("models:/digits/2", &settings).await.unwrap_err();
    assert!(
        error.to_string().contains("s3://elsewhere/model"),
        "{error}"
    );
    let error = open("models:/digits/4", &settings).await.unwrap_err();
    assert!(error.to_string().contains("no file in it"), "{error}");
    let mut elsewhere = settings.clone();
    elsewhere.mlflow_tracking_uri = Some("databricks".to_owned());
    let error = open("models:/digits/1", &elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("http(s) address"), "{error}");
    let error = open("models:/digits/1", &SourceSettings::default()).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("MLFLOW_TRACKING_URI"), "{error}");
}

#[tokio::test]
async fn an_oci_artifact_gives_the_files_that_its_layers_name() {
    let registry = TestRegistry::start().await.unwrap();
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

    let settings = SourceSettings::default();
    let address = format!("oci://{}/models/digits:v1", registry.authority());
    let source = open(&address, &settings).await.unwrap();
    assert!(source.pinned().contains("@sha256:"), "{}", source.pinned());
    let dir = tempfile::tempdir().unwrap();
    let got = take(source.as_ref(), dir.path()).await.unwrap();
    assert_eq!((got.files, got.size_bytes), (2, 9));
    let weights = std::fs::read(dir.path().join("model.onnx")).unwrap();
    assert_eq!(weights, b"weights");
}
