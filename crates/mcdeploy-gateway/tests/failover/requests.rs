//! Single requests: paths, headers, bodies, and what may be sent twice.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcdeploy_api::{
    RoutingSnapshotSpec,
    names::{HEADER_CLUSTER, HEADER_HOP, HEADER_REVISION},
};
use mcdeploy_gateway::{Config, Source};
use reqwest::{Client, Method, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    link::Mode,
    load::{Clients, infer},
    world::{Pod, World, config, gateway, input, revision, snapshot},
};

/// A gateway alone, with one upstream that a test writes by hand.
pub(crate) struct Lone {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: Client,
    cancel: CancellationToken,
    _gateway: AbortOnDropHandle<()>,
}

impl Lone {
    pub(crate) async fn start(
        pod: SocketAddr,
        mut config: Config,
        change: impl FnOnce(&mut RoutingSnapshotSpec),
    ) -> Self {
        config.health.enabled = false;
        let mut spec = snapshot("aws", 1, None, vec![revision("aaaaaaaaaa", 100)], vec![]);
        change(&mut spec);
        spec.hash = spec.content_hash();
        let inputs = watch::Sender::new(Some(input(spec, &BTreeSet::from([pod]))));
        let gateway = gateway(config, None).await;
        let (address, admin) = (gateway.address().unwrap(), gateway.admin_address().unwrap());
        let cancel = CancellationToken::new();
        let run = gateway.run(Source::Channel(inputs.subscribe()), cancel.clone());
        let lone = Self {
            address,
            admin,
            client: Clients::new().kept().clone(),
            cancel,
            _gateway: AbortOnDropHandle::new(tokio::spawn(run)),
        };
        while lone.get("/v2/health/ready").await.status() != StatusCode::OK {
            sleep(Duration::from_millis(10)).await;
        }
        lone
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        let response = self.client.get(url).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// Starts to drain.
    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Response {
        let url = self.url("/v2/models/digits/infer");
        self.client.post(url).body(body).send().await.unwrap()
    }
}

/// Counts connections, reads what comes first, writes `answer`, closes.
async fn raw(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                if stream.read(&mut buffer).await.is_ok() {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (address, seen)
}

pub(crate) async fn error_of(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let json: serde_json::Value = response.json().await.unwrap();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    (status, text("reason"), text("error"))
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let pod = Pod::start().await;
    let lone = Lone::start(pod.link.address(), config("aws"), |_| {}).await;
    for (path, status, reason, part) in [
        ("/", 404, "UnknownPath", "protocol v2"),
        ("/v2/models/nope/infer", 404, "UnknownModel", "\"nope\""),
        (
            "/v2/models/digits/versions/v9/ready",
            404,
            "UnknownVersion",
            "\"v9\"",
        ),
    ] {
        let (actual, word, error) = error_of(lone.get(path).await).await;
        assert_eq!((actual, word.as_str()), (status, reason), "{path}");
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(lone.get("/v2").await.status(), StatusCode::OK);
    assert_eq!(lone.get("/v2/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_versions_path_reaches_a_weightless_revision_under_its_version_name() {
    let pod = Pod::start().await;
    let lone = Lone::start(pod.link.address(), config("aws"), |spec| {
        spec.revisions.push(mcdeploy_api::RevisionRoute {
            version: "v3".to_owned(),
            service: "digits-aaaaaaaaaa".to_owned(),
            ..revision("bbbbbbbbbb", 0)
        });
    })
    .await;
    for (asked, served, revision) in [
        ("/versions/bbbbbbbbbb", "/versions/v3", "v3.bbbbbbbbbb"),
        ("/versions/v3", "/versions/v3", "v3.bbbbbbbbbb"),
        ("/versions/v2", "/versions/v2", "v2.aaaaaaaaaa"),
        ("", "", "v2.aaaaaaaaaa"),
    ] {
        let response = lone
            .get(&format!("/v2/models/digits{asked}/ready?a=b"))
            .await;
        assert_eq!(response.headers()[HEADER_CLUSTER], "aws");
        assert_eq!(response.headers()[HEADER_REVISION], revision);
        let path = response.text().await.unwrap();
        assert_eq!(path, format!("\"/v2/models/digits{served}/ready 0\""));
    }
}

#[tokio::test]
async fn a_request_that_crossed_is_served_here_or_not_at_all() {
    let world = World::start(None, config).await;
    let gcp = world.region("gcp");
    sleep(Duration::from_millis(200)).await;
    let client = Clients::new().kept().clone();
    let ready = async || {
        let url = format!("http://{}/v2/models/digits/ready", gcp.address);
        let request = client.get(url).header(HEADER_HOP, "aws");
        request.send().await.unwrap()
    };
    assert_eq!(ready().await.headers()[HEADER_CLUSTER], "gcp");
    gcp.pods(Mode::Refuse);
    sleep(Duration::from_secs(2)).await;
    let (status, reason, error) = error_of(ready().await).await;
    assert_eq!((status, reason.as_str()), (503, "NoUpstream"));
    assert!(error.contains("another region"), "{error}");
    let elsewhere = infer(&client, gcp.address).await.unwrap();
    assert_ne!(elsewhere, "gcp");
}

#[tokio::test]
async fn bodies_up_to_the_limit_are_passed_on_and_larger_ones_refused() {
    let pod = Pod::start().await;
    let lone = Lone::start(pod.link.address(), config("aws"), |_| {}).await;
    let limit = 8 << 20;
    let path = "/v2/models/digits/infer";
    let answer = lone.post(vec![7_u8; limit]).await;
    assert_eq!(answer.text().await.unwrap(), format!("\"{path} {limit}\""));
    let parts = (0..10).map(|_| Ok::<_, std::io::Error>(vec![7_u8; 1000]));
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(parts));
    let answer = lone.post(chunked).await;
    assert_eq!(answer.text().await.unwrap(), format!("\"{path} 10000\""));

    let (status, reason, error) = error_of(lone.post(vec![7_u8; limit + 1]).await).await;
    assert_eq!((status, reason.as_str()), (413, "BodyTooLarge"));
    assert!(error.contains("8388608"), "{error}");
}

#[tokio::test]
async fn kept_bodies_are_bounded_together() {
    let pod = Pod::start().await;
    pod.slow(Duration::from_millis(500));
    let mut settings = config("aws");
    settings.limits.buffered_bytes = 1 << 20;
    let lone = Arc::new(Lone::start(pod.link.address(), settings, |_| {}).await);
    let mut posts = JoinSet::new();
    for _ in 0..10 {
        let lone = lone.clone();
        posts.spawn(async move { lone.post(vec![7_u8; 200 << 10]).await.status().as_u16() });
    }
    let statuses = posts.join_all().await;
    let of = |status| statuses.iter().filter(|s| **s == status).count();
    assert!((1..=5).contains(&of(200)), "{statuses:?}");
    assert_eq!(of(200) + of(503), 10, "{statuses:?}");
    assert_eq!(
        lone.post(vec![7_u8; 1 << 20]).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_may_not_repeat_is_sent_once() {
    let (pod, seen) = raw("").await;
    let lone = Lone::start(pod, config("aws"), |spec| spec.repeatable = false).await;
    let (status, reason, error) = error_of(lone.post("x").await).await;
    assert_eq!((status, reason.as_str()), (502, "UpstreamFailed"));
    assert!(error.contains("connection broke"), "{error}");
    assert!(!error.contains("127.0.0.1"), "an address: {error}");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_was_not_sent_may_go_elsewhere_even_if_it_may_not_repeat() {
    let world = World::start(None, |cluster| {
        let mut config = config(cluster);
        config.health.enabled = false;
        config
    })
    .await;
    world.region("gcp").pods(Mode::Refuse);
    sleep(Duration::from_millis(200)).await;
    let client = Clients::new().kept().clone();
    for _ in 0..5 {
        assert_ne!(
            infer(&client, world.region("gcp").address).await.unwrap(),
            "gcp"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_bad_gateway() {
    let (pod, _) = raw("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    let lone = Lone::start(pod, config("aws"), |_| {}).await;
    let (status, _, error) = error_of(lone.post("x").await).await;
    assert_eq!(status, 502);
    assert!(error.contains("malformed"), "{error}");
}

#[tokio::test]
async fn answers_without_a_length_stream_through() {
    let (pod, _) = raw(concat!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n",
        "connection: x-private\r\nx-private: 1\r\nx-public: 2\r\n\r\n",
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    ))
    .await;
    let lone = Lone::start(pod, config("aws"), |_| {}).await;
    let response = lone.post("x").await;
    assert_eq!(response.headers()["x-public"], "2");
    assert!(!response.headers().contains_key("x-private"), "hop by hop");
    assert_eq!(response.text().await.unwrap(), "hello world");
    let url = lone.url("/v2/models/digits/infer");
    let head = lone.client.request(Method::HEAD, url).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_replaced() {
    let pod = Pod::start().await;
    let lone = Lone::start(pod.link.address(), config("aws"), |s| s.repeatable = true).await;
    for _ in 0..5 {
        assert_eq!(lone.post("x").await.status(), StatusCode::OK);
        pod.link.set(Mode::Refuse);
        sleep(Duration::from_millis(20)).await;
        pod.link.set(Mode::Pass);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_where_nobody_else_can_give_one() {
    let pod = Pod::start().await;
    pod.slow(Duration::from_millis(1500));
    let lone = Lone::start(pod.link.address(), config("aws"), |_| {}).await;
    let start = Instant::now();
    assert_eq!(lone.post("x").await.status(), StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn a_gateway_that_drains_ends_what_it_began() {
    let pod = Pod::start().await;
    pod.slow(Duration::from_millis(800));
    let lone = Arc::new(Lone::start(pod.link.address(), config("aws"), |_| {}).await);
    let begun = {
        let lone = lone.clone();
        tokio::spawn(async move { lone.post("x").await })
    };
    sleep(Duration::from_millis(100)).await;
    lone.cancel.cancel();
    sleep(Duration::from_millis(50)).await;
    let draining = lone.get("/v2/health/ready").await;
    assert_eq!(draining.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(draining.headers()["connection"], "close");
    let answer = begun.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(infer(&lone.client, lone.address).await.is_err(), "closed");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let pod = Pod::start().await;
    pod.slow(Duration::from_secs(20));
    let lone = Lone::start(pod.link.address(), config("aws"), |_| {}).await;
    let mut stream = TcpStream::connect(lone.address).await.unwrap();
    let request = "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx";
    stream.write_all(request.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    drop(stream);
    let start = Instant::now();
    while !lone.metrics().await.contains("client_gone_total 1") {
        assert!(start.elapsed() < Duration::from_secs(5), "not noticed");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn clients_cannot_make_new_metrics() {
    let pod = Pod::start().await;
    let lone = Lone::start(pod.link.address(), config("aws"), |_| {}).await;
    lone.get("/v2/models/x/infer").await;
    lone.get("/v2/models/digits/versions/x/infer").await;
    lone.post("x").await;
    let lines = lone.metrics().await.lines().count();
    for i in 0..100 {
        lone.get(&format!("/v2/models/x{i}/infer")).await;
        lone.get(&format!("/v2/models/digits/versions/x{i}/infer"))
            .await;
    }
    let after = lone.metrics().await;
    assert_eq!(after.lines().count(), lines, "{after}");
    assert!(
        after.contains("mcdeploy_gateway_epoch_seq{model=\"digits\"} 1"),
        "{after}"
    );
}
