//! Asking servers that behave as servers do: busy, slow, of another model, of another shape.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use mcdeploy_evaluate::{
    Asked, Budget, Endpoint, EvaluateError, Inference, Plan, Rows, ask, questions, read, rows,
    rows_to_ask,
};
use serde_json::{Value, json};

/// Answers as a test wants: by the number of the request, from 0, and its body.
type Behaviour = dyn Fn(usize, &Value) -> Response + Send + Sync;

struct Fake {
    behaviour: Box<Behaviour>,
    metadata: Value,
    requests: AtomicUsize,
    /// How often each first feature was asked about.
    asked: Mutex<BTreeMap<i64, usize>>,
}

fn metadata() -> Value {
    json!({
        "name": "m", "versions": ["1"], "platform": "x",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1, 2]}],
    })
}

/// As a good model answers: class 1 where the first feature is odd.
fn good(body: &Value) -> Value {
    let data = body["inputs"][0]["data"].as_array().unwrap();
    let probability = |row: &[Value]| {
        let odd = row[0].as_f64().unwrap() % 2.0;
        [1.0 - odd, odd]
    };
    let rows: Vec<f64> = data.chunks(2).flat_map(probability).collect();
    json!({
        "model_name": "m", "model_version": "1",
        "outputs": [{"name": "p", "datatype": "FP32", "shape": [rows.len() / 2, 2], "data": rows}],
    })
}

async fn infer(State(fake): State<Arc<Fake>>, Json(body): Json<Value>) -> Response {
    let number = fake.requests.fetch_add(1, Ordering::SeqCst);
    for row in body["inputs"][0]["data"].as_array().unwrap().chunks(2) {
        #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
        let first = row[0].as_f64().unwrap() as i64;
        *fake.asked.lock().unwrap().entry(first).or_default() += 1;
    }
    (fake.behaviour)(number, &body)
}

async fn serve(
    metadata: Value,
    behaviour: impl Fn(usize, &Value) -> Response + Send + Sync + 'static,
) -> (Arc<Fake>, Endpoint) {
    let fake = Arc::new(Fake {
        behaviour: Box::new(behaviour),
        metadata,
        requests: AtomicUsize::new(0),
        asked: Mutex::default(),
    });
    let said = |State(fake): State<Arc<Fake>>| async move { Json(fake.metadata.clone()) };
    let router = Router::new()
        .route("/v2/models/m", get(said))
        .route("/v2/models/m/infer", post(infer))
        .with_state(Arc::clone(&fake));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint {
        name: "aws".into(),
        url: format!("http://{}/v2/models/m", listener.local_addr().unwrap()),
    };
    tokio::spawn(async move { axum::serve(listener, router).await });
    (fake, endpoint)
}

/// `count` rows: the number of the row, a zero, and whether the number is odd.
fn labels(count: usize) -> Rows {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("y.csv");
    let lines = (0..count).map(|row| format!("{row},0,{}\n", ["even", "odd"][row % 2]));
    fs::write(&path, format!("a,b,label\n{}", lines.collect::<String>())).unwrap();
    let plan = Plan {
        labels: vec!["even".into(), "odd".into()],
        ..Plan::default()
    };
    rows(&plan, read(&path, None).unwrap(), None).unwrap()
}

fn fast() -> Inference {
    Inference {
        requests_per_second: 500.0,
        timeout_seconds: 5.0,
        ..Inference::default()
    }
}

async fn asked(
    endpoint: &Endpoint,
    inference: &Inference,
    rows: &Rows,
) -> Result<Asked, EvaluateError> {
    let ask_rows = rows_to_ask(&inference.budget, rows.truth.rows(), 0);
    let questions = questions(rows, ask_rows).unwrap();
    ask(endpoint, inference, rows, &questions, &|_| ()).await
}

