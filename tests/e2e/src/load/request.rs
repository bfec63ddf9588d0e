//! One request over HTTP/1.1.

use std::{net::SocketAddr, sync::Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use mcdeploy_api::names;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Client, Outcome, Target, lock};

type Sender = SendRequest<Full<Bytes>>;

/// Kept-alive connections that nobody uses at the moment.
#[derive(Default)]
pub(super) struct Connections {
    idle: Mutex<Vec<(SocketAddr, Sender)>>,
}

/// What is asked.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) body: Bytes,
    pub(super) kept_alive: bool,
}

/// What came of asking.
pub(super) struct Reply {
    pub(super) outcome: Outcome,
    /// Gateways that were asked, one after the other.
    pub(super) tries: usize,
    /// The last of them was asked on a connection that had carried a request before.
    pub(super) reused: bool,
}

impl Reply {
    pub(super) fn failed(what: &str) -> Self {
        Self {
            outcome: Outcome::failed(what),
            tries: 0,
            reused: false,
        }
    }
}

/// Asks as the target's client would.
pub(super) async fn ask(
    connections: &Connections,
    target: &Target,
    asked: &Asked,
    n: usize,
) -> Reply {
    let gateways = &target.gateways;
    if gateways.is_empty() {
        return Reply::failed("no address");
    }
    match target.client {
        Client::Single => once(connections, &gateways[0], asked).await,
        Client::Failover(patience) => {
            let mut last = Reply::failed("no address");
            for turn in 0..gateways.len() {
                let gateway = &gateways[(n + turn) % gateways.len()];
                let attempt = once(connections, gateway, asked);
                last = tokio::time::timeout(patience, attempt)
                    .await
                    .unwrap_or_else(|_| Reply::failed("no answer in time"));
                last.tries = turn + 1;
                if matches!(last.outcome, Outcome::Answered { .. }) {
                    break;
                }
            }
            last
        }
    }
}

async fn once(connections: &Connections, gateway: &(String, SocketAddr), asked: &Asked) -> Reply {
    let (name, address) = gateway;
    let idle = if asked.kept_alive {
        connections.take(*address)
    } else {
        None
    };
    let reused = idle.is_some();
    let sender = match idle {
        Some(sender) => Ok(sender),
        None => connect(*address).await,
    };
    let result = match sender {
        Ok(sender) => exchange(sender, *address, asked).await,
        Err(error) => Err(error),
    };
    let outcome = match result {
        Ok((sender, answer)) => {
            if asked.kept_alive {
                connections.put(*address, sender);
            }
            answer.outcome(name)
        }
        Err(error) => Outcome::failed(error),
    };
    Reply {
        outcome,
        tries: 1,
        reused,
    }
}

impl Connections {
    fn take(&self, address: SocketAddr) -> Option<Sender> {
        let mut idle = lock(&self.idle);
        idle.retain(|(_, sender)| !sender.is_closed());
        let found = idle
            .iter()
            .position(|(to, sender)| *to == address && sender.is_ready())?;
        Some(idle.swap_remove(found).1)
    }

    fn put(&self, address: SocketAddr, sender: Sender) {
        lock(&self.idle).push((address, sender));
    }
}

async fn connect(address: SocketAddr) -> Result<Sender, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect: {}", error.kind()))?;
    stream
        .set_nodelay(true)
        .map_err(|error| format!("connect: {}", error.kind()))?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("connect: {error}"))?;
    // Ends when the sender is dropped or the peer closes; the exchange tells of errors.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// What was answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

async fn exchange(
    mut sender: Sender,
    address: SocketAddr,
    asked: &Asked,
) -> Result<(Sender, Answer), String> {
    let request = Request::post(&asked.path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(asked.body.clone()))
        .map_err(|error| error.to_string())?;
    let broken = |error: hyper::Error| format!("broken: {error}");
    let response = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(broken)?.to_bytes();
    let answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    };
    Ok((sender, answer))
}

impl Answer {
    fn outcome(self, gateway: &str) -> Outcome {
        if !(200..300).contains(&self.status) {
            return Outcome::failed(self.status.to_string());
        }
        let header = |name: &str| {
            let value = self.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        Outcome::Answered {
            gateway: gateway.to_owned(),
            cluster: header(names::HEADER_CLUSTER),
            revision: header(names::HEADER_REVISION),
            class: class(&self.body),
        }
    }
}

/// The first value of the output `label`.
fn class(body: &[u8]) -> Option<i64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let outputs = body["outputs"].as_array()?;
    let label = outputs.iter().find(|output| output["name"] == "label")?;
    label["data"][0].as_i64()
}
