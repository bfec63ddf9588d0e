//! The real binary over HTTP: every held-out row of every version of `examples/digits`,
//! and every way to be refused. `models` is the same with models of others.

#![cfg(test)]

mod evaluated;
mod models;
mod support;

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Child, digits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn request(rows: &[Vec<u8>]) -> Value {
    let data: Vec<u8> = rows.concat();
    json!({ "id": "a", "inputs": [
        { "name": "pixels", "datatype": "FP32", "shape": [rows.len(), 64], "data": data }
    ]})
}

#[tokio::test]
async fn held_out_rows_get_the_classes_that_scikit_learn_gives() {
    let server = Child::start(&digits("models"), &[]).await;
    let rows = support::held_out();
    for version in ["v1", "v2", "v3"] {
        let expected = support::expected(version);
        let path = format!("/v2/models/digits/versions/{version}/infer");
        for (batch, classes) in rows.chunks(37).zip(expected.chunks(37)) {
            let (status, answer) = server.post(&path, &request(batch)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            assert_eq!(answer["model_version"], version);
            assert_eq!(answer["id"], "a");
            assert_eq!(answer["outputs"][0]["name"], "label");
            assert_eq!(answer["outputs"][0]["datatype"], "INT64");
            assert_eq!(answer["outputs"][0]["data"], json!(classes));
            assert_eq!(answer["outputs"][1]["shape"], json!([batch.len(), 10]));
        }
        for (row, class) in rows.iter().zip(&expected).take(20) {
            let (_, answer) = server
                .post(&path, &request(std::slice::from_ref(row)))
                .await;
            assert_eq!(answer["outputs"][0]["data"], json!([class]));
        }
    }
    let unversioned = server
        .post("/v2/models/digits/infer", &request(&rows[..1]))
        .await;
    assert_eq!(unversioned.1["model_version"], "v3");
    server.stop().await;
}

#[tokio::test]
async fn candidates_answer_as_their_files_say_also_one_of_plain_operators() {
    let server = Child::start(&digits("candidates"), &[]).await;
    let rows = support::held_out();
    for version in ["v4", "v5"] {
        let text = std::fs::read_to_string(digits(&format!("answers/{version}.csv"))).unwrap();
        let answers: Vec<Vec<f64>> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').map(|v| v.parse().unwrap()).collect())
            .collect();
        let path = format!("/v2/models/digits/versions/{version}/infer");
        for (batch, expected) in rows.chunks(37).zip(answers.chunks(37)) {
            let (status, answer) = server.post(&path, &request(batch)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let labels = answer["outputs"][0]["data"].as_array().unwrap();
            let said: Vec<f64> = labels.iter().map(|v| v.as_f64().unwrap()).collect();
            let classes: Vec<f64> = expected.iter().map(|row| row[0]).collect();
            assert_eq!(said, classes, "{version}");
            let values = answer["outputs"][1]["data"].as_array().unwrap();
            let close = values
                .iter()
                .zip(expected.iter().flat_map(|row| &row[1..]))
                .all(|(said, expected)| (said.as_f64().unwrap() - expected).abs() < 2e-5);
            assert!(close, "{version}: {answer}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn metadata_and_health_are_those_of_the_protocol() {
    let server = Child::start(&digits("models"), &[]).await;
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/v2/ready",
    ] {
        assert_eq!(server.get(path).await.0, StatusCode::OK, "{path}");
    }
    let (_, body) = server.get("/v2").await;
    assert_eq!(body["name"], "mcserve");
    let (_, body) = server.get("/v2/models/digits/versions/v3").await;
    assert_eq!(
        body,
        json!({
            "name": "digits",
            "versions": ["v1", "v2", "v3"],
            "platform": "onnx",
            "inputs": [{ "name": "pixels", "datatype": "FP32", "shape": [-1, 64] }],
            "outputs": [
                { "name": "label", "datatype": "INT64", "shape": [-1] },
                { "name": "probabilities", "datatype": "FP32", "shape": [-1, 10] },
            ],
        })
    );
    for path in [
        "/v2/models/none",
        "/v2/models/digits/versions/v9/ready",
        "/x",
    ] {
        let (status, body) = server.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(body["error"].is_string());
    }
    server
        .post(
            "/v2/models/digits/infer",
            &request(&support::held_out()[..3]),
        )
        .await;
    let text = server.text("/metrics").await;
    let counted = r#"mcserve_requests_total{model="digits",version="v3",code="Ok"} 1"#;
    assert!(text.contains(counted), "{text}");
    assert!(text.contains("mcserve_rows_total 3"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_what_was_expected() {
    let server = Child::start(&digits("models"), &["--max-body", "4096"]).await;
    let one = request(&support::held_out()[..1]);
    let with = |pointer: &str, value: Value| {
        let mut body = one.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    };
    let huge = format!("{{\"inputs\":[{}]}}", "1,".repeat(4000));
    let table = [
        (with("/inputs/0/name", json!("pixel")), 400, "UnknownInput"),
        (
            with("/inputs/0/datatype", json!("FP64")),
            400,
            "WrongDatatype",
        ),
        (with("/inputs/0/shape", json!([1, 63])), 400, "WrongShape"),
        (with("/inputs/0/shape", json!([2, 64])), 400, "WrongLength"),
        (with("/inputs/0/shape", json!([0, 64])), 400, "Empty"),
        (
            with("/inputs/0/data/3", json!(1e300)),
            400,
            "NotRepresentable",
        ),
        (
            with("/inputs/0/data/3", json!("a")),
            400,
            "NotRepresentable",
        ),
        (with("/inputs/0/data/3", json!({})), 400, "BadBody"),
        (with("/inputs", json!([])), 400, "MissingInput"),
        (one.to_string().replace("[0,", "[Nan,"), 400, "BadBody"),
        (r#"{"outputs":[]}"#.into(), 400, "BadBody"),
        (String::new(), 400, "BadBody"),
        (huge, 413, "BodyTooLarge"),
    ];
    for (body, status, code) in table {
        let shown = body.chars().take(80).collect::<String>();
        let (got, answer) = server.post_text("/v2/models/digits/infer", body).await;
        assert_eq!(
            (got.as_u16(), &answer["code"]),
            (status, &json!(code)),
            "{shown}: {answer}"
        );
    }
    let (status, answer) = server.get("/v2/models/digits/infer").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn compressed_bodies_are_decoded_within_the_limit_or_refused_by_name() {
    let server = Child::start(&digits("models"), &["--max-body", "4096"]).await;
    let path = "/v2/models/digits/infer";
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let one = request(&support::held_out()[..1]).to_string();
    let response = server.post_encoded(path, "gzip", gzip(&one)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    let expected = support::expected("v3")[0];
    assert_eq!(answer["outputs"][0]["data"], json!([expected]));
    let large = gzip(&" ".repeat(100_000));
    let response = server.post_encoded(path, "gzip", large).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let response = server.post_encoded(path, "br", one.clone().into()).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()["accept-encoding"], "gzip, deflate");
    let response = server.post_encoded(path, "gzip", one.into()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    server.stop().await;
}

/// Sends the head and half of the body, and keeps the rest.
async fn half_a_request(server: &Child) -> (TcpStream, String) {
    let body = request(&support::held_out()[..1]).to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{first}",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    (stream, rest.to_owned())
}

async fn answer(mut stream: TcpStream, rest: &str) -> String {
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut text = vec![];
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_full_queue_answers_503_and_when_to_come_back() {
    let server = Child::start(&digits("models"), &["--workers", "1", "--queue", "0"]).await;
    let (stream, _rest) = half_a_request(&server).await;
    let response = server
        .post_raw("/v2/models/digits/infer", "{}".into())
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_answered_408() {
    let server = Child::start(&digits("models"), &["--body-timeout", "300ms"]).await;
    let (mut stream, _rest) = half_a_request(&server).await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
    server.stop().await;
}

#[tokio::test]
async fn sigterm_is_not_ready_at_once_ends_what_runs_and_ends_0() {
    let mut server = Child::start(&digits("models"), &["--linger", "1s"]).await;
    let (stream, rest) = half_a_request(&server).await;
    server.terminate();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (status, _) = server.get("/v2/health/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = server.get("/v2/health/live").await;
    assert_eq!(status, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(TcpStream::connect(server.address()).await.is_err());
    let answered = answer(stream, &rest).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    assert_eq!(server.wait().await, Some(0));
}

#[tokio::test]
async fn a_model_that_does_not_load_ends_the_server_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let version = dir.path().join("digits/v1");
    std::fs::create_dir_all(&version).unwrap();
    std::fs::write(version.join("model.onnx"), "no").unwrap();
    let reason = dir.path().join("termination-log");
    let flags = ["--termination-log", reason.to_str().unwrap()];
    let (code, log) = Child::run_to_end(dir.path(), &flags).await;
    assert_eq!(code, Some(1));
    assert!(log.contains("digits/v1/model.onnx"), "{log}");
    assert!(!reason.exists(), "nobody asked");
    std::fs::write(&reason, "").unwrap();
    Child::run_to_end(dir.path(), &flags).await;
    let left = std::fs::read_to_string(&reason).unwrap();
    assert!(
        left.contains("digits/v1/model.onnx\" is no ONNX model"),
        "{left}"
    );
}
