//! Connections from clients: accept, read requests, write answers, drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, Version, header};
use pingora::{
    apps::{HttpPersistentSettings, ReusedHttpStream},
    http::ResponseHeader,
    protocols::{http::ServerSession, l4::stream::Stream},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    proxy::{Request, Response, count, respond},
    reply::{HEADER_GATEWAY_REASON, Reason, Reply},
    state::State,
    upstream_try::Answer,
};

/// Between attempts to accept while the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The client is gone, or what it sent is not HTTP: nothing more to say to it.
struct Gone;

/// Serves `listener` until `cancel`, then drains: for a while new connections are still
/// taken (each for one request), then what is under way may end.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener, cancel: CancellationToken) {
    let tasks = TaskTracker::new();
    let closing = CancellationToken::new();
    let slots = Arc::new(Semaphore::new(state.config.limits.connections));
    let timings = state.config.timings;
    let drained = async {
        cancel.cancelled().await;
        state.start_draining();
        sleep(timings.drain_delay).await;
    };
    tokio::select! {
        () = accept(&state, &listener, &slots, &tasks, &closing) => {}
        () = drained => {}
    }
    drop(listener);
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
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    tasks: &TaskTracker,
    closing: &CancellationToken,
) {
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return; // Never closed.
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (state, closing) = (state.clone(), closing.clone());
                tasks.spawn(async move {
                    state.metrics.connections.inc();
                    connection(&state, stream, peer, &closing).await;
                    state.metrics.connections.dec();
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    state: &State,
    stream: TcpStream,
    peer: SocketAddr,
    closing: &CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let mut session = ServerSession::new_http1(Box::new(Stream::from(stream)));
    session.set_keepalive(Some(state.config.timings.client_keepalive.as_secs()));
    loop {
        session.set_pipelining_enabled(true);
        let Some(reused) = one_request(state, session, closing).await else {
            return;
        };
        let (stream, settings) = reused.consume();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

/// Serves one request; gives back the connection when it may carry another.
async fn one_request(
    state: &State,
    mut session: ServerSession,
    closing: &CancellationToken,
) -> Option<ReusedHttpStream> {
    let patience = state.config.timings.client_keepalive;
    let read = tokio::select! {
        // Bounds the head as a whole: byte by byte, it could take for ever.
        read = timeout(patience, session.read_request()) => match read {
            Ok(read) => read,
            Err(_) => return None,
        },
        // An idle connection; one that just sent its first bytes cannot be told apart.
        () = closing.cancelled() => return None,
    };
    match read {
        Ok(true) => {}
        Ok(false) => return None,
        Err(_) => {
            let reply = Reply::error(
                StatusCode::BAD_REQUEST,
                Reason::BadRequest,
                "the request is not valid HTTP/1.1",
            );
            let _ = write_own(state, &mut session, reply.and_close()).await;
            return None;
        }
    }
    session.set_write_timeout(Some(state.config.timings.idle));
    let keep = session.get_keepalive().is_some() && !state.is_draining();
    let keepalive = keep.then_some(state.config.timings.client_keepalive.as_secs());
    session.set_keepalive(keepalive);
    answer(state, &mut session).await.ok()?;
    let settings = HttpPersistentSettings::for_session(&session);
    let stream = session.finish().await.ok()??;
    Some(ReusedHttpStream::from_reusable_stream(stream, settings))
}

async fn answer(state: &State, session: &mut ServerSession) -> Result<(), Gone> {
    let (body, _permit) = match read_body(state, session).await {
        Ok(read) => read,
        Err(reply) => {
            count(state, "", "", reply.status, reply.reason.as_str());
            return write_own(state, session, reply).await;
        }
    };
    let head = session.req_header();
    let request = Request {
        method: head.method.clone(),
        path: String::from_utf8_lossy(head.raw_path()).into_owned(),
        headers: head.headers.clone(),
        body,
    };
    let response = tokio::select! {
        response = respond(state, &request) => response,
        // Ends with an error only: the client left, and nobody needs the answer.
        _ = session.read_body_or_idle(true) => {
            state.metrics.client_gone.inc();
            return Err(Gone);
        }
    };
    match response {
        Response::Own(reply) => write_own(state, session, reply).await,
        Response::Upstream(answer) => pass_on(state, session, &request.method, *answer).await,
    }
}

/// Reads the body whole, so that it can be sent to more than one upstream.
async fn read_body<'a>(
    state: &'a State,
    session: &mut ServerSession,
) -> Result<(Option<Bytes>, SemaphorePermit<'a>), Reply> {
    let limit = state.config.limits.body_bytes;
    let head = session.req_header();
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    let expects = head.headers.contains_key(header::EXPECT);
    let size = announced.unwrap_or(if chunked { limit } else { 0 });
    if size > limit {
        return Err(too_large(limit));
    }
    let kib = u32::try_from(size.div_ceil(1 << 10)).unwrap_or(u32::MAX);
    let permit = state.buffered.try_acquire_many(kib).map_err(|_| {
        let message = "the gateway holds as many request bodies as it may; try again";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Reply::error(status, Reason::Overloaded, message).and_close()
    })?;
    if announced.is_none() && !chunked {
        return Ok((None, permit));
    }
    if expects && session.write_continue_response().await.is_err() {
        return Err(cut_short("the connection broke"));
    }
    let read = timeout(state.config.timings.body, collect(session, size, limit));
    match read.await {
        Ok(Ok(body)) => Ok((Some(body), permit)),
        Ok(Err(reply)) => Err(reply),
        Err(_) => Err(cut_short("it did not arrive in time")),
    }
}

async fn collect(session: &mut ServerSession, size: usize, limit: usize) -> Result<Bytes, Reply> {
    let mut body = BytesMut::with_capacity(size.min(64 << 10));
    loop {
        match session.read_request_body().await {
            Ok(Some(part)) if body.len() + part.len() > limit => return Err(too_large(limit)),
            Ok(Some(part)) => body.extend_from_slice(&part),
            Ok(None) => return Ok(body.freeze()),
            Err(_) => return Err(cut_short("it did not arrive whole")),
        }
    }
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

async fn write_own(state: &State, session: &mut ServerSession, reply: Reply) -> Result<(), Gone> {
    if reply.close {
        session.set_keepalive(None);
    }
    let head = own_head(state, &reply).map_err(|_| Gone)?;
    session
        .write_response_header(Box::new(head))
        .await
        .map_err(|_| Gone)?;
    session
        .write_response_body(reply.body, true)
        .await
        .map_err(|_| Gone)
}

fn own_head(state: &State, reply: &Reply) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(reply.status, Some(5))?;
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    head.insert_header(header::CONTENT_LENGTH, reply.body.len())?;
    head.insert_header(HEADER_GATEWAY_REASON, reply.reason.as_str())?;
    head.insert_header("mcdeploy-gateway", state.config.cluster.as_str())?;
    Ok(head)
}

async fn pass_on(
    state: &State,
    session: &mut ServerSession,
    method: &Method,
    answer: Answer,
) -> Result<(), Gone> {
    let Answer {
        mut head,
        first,
        rest,
    } = answer;
    let sized = head.headers.contains_key(header::CONTENT_LENGTH);
    if rest.is_some() && !sized {
        if session.req_header().version == Version::HTTP_11 {
            head.insert_header(header::TRANSFER_ENCODING, "chunked")
                .map_err(|_| Gone)?;
        } else {
            session.set_keepalive(None);
        }
    }
    head.set_version(Version::HTTP_11);
    session
        .write_response_header(Box::new(head))
        .await
        .map_err(|_| Gone)?;
    let none = method == Method::HEAD;
    let end = rest.is_none();
    let first = if none { Bytes::new() } else { first };
    session
        .write_response_body(first, end)
        .await
        .map_err(|_| Gone)?;
    let Some(mut rest) = rest else {
        return Ok(());
    };
    loop {
        // A broken answer is passed on as one: the connection ends before the body does.
        let part = timeout(state.config.timings.idle, rest.read()).await;
        match part.map_err(|_| Gone)?.map_err(|_| Gone)? {
            Some(part) => session
                .write_response_body(part, false)
                .await
                .map_err(|_| Gone)?,
            None => break,
        }
    }
    state.pool.give_back(rest).await;
    session
        .write_response_body(Bytes::new(), true)
        .await
        .map_err(|_| Gone)
}
