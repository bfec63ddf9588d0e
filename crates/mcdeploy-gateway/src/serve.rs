//! Connections from clients: accept, read requests, write answers, drain.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use http::{HeaderMap, StatusCode, header};
use pingora::{http::RequestHeader, protocols::http::ServerSession};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::{self, Line, Routed},
    downstream::Downstream,
    pass_on::{self, Gone, Passed, Upstreams},
    path::{self, Target},
    proxy::{Request, Response, count, respond},
    reply::{Reason, Reply},
    room::{Full, Held},
    slots::{Slot, Slots, Wait},
    state::State,
};

/// Between attempts to accept while the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The first part of a head; most heads are shorter.
const FIRST_READ: usize = 4 << 10;
/// A body that is announced gets its memory in one piece when so much of it has come.
const TRUSTED_AFTER: usize = 64 << 10;

/// A connection between two requests.
struct Idle {
    stream: pingora::protocols::Stream,
    /// What came of the next request.
    begun: BytesMut,
}

/// Where clients connect to.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// `None`: without TLS.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves `listeners` until `cancel`, then drains: for a while new connections are still
/// taken (each for one request), then what is under way may end.
pub(crate) async fn serve(state: Arc<State>, listeners: Vec<Listener>, cancel: CancellationToken) {
    let tasks = TaskTracker::new();
    let closing = CancellationToken::new();
    let slots = Slots::new(state.config.limits.connections);
    let timings = state.config.timings;
    let drained = async {
        cancel.cancelled().await;
        state.start_draining();
        sleep(timings.drain_delay).await;
    };
    let accepts = listeners
        .iter()
        .map(|one| accept(&state, one, &slots, &tasks, &closing));
    tokio::select! {
        _ = join_all(accepts) => {}
        () = drained => {}
    }
    drop(listeners);
    closing.cancel();
    tasks.close();
    if timeout(timings.drain, tasks.wait()).await.is_err() {
        tracing::warn!(
            connections = tasks.len(),
            "requests were still under way at the end of the drain time"
        );
    }
}

