//! Probes against a small v2 server on loopback that can misbehave.

#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use mcdeploy_probe::{PROBE_HOP, Probe, ProbeFailure, ProbeSample, ProbeStep, ProbeTarget};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

const REVISION: &str = "0a1b2c3d4e";
const TIMEOUT: Duration = Duration::from_secs(2);

/// How the server answers.
#[derive(Clone)]
struct Server {
    ready: StatusCode,
    cluster: &'static str,
    revision: &'static str,
    metadata: Value,
    infer: fn(&Value) -> Response,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            ready: StatusCode::OK,
            cluster: "aws",
            revision: "v3.0a1b2c3d4e",
            metadata: json!({
                "name": "digits",
                "inputs": [{ "name": "x", "datatype": "FP32", "shape": [-1, 64] }],
                "outputs": [{ "name": "label", "datatype": "INT64", "shape": [-1] }],
            }),
            infer: classify,
        }
    }
}

fn classify(request: &Value) -> Response {
    let zeros = request["inputs"][0]["data"].as_array().map_or(0, Vec::len);
    if zeros != 64 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let outputs = json!([{ "name": "label", "datatype": "INT64", "shape": [1], "data": [7] }]);
    Json(json!({ "model_name": "digits", "outputs": outputs })).into_response()
}

impl Server {
    async fn start(self) -> ProbeTarget {
        let base = format!("/v2/models/digits/versions/{REVISION}");
        let marks = [
            ("mcdeploy-cluster", self.cluster),
            ("mcdeploy-revision", self.revision),
        ];
        let (ready, metadata, infer) = (self.ready, self.metadata, self.infer);
        let router = Router::new()
            .route(
                &format!("{base}/ready"),
                get(async move |headers: HeaderMap| {
                    let hop = headers.get("mcdeploy-hop").and_then(|v| v.to_str().ok());
                    match hop {
                        Some(PROBE_HOP) => (ready, marks).into_response(),
                        _ => StatusCode::IM_A_TEAPOT.into_response(),
                    }
                }),
            )
            .route(&base, get(async move || (marks, Json(metadata))))
            .route(
                &format!("{base}/infer"),
                post(async move |body: Bytes| {
                    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
                    (marks, infer(&request))
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        target(address)
    }
}

fn target(address: String) -> ProbeTarget {
    ProbeTarget {
        address,
        cluster: "aws".to_owned(),
        model: "digits".to_owned(),
        version: "v3".to_owned(),
        revision: REVISION.to_owned(),
    }
}

async fn look(target: &ProbeTarget) -> ProbeSample {
    Probe::new().unwrap().serving(target, TIMEOUT).await
}

async fn failure(server: Server) -> ProbeFailure {
    look(&server.start().await).await.result.unwrap_err()
}

#[tokio::test]
async fn a_revision_that_answers_all_steps_is_serving() {
    let sample = look(&Server::default().start().await).await;
    assert_eq!(sample.result, Ok(()));
    assert_eq!(sample.cluster.as_deref(), Some("aws"));
    assert_eq!(sample.revision.as_deref(), Some("v3.0a1b2c3d4e"));
    assert!(sample.latency > Duration::ZERO);
}

#[tokio::test]
async fn another_revision_is_not_this_one() {
    let server = Server {
        revision: "v2.ffffffffff",
        ..Server::default()
    };
    let expected = ProbeFailure::Elsewhere {
        step: ProbeStep::Ready,
        is_cluster: false,
        expected: "v3.0a1b2c3d4e".to_owned(),
        actual: "v2.ffffffffff".to_owned(),
    };
    assert_eq!(failure(server).await, expected);
}

#[tokio::test]
async fn an_answer_of_another_region_says_nothing_about_this_one() {
    let server = Server {
        cluster: "gcp",
        ..Server::default()
    };
    let failure = failure(server).await;
    assert!(
        matches!(
            failure,
            ProbeFailure::Elsewhere {
                is_cluster: true,
                ..
            }
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn a_model_that_is_not_ready_is_told_by_its_status() {
    let server = Server {
        ready: StatusCode::SERVICE_UNAVAILABLE,
        ..Server::default()
    };
    let failure = failure(server).await;
    assert!(
        matches!(failure, ProbeFailure::Status { code: 503, .. }),
        "{failure}"
    );
    assert!(failure.class().is_retryable());
}

#[tokio::test]
async fn answers_that_are_not_protocol_v2_are_malformed() {
    let bad: [fn(&Value) -> Response; 4] = [
        |_| "hello".into_response(),
        |_| Json(json!({ "error": "no" })).into_response(),
        |_| Json(json!({ "outputs": [] })).into_response(),
        |_| Json(json!({ "outputs": [{ "name": "y", "data": [] }] })).into_response(),
    ];
    for infer in bad {
        let server = Server {
            infer,
            ..Server::default()
        };
        let failure = failure(server).await;
        let is_malformed = matches!(
            failure,
            ProbeFailure::Malformed {
                step: ProbeStep::Infer,
                ..
            }
        );
        assert!(is_malformed, "{failure}");
    }
}

#[tokio::test]
async fn metadata_that_asks_for_a_huge_request_is_refused() {
    let server = Server {
        metadata: json!({
            "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1_000_000_000] }]
        }),
        ..Server::default()
    };
    let failure = failure(server).await;
    assert!(
        failure.to_string().contains("too large for a probe"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let server = Server {
        infer: |_| vec![b' '; 8 << 20].into_response(),
        ..Server::default()
    };
    let failure = failure(server).await;
    assert!(failure.to_string().contains("longer than"), "{failure}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = Server {
        infer: |_| (StatusCode::FOUND, [(LOCATION, "http://127.0.0.1:1/")]).into_response(),
        ..Server::default()
    };
    let failure = failure(server).await;
    assert!(
        matches!(failure, ProbeFailure::Status { code: 302, .. }),
        "{failure}"
    );
}

#[tokio::test]
async fn a_server_that_takes_and_never_answers_costs_the_timeout_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap().to_string());
    let began = Instant::now();
    let probe = Probe::new().unwrap();
    let sample = probe.serving(&target, Duration::from_millis(300)).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    let failure = sample.result.unwrap_err();
    assert!(
        matches!(failure, ProbeFailure::TimedOut { .. }),
        "{failure}"
    );
}

#[tokio::test]
async fn no_listener_is_told_apart_from_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for address in [address, "not an address".to_owned()] {
        let failure = look(&target(address)).await.result.unwrap_err();
        assert!(matches!(failure, ProbeFailure::Connect { .. }), "{failure}");
    }
}
