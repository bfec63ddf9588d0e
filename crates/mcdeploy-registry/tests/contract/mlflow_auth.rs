//! Who gets credentials of MLflow: a stand-in, because the real server's own accounts are
//! an application of their own. It answers the three calls that are used.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use mcdeploy_registry::{SourceAddress, SourceSettings, download, open_source};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Seen {
    /// Host of the artifacts; empty is the server itself.
    artifacts_at: String,
    /// Whether credentials are asked for.
    is_closed: bool,
    /// Whether any came.
    got_credentials: AtomicBool,
}

async fn start(seen: Seen) -> (String, Arc<Seen>) {
    let seen = Arc::new(seen);
    let router = Router::new()
        .route(
            "/api/2.0/mlflow/model-versions/get-download-uri",
            get(version),
        )
        .route("/api/2.0/mlflow-artifacts/artifacts", get(list))
        .route("/api/2.0/mlflow-artifacts/artifacts/{*path}", get(file))
        .with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, seen)
}

/// `me:secret` in base64.
const BASIC: &str = "Basic bWU6c2VjcmV0";

fn guarded(seen: &Seen, headers: &HeaderMap, answer: impl IntoResponse) -> Response {
    let given = headers.get(header::AUTHORIZATION);
    seen.got_credentials
        .fetch_or(given.is_some(), Ordering::Relaxed);
    if seen.is_closed && given.is_none_or(|given| given != BASIC) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    answer.into_response()
}

async fn version(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> Response {
    let uri = format!("mlflow-artifacts://{}/run/m", seen.artifacts_at);
    guarded(&seen, &headers, Json(json!({ "artifact_uri": uri })))
}

async fn list(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> Response {
    let files = json!({ "files": [{ "path": "m.onnx", "is_dir": false }] });
    guarded(&seen, &headers, Json(files))
}

async fn file(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> Response {
    guarded(&seen, &headers, "weights")
}

fn settings(address: &str) -> SourceSettings {
    SourceSettings {
        mlflow_tracking_uri: Some(format!("http://{address}/")),
        mlflow_username: Some("me".to_owned()),
        mlflow_password: Some("secret".to_owned()),
        mlflow_token: Some("less".to_owned()),
        ..SourceSettings::default()
    }
}

#[tokio::test]
async fn user_and_password_open_the_tracking_server_and_go_to_no_other() {
    let (open, artifacts) = start(Seen::default()).await;
    for artifacts_at in [String::new(), open] {
        let is_elsewhere = !artifacts_at.is_empty();
        let (address, tracking) = start(Seen {
            artifacts_at,
            is_closed: true,
            ..Seen::default()
        })
        .await;
        let from: SourceAddress = "models:/digits/1".parse().unwrap();
        let cancel = CancellationToken::new();
        let source = open_source(&from, &settings(&address), &cancel)
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let got = download(source.as_ref(), dir.path(), &|_| {}, &cancel).await;
        assert_eq!(got.unwrap().size_bytes, 7, "elsewhere: {is_elsewhere}");
        assert!(tracking.got_credentials.load(Ordering::Relaxed));
        assert!(!artifacts.got_credentials.load(Ordering::Relaxed));
        let refused = SourceSettings {
            mlflow_password: Some("wrong".to_owned()),
            ..settings(&address)
        };
        let error = open_source(&from, &refused, &cancel).await.unwrap_err();
        let text = format!("{error} {error:?} {refused:?}");
        assert!(text.contains("access denied"), "{text}");
        assert!(!text.contains("wrong"), "{text}");
    }
}
