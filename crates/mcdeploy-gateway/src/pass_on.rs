//! Answers on their way to the client: whole, or part by part as they come.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora::{http::ResponseHeader, protocols::http::ServerSession};
use tokio::time::timeout;

use crate::{
    access::{End, HEADER_REQUEST_ID, Routed},
    downstream::Downstream,
    metrics::ClusterLabels,
    proxy::Request,
    reply::{HEADER_GATEWAY_REASON, Reason, Reply},
    state::State,
    upstream_try::Answer,
};

/// The client is gone, what it sent is not HTTP, or its answer broke: nothing more to say to it.
pub(crate) struct Gone;

/// What the client has of an answer.
#[derive(Debug)]
pub(crate) struct Passed {
    /// `None`: not even the head.
    pub(crate) status: Option<StatusCode>,
    /// Why the gateway answered by itself; empty where an upstream did.
    pub(crate) reason: &'static str,
    /// Of its body.
    pub(crate) bytes: u64,
    /// How it ended.
    pub(crate) end: End,
}

impl Default for Passed {
    /// Until there is an answer, only a client that leaves ends a request.
    fn default() -> Self {
        Self {
            status: None,
            reason: "",
            bytes: 0,
            end: End::ClientGone,
        }
    }
}

/// An upstream's answer, and to what.
pub(crate) struct Upstreams<'a> {
    pub(crate) answer: Answer,
    pub(crate) request: &'a Request,
    pub(crate) routed: &'a Routed,
}

/// Writes an answer of the gateway's own.
///
/// # Errors
/// The client is gone.
pub(crate) async fn own(
    state: &State,
    session: &mut ServerSession,
    id: &HeaderValue,
    reply: Reply,
    passed: &mut Passed,
) -> Result<(), Gone> {
    if reply.close {
        session.set_keepalive(None);
    }
    let head = own_head(state, id, &reply).map_err(|_| Gone)?;
    passed.reason = reply.reason.as_str();
    write_head(session, head, passed).await?;
    write(session, reply.body, true, passed).await?;
    passed.end = End::Whole;
    Ok(())
}

fn own_head(state: &State, id: &HeaderValue, reply: &Reply) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(reply.status, Some(6))?;
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    head.insert_header(header::CONTENT_LENGTH, reply.body.len())?;
    head.insert_header(HEADER_GATEWAY_REASON, reply.reason.as_str())?;
    head.insert_header("mcdeploy-gateway", state.config.cluster.as_str())?;
    head.insert_header(HEADER_REQUEST_ID, id.clone())?;
    if matches!(reply.reason, Reason::Overloaded | Reason::TooManyRequests) {
        head.insert_header(header::RETRY_AFTER, "1")?;
    }
    Ok(head)
}

/// Passes an upstream's answer on, each part when it comes.
///
/// # Errors
/// The client is gone, or the answer broke: then it is passed on as a broken one, whose
/// connection ends before it does.
pub(crate) async fn upstreams(
    state: &State,
    session: &mut ServerSession,
    upstreams: Upstreams<'_>,
    passed: &mut Passed,
) -> Result<(), Gone> {
    let Upstreams {
        answer,
        request,
        routed,
    } = upstreams;
    let Answer {
        mut head,
        first,
        rest,
    } = answer;
    let sized = head.headers.contains_key(header::CONTENT_LENGTH);
    let chunks = session.req_header().version == Version::HTTP_11;
    let until_close = rest.is_some() && !sized && !chunks;
    if rest.is_some() && !sized && chunks {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")
            .map_err(|_| Gone)?;
    }
    if until_close {
        session.set_keepalive(None);
    }
    head.insert_header(HEADER_REQUEST_ID, request.id.clone())
        .map_err(|_| Gone)?;
    head.set_version(Version::HTTP_11);
    write_head(session, head, passed).await?;
    let none = request.method == Method::HEAD;
    let first = if none { Bytes::new() } else { first };
    write(session, first, rest.is_none(), passed).await?;
    let Some(mut rest) = rest else {
        passed.end = End::Whole;
        return Ok(());
    };
    loop {
        let part = tokio::select! {
            part = timeout(state.config.timings.stream_idle, rest.read()) => part,
            // The client left: what the model still has to say is for nobody.
            _ = session.read_body_or_idle(true) => {
                state.metrics.client_gone.inc();
                return Err(Gone);
            }
        };
        match part {
            Ok(Ok(Some(part))) => write(session, part, false, passed).await?,
            Ok(Ok(None)) => break,
            Ok(Err(_)) | Err(_) => {
                passed.end = End::Broken;
                let labels = ClusterLabels {
                    model: routed.model.clone(),
                    cluster: routed.cluster.clone(),
                };
                state.metrics.broken_answers.get_or_create(&labels).inc();
                if until_close {
                    Downstream::reset(session);
                }
                return Err(Gone);
            }
        }
    }
    state.pool.give_back(rest).await;
    write(session, Bytes::new(), true, passed).await?;
    passed.end = End::Whole;
    Ok(())
}

async fn write_head(
    session: &mut ServerSession,
    head: ResponseHeader,
    passed: &mut Passed,
) -> Result<(), Gone> {
    passed.status = Some(head.status);
    let written = session.write_response_header(Box::new(head)).await;
    written.map_err(|_| Gone)
}

async fn write(
    session: &mut ServerSession,
    part: Bytes,
    end: bool,
    passed: &mut Passed,
) -> Result<(), Gone> {
    let length = part.len();
    let written = session.write_response_body(part, end).await;
    written.map_err(|_| Gone)?;
    passed.bytes += u64::try_from(length).unwrap_or(u64::MAX);
    Ok(())
}