#[tokio::test]
async fn only_requests_that_failed_are_sent_again() {
    let busy = |number: usize, body: &Value| {
        if number % 3 == 1 {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Json(good(body)).into_response()
    };
    let (fake, endpoint) = serve(metadata(), busy).await;
    let rows = labels(40);
    let patient = Inference {
        retries: 10,
        ..fast()
    };
    let asked = asked(&endpoint, &patient, &rows).await.unwrap();
    assert!(asked.answered().iter().all(|answered| *answered));
    assert_eq!(asked.requests, 40 + asked.repeats);
    assert!(asked.repeats > 0);
    assert_eq!(fake.requests.load(Ordering::SeqCst), asked.requests);
    // Each row was asked about until it had its answer, and not once more.
    let times = fake.asked.lock().unwrap().clone();
    assert_eq!(times.len(), 40);
    assert_eq!(times.values().sum::<usize>(), asked.requests);
    assert_eq!(asked.version, "1");
    let all: Vec<usize> = (0..40).collect();
    let mcdeploy_eval::Answers::Classes(said, Some(_)) = asked.answers(&rows, &all) else {
        panic!("classes with probabilities");
    };
    assert!(
        said.iter()
            .enumerate()
            .all(|(row, class)| row % 2 == *class)
    );
}

#[tokio::test]
async fn several_rows_go_in_one_request_where_the_template_says_so() {
    let (fake, endpoint) = serve(metadata(), |_, body| Json(good(body)).into_response()).await;
    let rows = labels(41);
    let batched = Inference { batch: 8, ..fast() };
    let asked = asked(&endpoint, &batched, &rows).await.unwrap();
    assert_eq!((asked.requests, asked.answered().len()), (6, 41));
    assert_eq!(fake.asked.lock().unwrap().len(), 41);
}

#[tokio::test]
async fn a_budget_of_rows_draws_them_and_one_of_money_ends_the_asking() {
    let (fake, endpoint) = serve(metadata(), |_, body| Json(good(body)).into_response()).await;
    let rows = labels(100);
    let budget = |budget| Inference { budget, ..fast() };
    let ten = budget(Budget {
        rows: Some(10),
        ..Budget::default()
    });
    let some = asked(&endpoint, &ten, &rows).await.unwrap();
    assert_eq!(some.answered(), [true; 10]);
    let drawn: Vec<i64> = fake.asked.lock().unwrap().keys().copied().collect();
    assert!(
        drawn.len() == 10 && drawn.iter().any(|row| *row >= 10),
        "{drawn:?}"
    );
    let cheap = budget(Budget {
        usd: Some(0.5),
        usd_per_thousand_requests: Some(20.0),
        ..Budget::default()
    });
    let paid = asked(&endpoint, &cheap, &rows).await.unwrap();
    assert_eq!(paid.requests, 25);
    assert_eq!(
        paid.answered().iter().filter(|answered| **answered).count(),
        25
    );
    let short = budget(Budget {
        seconds: Some(0.05),
        ..Budget::default()
    });
    let timed = asked(
        &endpoint,
        &Inference {
            requests_per_second: 100.0,
            ..short
        },
        &rows,
    )
    .await;
    assert!(timed.unwrap().requests < 50);
}

/// What a server says of its model, how it answers, and what is said of that.
type Case = (Value, fn(usize, &Value) -> Response, &'static str);

fn said(shape: [usize; 2], data: [f64; 2]) -> Response {
    let output = json!({"name": "p", "datatype": "FP32", "shape": shape, "data": data});
    Json(json!({"model_name": "m", "outputs": [output]})).into_response()
}

fn strange_servers() -> [Case; 10] {
    let with = |pointer: &str, value: Value| {
        let mut metadata = metadata();
        *metadata.pointer_mut(pointer).unwrap() = value;
        metadata
    };
    let fine: fn(usize, &Value) -> Response = |_, body| Json(good(body)).into_response();
    [
        (
            with("/inputs/0/shape", json!([-1, 3])),
            fine,
            "endpoint aws: expected a model that takes the 2 columns of features of ",
        ),
        (
            with("/outputs/0/shape", json!([-1, 5])),
            fine,
            "endpoint aws: expected an output with a class, or 2 probabilities, a row, found \"p\" FP32 [-1, 5] of the model \"m\"",
        ),
        (
            with("/outputs/0/name", json!("q")),
            fine,
            "endpoint aws: expected an output \"q\" in the answer to row 1, found \"p\"",
        ),
        (
            with("/name", json!("other")),
            fine,
            "endpoint aws: expected an answer of the model \"other\", found one of \"m\", to row 1",
        ),
        (
            json!({"x": 1}),
            fine,
            "endpoint aws: expected metadata of a model by protocol v2, found missing field `name`",
        ),
        (
            metadata(),
            |number, body| {
                let mut answer = good(body);
                answer["model_version"] = json!(if number < 3 { "1" } else { "2" });
                Json(answer).into_response()
            },
            "endpoint aws: expected answers of version \"1\" as before, found one of \"2\"",
        ),
        (
            metadata(),
            |_, _| said([1, 2], [0.5, 0.4]),
            "endpoint aws: expected probabilities that sum to 1 in the answer to row 1, found 0.9000",
        ),
        (
            metadata(),
            |_, _| said([2, 2], [0.5, 0.5]),
            "endpoint aws: expected 1 rows in the output \"p\" of the answer to row 1, found the shape [2, 2] and 2 values",
        ),
        (
            metadata(),
            |_, _| "<html>".into_response(),
            "endpoint aws: answered what is no JSON (expected value at line 1 column 1) to row 1",
        ),
        (
            metadata(),
            |_, _| {
                (
                    StatusCode::BAD_REQUEST,
                    Json(json!({"error": "no such input"})),
                )
                    .into_response()
            },
            "endpoint aws: answered 400 (no such input) to row 1",
        ),
    ]
}

#[tokio::test]
async fn another_model_or_shape_is_told_in_one_sentence() {
    for (metadata, behaviour, expected) in strange_servers() {
        let (_fake, endpoint) = serve(metadata, behaviour).await;
        // One at a time, so that the row is the same in every run.
        let slow = Inference {
            requests_per_second: 50.0,
            ..fast()
        };
        let error = asked(&endpoint, &slow, &labels(8)).await.unwrap_err();
        assert!(matches!(error, EvaluateError::Endpoint { .. }), "{error}");
        let told = error.to_string();
        assert!(told.starts_with(expected), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_no_verdict() {
    let (fake, endpoint) = serve(metadata(), |_, _| {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    })
    .await;
    let two = Inference {
        retries: 2,
        ..fast()
    };
    let error = asked(&endpoint, &two, &labels(1)).await.unwrap_err();
    assert!(matches!(error, EvaluateError::Unanswered { .. }));
    assert_eq!(
        error.to_string(),
        "endpoint aws: row 1 had no answer after 2 repetitions: answered 503"
    );
    assert_eq!(fake.requests.load(Ordering::SeqCst), 3);
    let nobody = Endpoint {
        name: "gcp".into(),
        url: "http://127.0.0.1:1/v2/models/m".into(),
    };
    let error = asked(&nobody, &two, &labels(1)).await.unwrap_err();
    assert!(matches!(error, EvaluateError::Unanswered { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn the_rate_is_kept_however_long_answers_take() {
    let (_fake, endpoint) = serve(metadata(), |_, body| Json(good(body)).into_response()).await;
    let paced = Inference {
        requests_per_second: 100.0,
        ..fast()
    };
    let asked = asked(&endpoint, &paced, &labels(101)).await.unwrap();
    // Never faster; how late the last one may be is the machine's, and a bench's to tell.
    let rate = asked.rate().unwrap();
    assert!(rate <= 105.0, "{rate}");
    assert!(
        asked.sending >= Duration::from_millis(950),
        "{:?}",
        asked.sending
    );
}
