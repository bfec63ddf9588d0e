//! Answers that come part by part: when they arrive, how they break, and who may leave.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mcdeploy_gateway::{Config, Source, config::AccessLog};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    requests::Lone,
    world::{Pod, config, gateway, input, revision, snapshot},
};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const ONE: &str = "d\r\ndata: first\n\n\r\n";
const TWO: &str = "e\r\ndata: second\n\n\r\n";
const END: &str = "0\r\n\r\n";
const SOON: Duration = Duration::from_secs(10);

/// A model server whose words a test says one by one.
struct Puppet {
    address: SocketAddr,
    /// Connections that came, each with what was read of its first request.
    connections: mpsc::UnboundedReceiver<(TcpStream, String)>,
}

impl Puppet {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    let read = stream.read(&mut buffer).await.unwrap();
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let _ = sender.send((stream, text));
                });
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// The next request.
    async fn asked(&mut self) -> (TcpStream, String) {
        let asked = timeout(SOON, self.connections.recv()).await;
        asked.expect("no request came").unwrap()
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn post(lone: &Arc<Lone>) -> tokio::task::JoinHandle<Response> {
    let lone = lone.clone();
    tokio::spawn(async move { lone.post("x").await })
}

async fn next(response: &mut Response) -> Result<Option<String>, reqwest::Error> {
    let part = timeout(SOON, response.chunk()).await.expect("nothing came");
    Ok(part?.map(|part| String::from_utf8_lossy(&part).into_owned()))
}

/// A gateway in front of `puppet`, and a request whose answer has begun.
async fn begun(puppet: &mut Puppet, config: Config) -> (Arc<Lone>, Response, TcpStream) {
    let lone = Arc::new(Lone::start(puppet.address, config, |_| {}).await);
    let answer = post(&lone);
    let (mut model, _) = puppet.asked().await;
    say(&mut model, HEAD).await;
    say(&mut model, ONE).await;
    let mut response = answer.await.unwrap();
    let first = next(&mut response).await.unwrap();
    assert_eq!(first.as_deref(), Some("data: first\n\n"));
    (lone, response, model)
}

#[tokio::test]
async fn each_event_arrives_when_it_is_sent() {
    let mut puppet = Puppet::start().await;
    let (_lone, mut response, mut model) = begun(&mut puppet, config("aws")).await;
    // The second one is not even written until the first one is with the client.
    say(&mut model, TWO).await;
    let second = next(&mut response).await.unwrap();
    assert_eq!(second.as_deref(), Some("data: second\n\n"));
    say(&mut model, END).await;
    assert_eq!(next(&mut response).await.unwrap(), None, "whole");
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_whole_answer() {
    let mut puppet = Puppet::start().await;
    let (lone, mut response, model) = begun(&mut puppet, config("aws")).await;
    drop(model);
    assert!(next(&mut response).await.is_err(), "looks whole");
    let metrics = lone.metrics().await;
    let counted = "broken_answers_total{model=\"digits\",cluster=\"aws\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_stream_that_pauses_for_too_long_is_no_whole_answer() {
    let mut puppet = Puppet::start().await;
    let mut config = config("aws");
    config.timings.stream_idle = Duration::from_millis(200);
    let (_lone, mut response, _model) = begun(&mut puppet, config).await;
    assert!(next(&mut response).await.is_err(), "looks whole");
}

/// Reads what a client of HTTP/1.0 gets, whose end of the answer is that of the connection.
async fn of_http_10(lone: &Lone, puppet: &mut Puppet, end: Option<&str>) -> io::Result<String> {
    let mut client = TcpStream::connect(lone.address).await?;
    let request = "POST /v2/models/digits/infer HTTP/1.0\r\ncontent-length: 1\r\n\r\nx";
    client.write_all(request.as_bytes()).await?;
    let (mut model, _) = puppet.asked().await;
    say(&mut model, HEAD).await;
    say(&mut model, ONE).await;
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("first") {
        let read = timeout(SOON, client.read(&mut buffer)).await??;
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    if let Some(end) = end {
        say(&mut model, end).await;
    }
    drop(model);
    timeout(SOON, client.read_to_string(&mut text)).await??;
    Ok(text)
}

#[tokio::test]
async fn a_client_of_http_1_0_can_tell_a_broken_stream_too() {
    let mut puppet = Puppet::start().await;
    let lone = Lone::start(puppet.address, config("aws"), |_| {}).await;
    let whole = of_http_10(&lone, &mut puppet, Some(END)).await.unwrap();
    assert!(whole.ends_with("data: first\n\n"), "{whole}");
    let broken = of_http_10(&lone, &mut puppet, None).await.unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn before_the_first_byte_another_server_may_answer() {
    let mut puppet = Puppet::start().await;
    let pod = Pod::start().await;
    let mut config = config("aws");
    config.health.enabled = false;
    let spec = snapshot("aws", 1, None, vec![revision("aaaaaaaaaa", 100)], vec![]);
    let pods = BTreeSet::from([puppet.address, pod.link.address()]);
    let inputs = watch::Sender::new(Some(input(spec, &pods)));
    let gateway = gateway(config, None).await;
    let url = format!("http://{}/v2", gateway.address().unwrap());
    let source = Source::Channel(inputs.subscribe());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(gateway.run(source, cancel.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = format!("{url}/health/ready");
    while client.get(&ready).send().await.unwrap().status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut heads = 0;
    // Which of two pods is asked first is by chance: 20 times the same is one in a million.
    for _ in 0..20 {
        let infer = format!("{url}/models/digits/infer");
        let asked = client.post(infer).body("x").send();
        let mut asked = std::pin::pin!(asked);
        let response = loop {
            tokio::select! {
                response = &mut asked => break response.unwrap(),
                connection = puppet.connections.recv() => {
                    let (mut model, _) = connection.unwrap();
                    say(&mut model, HEAD).await;
                    heads += 1;
                }
            }
        };
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.text().await.unwrap().contains("digits"));
    }
    assert!(heads > 0, "the one that breaks was never asked");
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn the_head_of_a_model_that_thinks_for_long_goes_on_alone() {
    let mut puppet = Puppet::start().await;
    let mut config = config("aws");
    config.timings.request = Duration::from_millis(300);
    let lone = Arc::new(Lone::start(puppet.address, config, |_| {}).await);
    let answer = post(&lone);
    let (mut model, _) = puppet.asked().await;
    say(&mut model, HEAD).await;
    // Not before the time of the request is over.
    let mut response = answer.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    say(&mut model, ONE).await;
    let first = next(&mut response).await.unwrap();
    assert_eq!(first.as_deref(), Some("data: first\n\n"));
    say(&mut model, END).await;
    assert_eq!(next(&mut response).await.unwrap(), None, "whole");
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_it_at_the_model() {
    let mut puppet = Puppet::start().await;
    let (_lone, response, mut model) = begun(&mut puppet, config("aws")).await;
    drop(response);
    // The model says nothing more, and yet learns of it.
    let mut buffer = [0; 16];
    let read = timeout(SOON, model.read(&mut buffer)).await;
    let read = read.expect("the model is not told");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_gateway_that_drains_ends_its_streams() {
    let mut puppet = Puppet::start().await;
    let (lone, mut response, mut model) = begun(&mut puppet, config("aws")).await;
    lone.cancel();
    // After the delay nothing new is taken, which is when connections are closed.
    while TcpStream::connect(lone.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    say(&mut model, TWO).await;
    say(&mut model, END).await;
    let second = next(&mut response).await.unwrap();
    assert_eq!(second.as_deref(), Some("data: second\n\n"));
    assert_eq!(next(&mut response).await.unwrap(), None, "whole");
}

/// Lines of the access logs of all gateways of this process.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// A log that all threads write to: of what is set for one thread, `tracing` may miss lines
    /// while other threads log.
    fn of_this_process() -> Self {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter("access=info")
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// The line about the request with this id.
    async fn line(&self, id: &str) -> Value {
        let line = async {
            loop {
                let text = self.text();
                let mut lines = text
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok());
                if let Some(line) = lines.find(|line: &Value| line["request_id"] == id) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, line)
            .await
            .expect("no line about the request")
    }
}

#[tokio::test]
async fn each_request_has_a_line_that_ties_it_to_other_logs() {
    let log = Log::of_this_process();
    let mut puppet = Puppet::start().await;
    let mut config = config("aws");
    config.access_log = AccessLog::All;
    let lone = Arc::new(Lone::start(puppet.address, config, |_| {}).await);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let context = format!("00-{trace}-00f067aa0ba902b7-01");
    let sent = {
        let url = lone.url("/v2/models/digits/infer?key=secret");
        let request = lone.client.post(url).body("four");
        let request = request.header("traceparent", &context);
        let request = request.header("x-request-id", "order-7");
        tokio::spawn(async move { request.send().await.unwrap() })
    };
    let (mut model, request) = puppet.asked().await;
    assert!(request.contains("x-request-id: order-7\r\n"), "{request}");
    assert!(request.contains(&context), "unchanged: {request}");
    say(&mut model, HEAD).await;
    say(&mut model, ONE).await;
    say(&mut model, END).await;
    let response = sent.await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "order-7");
    assert_eq!(response.text().await.unwrap(), "data: first\n\n");
    let refused = lone.get("/v2/models/other/infer").await;
    let id = refused.headers()["x-request-id"].to_str().unwrap();
    assert_eq!(id.len(), 32, "made here: {id}");

    let told = log.line("order-7").await;
    for (field, value) in [
        ("target", "access"),
        ("path", "/v2/models/digits/infer"),
        ("trace_id", trace),
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("model", "digits"),
        ("cluster", "aws"),
        ("revision", "v2.aaaaaaaaaa"),
        ("end", "whole"),
        ("reason", ""),
    ] {
        assert_eq!(told[field], value, "{field}: {told:#}");
    }
    assert_eq!(told["status"], 200);
    assert_eq!(
        (&told["body_bytes"], &told["answer_bytes"]),
        (&4.into(), &13.into())
    );
    let told = log.line(id).await;
    assert_eq!(told["path"], "/v2/models/other/infer");
    assert_eq!(
        (&told["model"], &told["reason"]),
        (&"".into(), &"UnknownModel".into())
    );
    let text = log.text();
    assert!(!text.contains("secret"), "{text}");
}
