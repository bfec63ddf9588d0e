//! Whether an endpoint is asked as often as was stated. The server is of this process and
//! answers late, so that answers take longer than the distance of requests.

use std::{fmt::Write as _, fs, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    routing::{get, post},
};
use mcdeploy_evaluate::{Endpoint, Inference, Plan, ask, questions, read, rows};
use serde_json::{Value, json};

async fn metadata() -> Json<Value> {
    Json(json!({
        "name": "m", "versions": ["1"], "platform": "x",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}],
        "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1, 2]}],
    }))
}

/// Requests a second that an endpoint got, from the first to the last.
pub(crate) async fn measure(wanted: f64, requests: usize, answer_ms: u64) -> anyhow::Result<Value> {
    let infer = move || async move {
        tokio::time::sleep(Duration::from_millis(answer_ms)).await;
        Json(json!({
            "model_name": "m", "model_version": "1",
            "outputs": [{"name": "p", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}],
        }))
    };
    let router = Router::new()
        .route("/v2/models/m", get(metadata))
        .route("/v2/models/m/infer", post(infer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v2/models/m", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("y.csv");
    let mut text = "x,label\n".to_owned();
    for row in 0..requests {
        writeln!(text, "{row},{}", ["no", "yes"][row % 2])?;
    }
    fs::write(&file, text)?;
    let rows = rows(&Plan::default(), read(&file, None)?, None)?;
    let questions = questions(&rows, (0..requests).collect())?;
    let inference = Inference {
        requests_per_second: wanted,
        ..Inference::default()
    };
    let name = "bench".to_owned();
    let asked = ask(
        &Endpoint { name, url },
        &inference,
        &rows,
        &questions,
        &|_| (),
    )
    .await?;
    let found = asked.rate().context("a rate")?;
    Ok(json!({"wanted": wanted, "found": found, "requests": asked.requests}))
}
