//! Clients that take room or connections and give nothing: others are served all the same.

use std::{net::SocketAddr, time::Duration};

use mcdeploy_gateway::Config;
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    requests::{Lone, error_of},
    world::{Pod, config},
};

async fn lone(change: impl FnOnce(&mut Config)) -> (Pod, Lone) {
    let pod = Pod::start().await;
    let mut settings = config("aws");
    change(&mut settings);
    let lone = Lone::start(pod.link.address(), settings, |_| {}).await;
    (pod, lone)
}

async fn crowd(address: SocketAddr, number: usize, first: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..number {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that had to make room already is closed.
        let _ = stream.write_all(first.as_bytes()).await;
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn silent_connections_to_the_admin_port_keep_no_probe_out() {
    let (_pod, lone) = lone(|_| {}).await;
    let _silent = crowd(lone.admin, 200, "").await;
    let url = format!("http://{}/healthz", lone.admin);
    for _ in 0..10 {
        // The time-out of the chart's probe.
        let answer = timeout(Duration::from_secs(1), lone.client.get(&url).send()).await;
        assert_eq!(answer.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn connections_that_only_wait_make_room_for_those_that_ask() {
    for first in ["", "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\n"] {
        let (_pod, lone) = lone(|settings| settings.limits.connections = 8).await;
        let _silent = crowd(lone.address, 50, first).await;
        for _ in 0..10 {
            assert_eq!(lone.post("x").await.status(), StatusCode::OK, "{first}");
        }
    }
}

#[tokio::test]
async fn what_is_announced_and_never_sent_takes_no_room() {
    let (_pod, lone) = lone(|settings| settings.limits.buffered_bytes = 1 << 20).await;
    let head =
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    let _liars = crowd(lone.address, 64, head).await;
    let chunked =
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let _more = crowd(lone.address, 64, chunked).await;
    for _ in 0..10 {
        let answer = lone.post(vec![7_u8; 500 << 10]).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_request_that_does_not_arrive_is_a_408() {
    let (_pod, lone) = lone(|settings| {
        settings.timings.head = Duration::from_millis(200);
        settings.timings.body = Duration::from_millis(200);
    })
    .await;
    for first in [
        "GET /v2/health",
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        let mut stream = crowd(lone.address, 1, first).await.remove(0);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("\"reason\":\"RequestTimeout\""), "{answer}");
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_a_431() {
    let (_pod, lone) = lone(|_| {}).await;
    let url = lone.url("/v2/models/digits/infer");
    let ask = async |bytes: usize| {
        let request = lone.client.post(&url).header("x-much", "x".repeat(bytes));
        request.send().await.unwrap()
    };
    assert_eq!(ask(60 << 10).await.status(), StatusCode::OK);
    let (status, reason, error) = error_of(ask(70 << 10).await).await;
    assert_eq!((status, reason.as_str()), (431, "HeadersTooLarge"));
    assert!(error.contains("65536"), "{error}");
}

#[tokio::test]
async fn requests_that_came_together_are_answered_in_turn() {
    let (_pod, lone) = lone(|_| {}).await;
    let two = "GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2);
    let mut stream = crowd(lone.address, 1, &two).await.remove(0);
    let mut answers = String::new();
    while answers.matches("HTTP/1.1 200").count() < 2 {
        let mut part = [0; 1024];
        let read = timeout(Duration::from_secs(5), stream.read(&mut part)).await;
        let read = read.unwrap().unwrap();
        assert!(read > 0, "closed after {answers}");
        answers.push_str(&String::from_utf8_lossy(&part[..read]));
    }
}