async fn accept(
    state: &Arc<State>,
    listener: &Listener,
    slots: &Slots,
    tasks: &TaskTracker,
    closing: &CancellationToken,
) {
    loop {
        match listener.socket.accept().await {
            Ok((stream, peer)) => {
                let slot = slots.enter(peer.ip()).await;
                let (state, closing) = (state.clone(), closing.clone());
                let tls = listener.tls.clone();
                tasks.spawn(async move {
                    state.metrics.connections.inc();
                    if let Some(stream) = greet(&state, stream, peer, &slot, tls).await {
                        connection(&state, stream, &slot, &closing).await;
                    }
                    state.metrics.connections.dec();
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What comes before the first request. `None`: the client is gone, or speaks no TLS.
async fn greet(
    state: &State,
    stream: TcpStream,
    peer: SocketAddr,
    slot: &Slot,
    tls: Option<TlsAcceptor>,
) -> Option<Downstream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return Some(Downstream::plain(stream));
    };
    let wait = slot.wait();
    let greeted = tokio::select! {
        greeted = timeout(state.config.timings.head, tls.accept(stream)) => greeted.ok()?,
        () = wait.has_to_close() => return None,
    };
    match greeted {
        Ok(stream) => Some(Downstream::tls(stream)),
        Err(error) => {
            tracing::debug!(%peer, %error, "no TLS");
            None
        }
    }
}

async fn connection(state: &State, stream: Downstream, slot: &Slot, closing: &CancellationToken) {
    let mut idle = Some(Idle {
        stream: Box::new(stream),
        begun: BytesMut::new(),
    });
    while let Some(now) = idle {
        idle = one_request(state, now, slot, closing).await;
    }
}

/// Serves one request; gives back the connection when it may carry another.
async fn one_request(
    state: &State,
    mut idle: Idle,
    slot: &Slot,
    closing: &CancellationToken,
) -> Option<Idle> {
    let timings = &state.config.timings;
    let wait = slot.wait();
    if idle.begun.is_empty() {
        let first = tokio::select! {
            first = timeout(timings.client_keepalive, first_bytes(&mut idle.stream)) => first.ok()?,
            () = wait.has_to_close() => return None,
            () = closing.cancelled() => return None,
        };
        idle.begun = first?;
    }
    let mut session = ServerSession::new_http1(idle.stream);
    session.set_keepalive(Some(timings.client_keepalive.as_secs()));
    session.set_pipelining_enabled(true);
    session.set_pipelined_prefix(idle.begun);
    let read = tokio::select! {
        // Bounds the head as a whole: byte by byte, it could take for ever.
        read = timeout(timings.head, session.read_request()) => read,
        () = wait.has_to_close() => return None,
    };
    match judge_head(state, &session, &read) {
        Head::Taken => {}
        Head::None => return None,
        Head::Refused(reply) => {
            count(state, "", "", reply.status, reply.reason.as_str());
            let id = access::request_id(&HeaderMap::new(), &mut state.rng());
            let _ = pass_on::own(state, &mut session, &id, reply, &mut Passed::default()).await;
            return None;
        }
    }
    session.set_write_timeout(Some(timings.stream_idle));
    let keep = session.get_keepalive().is_some() && !state.is_draining();
    let keepalive = keep.then_some(timings.client_keepalive.as_secs());
    session.set_keepalive(keepalive);
    answer(state, &mut session, slot.client(), wait)
        .await
        .ok()?;
    let (stream, begun) = session.finish().await.ok()??.into_parts();
    Some(Idle {
        stream,
        begun: begun.unwrap_or_default(),
    })
}

/// `None`: the client closed the connection, or it broke.
async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> Option<BytesMut> {
    let mut first = BytesMut::with_capacity(FIRST_READ);
    let read = stream.read_buf(&mut first).await.ok()?;
    (read > 0).then_some(first)
}

/// What came of the head of a request.
enum Head {
    Taken,
    /// The client closed the connection.
    None,
    Refused(Reply),
}

fn judge_head(
    state: &State,
    session: &ServerSession,
    read: &Result<pingora::Result<bool>, tokio::time::error::Elapsed>,
) -> Head {
    let limit = state.config.limits.head_bytes;
    let (status, reason, message) = match read {
        Ok(Ok(false)) => return Head::None,
        Ok(Ok(true)) if !has_one_length(session.req_header()) => (
            StatusCode::BAD_REQUEST,
            Reason::BadRequest,
            "the body has no single length, or an encoding other than chunked".to_owned(),
        ),
        Ok(Ok(true)) if head_bytes(session.req_header()) <= limit => return Head::Taken,
        Ok(Ok(true)) => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Reason::HeadersTooLarge,
            format!("the head of the request is larger than {limit} bytes"),
        ),
        Ok(Err(_)) => (
            StatusCode::BAD_REQUEST,
            Reason::BadRequest,
            "the request is not valid HTTP/1.1".to_owned(),
        ),
        Err(_) => (
            StatusCode::REQUEST_TIMEOUT,
            Reason::RequestTimeout,
            format!(
                "the head of the request did not arrive within {} s",
                state.config.timings.head.as_secs_f32()
            ),
        ),
    };
    Head::Refused(Reply::error(status, reason, &message).and_close())
}

/// Whether every reader finds the same end of the body. An encoding that is not undone here
/// would reach the model server without its name.
fn has_one_length(head: &RequestHeader) -> bool {
    let lengths: Vec<_> = head
        .headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .collect();
    let plain =
        |v: &&http::HeaderValue| !v.is_empty() && v.as_bytes().iter().all(u8::is_ascii_digit);
    let same = lengths.windows(2).all(|pair| pair[0] == pair[1]);
    let encodings: Vec<_> = head
        .headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .collect();
    let chunked = match encodings.as_slice() {
        [] => true,
        [one] => one.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    lengths.iter().all(plain) && same && chunked
}

fn head_bytes(head: &RequestHeader) -> usize {
    let fields = head.headers.iter();
    let fields: usize = fields.map(|(n, v)| n.as_str().len() + v.len()).sum();
    head.raw_path().len() + fields
}

/// Reads the rest of a request, answers it, and tells the log.
async fn answer(
    state: &State,
    session: &mut ServerSession,
    client: IpAddr,
    wait: Wait<'_>,
) -> Result<(), Gone> {
    let begun = Instant::now();
    let head = session.req_header();
    let mut request = Request {
        method: head.method.clone(),
        path: String::from_utf8_lossy(head.raw_path()).into_owned(),
        headers: head.headers.clone(),
        id: access::request_id(&head.headers, &mut state.rng()),
        body: None,
    };
    let mut passed = Passed::default();
    let (routed, result) = exchange(state, session, client, wait, &mut request, &mut passed).await;
    let line = Line {
        client,
        id: &request.id,
        headers: &request.headers,
        method: request.method.as_str(),
        path: &request.path,
        body_bytes: request.body.map_or(0, |body| body.len()),
        begun,
        routed: &routed,
        status: passed.status,
        reason: passed.reason,
        answer_bytes: passed.bytes,
        end: passed.end,
    };
    line.write(state.config.access_log);
    result
}

async fn exchange(
    state: &State,
    session: &mut ServerSession,
    client: IpAddr,
    wait: Wait<'_>,
    request: &mut Request,
    passed: &mut Passed,
) -> (Routed, Result<(), Gone>) {
    let model = match path::parse(&request.path) {
        Some(Target::Model { model, .. }) => model,
        _ => "",
    };
    let mut room = state.room.hold(client, model);
    let read = tokio::select! {
        read = read_body(state, session, &mut room) => read,
        () = wait.has_to_close() => return (Routed::default(), Err(Gone)),
    };
    // From here on it has a request.
    drop(wait);
    match read {
        Ok(body) => request.body = body,
        Err(reply) => {
            count(state, "", "", reply.status, reply.reason.as_str());
            let written = pass_on::own(state, session, &request.id, reply, passed).await;
            return (Routed::default(), written);
        }
    }
    let (response, routed) = tokio::select! {
        responded = respond(state, request) => responded,
        // Ends with an error only: the client left, and nobody needs the answer.
        _ = session.read_body_or_idle(true) => {
            state.metrics.client_gone.inc();
            return (Routed::default(), Err(Gone));
        }
    };
    let written = match response {
        Response::Own(reply) => pass_on::own(state, session, &request.id, reply, passed).await,
        Response::Upstream(answer) => {
            let answer = Upstreams {
                answer: *answer,
                request,
                routed: &routed,
            };
            pass_on::upstreams(state, session, answer, passed).await
        }
    };
    (routed, written)
}

/// Reads the body whole, so that it can be sent to more than one upstream.
async fn read_body(
    state: &State,
    session: &mut ServerSession,
    room: &mut Held<'_>,
) -> Result<Option<Bytes>, Reply> {
    let limit = state.config.limits.body_bytes;
    let head = session.req_header();
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    let expects = head.headers.contains_key(header::EXPECT);
    if announced.is_some_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    if announced.is_none() && !chunked {
        return Ok(None);
    }
    if expects && session.write_continue_response().await.is_err() {
        return Err(cut_short("the connection broke"));
    }
    let patience = state.config.timings.body;
    let read = timeout(patience, collect(session, announced, limit, room)).await;
    read.unwrap_or_else(|_| {
        let seconds = patience.as_secs_f32();
        let message = format!("the body of the request did not arrive within {seconds} s");
        let status = StatusCode::REQUEST_TIMEOUT;
        Err(Reply::error(status, Reason::RequestTimeout, &message).and_close())
    })
    .map(Some)
}

async fn collect(
    session: &mut ServerSession,
    announced: Option<usize>,
    limit: usize,
    room: &mut Held<'_>,
) -> Result<Bytes, Reply> {
    let mut body = BytesMut::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(part)) if body.len() + part.len() > limit => return Err(too_large(limit)),
            Ok(Some(part)) => {
                room.grow(part.len()).map_err(no_room)?;
                if body.len() >= TRUSTED_AFTER {
                    body.reserve(announced.map_or(0, |size| size - body.len().min(size)));
                }
                body.extend_from_slice(&part);
            }
            Ok(None) => return Ok(body.freeze()),
            Err(_) => return Err(cut_short("it did not arrive whole")),
        }
    }
}

fn no_room(full: Full) -> Reply {
    let (status, reason, message) = match full {
        Full::Gateway => (
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::Overloaded,
            "the gateway holds as many request bodies as it may; try again",
        ),
        Full::Model => (
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::Overloaded,
            "the gateway holds as many request bodies for this model as its share is; try again",
        ),
        Full::Client => (
            StatusCode::TOO_MANY_REQUESTS,
            Reason::TooManyRequests,
            "the gateway holds as many request bodies of this client as its share is; \
             send fewer at a time",
        ),
    };
    Reply::error(status, reason, message).and_close()
}

fn too_large(limit: usize) -> Reply {
    let message = format!("the body is larger than {limit} bytes, which is what the gateway keeps");
    Reply::error(
        StatusCode::PAYLOAD_TOO_LARGE,
        Reason::BodyTooLarge,
        &message,
    )
    .and_close()
}

fn cut_short(what: &str) -> Reply {
    let message = format!("the body of the request was not read: {what}");
    Reply::error(StatusCode::BAD_REQUEST, Reason::BadRequest, &message).and_close()
}
