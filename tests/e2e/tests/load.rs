//! The load generator against gateways that are known to be good, bad, or silent.

#![cfg(test)]

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::post};
use mcdeploy_e2e::{
    digits::Digits,
    load::{Client, Counts, Load, Options, Serving, Target},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A stand-in for a gateway: answers the class of `class_of`, and says it is `version`.
async fn gateway(
    cluster: &'static str,
    version: &'static str,
    class_of: &'static str,
) -> SocketAddr {
    let digits = Arc::new(Digits::read().unwrap());
    let answer = move |body: String| async move {
        let row = (0..540).find(|&row| digits.body(row) == body.as_bytes());
        let class = digits.class(class_of, row.unwrap());
        let body = json!({ "outputs": [{ "name": "label", "data": [class] }] });
        (
            [
                ("mcdeploy-cluster", cluster.to_owned()),
                ("mcdeploy-revision", format!("{version}.0123456789")),
            ],
            body.to_string(),
        )
    };
    serve(Router::new().route("/v2/models/digits/infer", post(answer))).await
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Accepts nothing: connections wait in the backlog for ever.
fn silent() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn run(targets: Vec<Target>, serving: Serving, timeout: Duration) -> (Counts, Value) {
    let digits = Arc::new(Digits::read().unwrap());
    let options = Options {
        model: "digits".into(),
        rate: 50,
        timeout,
    };
    let load = Load::start(targets, digits, options, serving);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let records = load.stop().await;
    (
        Counts::of(&records),
        serde_json::to_value(&records).unwrap(),
    )
}

fn single(name: &str, address: SocketAddr) -> Target {
    Target {
        name: name.into(),
        gateways: vec![(name.into(), address)],
        client: Client::Single,
    }
}

fn serving() -> Serving {
    let serving = Serving::default();
    serving.set("aws", &["v3"]);
    serving.set("gcp", &["v2"]);
    serving
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn good_gateways_fail_nothing_and_requests_leave_on_time() {
    let aws = single("aws", gateway("aws", "v3", "v3").await);
    let gcp = single("gcp", gateway("aws", "v3", "v3").await);
    let (counts, records) = run(vec![aws, gcp], serving(), SECOND).await;
    assert_eq!((counts.failed, counts.wrong), (0, 0), "{counts:?}");
    assert!((190..=210).contains(&counts.sent), "{counts:?}");
    assert!((95..=105).contains(&counts.crossed), "{counts:?}");
    let kept = records.as_array().unwrap().iter();
    let kept = kept.filter(|record| record["keptAlive"] == true).count();
    assert!((90..=110).contains(&kept), "{kept}");
}

#[tokio::test]
async fn the_class_of_another_version_and_a_version_out_of_turn_are_wrong() {
    let mislabelled = single("aws", gateway("aws", "v3", "v2").await);
    let (counts, records) = run(vec![mislabelled], serving(), SECOND).await;
    assert!(counts.wrong * 2 >= counts.sent - 4, "{counts:?}");
    assert!(counts.wrong < counts.sent, "{counts:?}");
    for kept_alive in [false, true] {
        let mut wrong = records.as_array().unwrap().iter();
        let seen = wrong.any(|r| r["verdict"] != "right" && r["keptAlive"] == kept_alive);
        assert!(seen, "no wrong answer with keptAlive {kept_alive}");
    }
    let out_of_turn = single("aws", gateway("aws", "v2", "v2").await);
    let (counts, _) = run(vec![out_of_turn], serving(), SECOND).await;
    assert_eq!(counts.wrong, counts.sent);
}

#[tokio::test]
async fn silence_and_errors_are_failures_and_do_not_slow_the_load() {
    let (_listener, address) = silent();
    let unwell = Router::new().route(
        "/v2/models/digits/infer",
        post(|| async { StatusCode::SERVICE_UNAVAILABLE.into_response() }),
    );
    let targets = vec![single("aws", address), single("gcp", serve(unwell).await)];
    let (counts, _) = run(targets, serving(), SECOND).await;
    assert_eq!(counts.failed, counts.sent);
    assert!((190..=210).contains(&counts.sent), "{counts:?}");
    assert!(counts.reasons.contains_key("aws: no answer in time"));
    assert!(counts.reasons.contains_key("gcp: 503"));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a bound on the whole run")]
async fn a_client_with_all_addresses_gets_answers_while_one_is_silent() {
    let (_listener, address) = silent();
    let target = Target {
        name: "dns".into(),
        gateways: vec![
            ("aws".into(), address),
            ("gcp".into(), gateway("gcp", "v2", "v2").await),
        ],
        client: Client::Failover(SECOND),
    };
    let start = Instant::now();
    let (counts, _) = run(vec![target], serving(), 5 * SECOND).await;
    assert_eq!((counts.failed, counts.wrong), (0, 0), "{counts:?}");
    assert!(start.elapsed() < 5 * SECOND);
}
