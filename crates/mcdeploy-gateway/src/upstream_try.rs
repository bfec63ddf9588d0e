//! One try: a request to one upstream, up to the head of its answer.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use pingora::{
    ErrorType,
    connectors::TransportConnector,
    http::{RequestHeader, ResponseHeader},
    protocols::http::v1::client::HttpSession,
    upstreams::peer::{HttpPeer, Peer},
};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::config::Timings;

/// Answers up to this size are read before their head is passed on, so that an upstream
/// that dies in the middle of one is not noticed by the client.
const WHOLE_ANSWER: usize = 64 << 10;

/// A request, ready to be sent, any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Headers without hop-by-hop ones, `host` and `content-length`.
    pub(crate) headers: HeaderMap,
    /// The whole body; `None` where the client sent none.
    pub(crate) body: Option<Bytes>,
}

/// An answer whose body may still be under way.
pub(crate) struct Answer {
    /// Status and headers.
    pub(crate) head: ResponseHeader,
    /// The first part of the body.
    pub(crate) first: Bytes,
    /// Where the rest comes from; `None`: `first` is all.
    pub(crate) rest: Option<Rest>,
}

/// The part of an answer that was not read yet.
pub(crate) struct Rest {
    session: HttpSession,
    peer: Arc<HttpPeer>,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TryError {
    /// No connection; nothing was sent.
    #[error("connect: {0}")]
    Connect(String),
    /// No connection in time; nothing was sent.
    #[error("no connection within {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    /// The connection broke, after something was sent.
    #[error("connection broke: {why}")]
    Broken {
        why: String,
        /// It was idle before. It may have been closed just then, and the request unseen.
        reused: bool,
    },
    /// The answer is not HTTP.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

impl TryError {
    /// Whether the upstream certainly saw nothing of the request.
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) => true,
            Self::Broken { .. } | Self::Malformed(_) => false,
        }
    }

    /// Whether nothing listens there.
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::ConnectTimeout(_) | Self::Broken { .. } | Self::Malformed(_) => false,
        }
    }

    /// A word for metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::ConnectTimeout(_) => "connect_timeout",
            Self::Broken { .. } => "broken",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.head.status)
            .field("whole", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}

/// Connections to upstreams.
pub(crate) struct Pool {
    connector: TransportConnector,
    timings: Timings,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(idle_connections: usize, timings: Timings) -> Self {
        let options = pingora::connectors::ConnectorOptions::new(idle_connections);
        Self {
            connector: TransportConnector::new(Some(options)),
            timings,
        }
    }

    /// Sends `request` to `peer` and reads the head of its answer. Dropping the future
    /// closes the connection.
    ///
    /// With `fresh`, no idle connection is used: one may turn out to be closed when
    /// nobody can tell any more whether the request was seen.
    ///
    /// # Errors
    /// There is no answer; `TryError::is_unsent` says whether the request was seen.
    pub(crate) async fn send(
        &self,
        peer: &Arc<HttpPeer>,
        request: &Outgoing,
        fresh: bool,
    ) -> Result<Answer, TryError> {
        if !fresh && let Some(stream) = self.connector.reused_stream(peer.as_ref()).await {
            let session = HttpSession::new(stream);
            return self.talk(session, peer, request, true).await;
        }
        let connect = self.connector.new_stream(peer.as_ref());
        let stream = timeout(self.timings.connect, connect)
            .await
            .map_err(|_| TryError::ConnectTimeout(self.timings.connect))?
            .map_err(|e| match e.etype() {
                ErrorType::ConnectTimedout => TryError::ConnectTimeout(self.timings.connect),
                _ => TryError::Connect(brief(&e)),
            })?;
        let session = HttpSession::new(stream);
        self.talk(session, peer, request, false).await
    }

    /// Waits for the first part of the body of `answer`, until which another upstream can
    /// still answer. At `until`, the head goes on alone: it may be long before a model that
    /// streams says its first word.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn first_part(
        &self,
        mut answer: Answer,
        until: Instant,
    ) -> Result<Answer, TryError> {
        let Some(rest) = &mut answer.rest else {
            return Ok(answer);
        };
        match timeout_at(until, rest.read()).await {
            Ok(Ok(Some(part))) => answer.first = part,
            Ok(Ok(None)) => {
                if let Some(rest) = answer.rest.take() {
                    self.give_back(rest).await;
                }
                let none = answer.head.insert_header(http::header::CONTENT_LENGTH, 0);
                none.map_err(|e| TryError::Malformed(brief(&e)))?;
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        Ok(answer)
    }

    async fn talk(
        &self,
        mut session: HttpSession,
        peer: &Arc<HttpPeer>,
        request: &Outgoing,
        reused: bool,
    ) -> Result<Answer, TryError> {
        let head = wire_head(peer, request).map_err(|e| TryError::Malformed(brief(&e)))?;
        if let Err(error) = write(&mut session, head, request.body.as_ref()).await {
            // It may have answered and closed without reading to the end (413).
            let early = timeout(Duration::from_millis(50), read_head(&mut session)).await;
            if !matches!(early, Ok(Ok(()))) {
                let why = brief(&error);
                return Err(TryError::Broken { why, reused });
            }
        } else {
            read_head(&mut session)
                .await
                .map_err(|e| failure(&e, reused))?;
        }
        let Some(head) = session.resp_header().cloned() else {
            return Err(TryError::Malformed("no head".to_owned()));
        };
        let mut rest = Rest {
            session,
            peer: peer.clone(),
        };
        let mut first = Vec::new();
        if is_short(&head, &request.method) {
            while let Some(part) = rest.read().await? {
                first.extend_from_slice(&part);
            }
            self.give_back(rest).await;
            return Ok(Answer {
                head,
                first: first.into(),
                rest: None,
            });
        }
        Ok(Answer {
            head,
            first: Bytes::new(),
            rest: Some(rest),
        })
    }

    /// Takes back the connection of an answer that was read to its end.
    pub(crate) async fn give_back(&self, rest: Rest) {
        let Rest { mut session, peer } = rest;
        session.respect_keepalive();
        if let Some(stream) = session.reuse().await {
            let idle = Some(self.timings.upstream_keepalive);
            self.connector
                .release_stream(stream, peer.reuse_hash(), idle);
        }
    }
}

impl Rest {
    /// The next part of the body.
    ///
    /// # Errors
    /// The connection broke. Not bounded in time.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>, TryError> {
        self.session
            .read_body_bytes()
            .await
            .map_err(|e| failure(&e, false))
    }
}

async fn write(
    session: &mut HttpSession,
    head: RequestHeader,
    body: Option<&Bytes>,
) -> pingora::Result<()> {
    session.write_request_header(Box::new(head)).await?;
    if let Some(body) = body {
        session.write_body(body).await?;
    }
    session.finish_body().await?;
    Ok(())
}

/// Reads heads until one is not informational.
async fn read_head(session: &mut HttpSession) -> pingora::Result<()> {
    loop {
        session.read_response().await?;
        let status = session.get_status();
        if !status.is_some_and(|s| s.is_informational()) {
            return Ok(());
        }
    }
}

fn failure(error: &pingora::Error, reused: bool) -> TryError {
    let why = brief(error);
    match error.etype() {
        ErrorType::InvalidHTTPHeader => TryError::Malformed(why),
        _ => TryError::Broken { why, reused },
    }
}

fn wire_head(peer: &HttpPeer, request: &Outgoing) -> pingora::Result<RequestHeader> {
    let headers = &request.headers;
    let mut head = RequestHeader::build(
        request.method.clone(),
        request.path.as_bytes(),
        Some(headers.len() + 2),
    )?;
    head.insert_header("host", peer.address().to_string())?;
    for (name, value) in headers {
        head.append_header(name.clone(), value.clone())?;
    }
    if let Some(body) = &request.body {
        head.insert_header("content-length", body.len())?;
    }
    Ok(head)
}

/// Whether the body's size is known, and small.
fn is_short(head: &ResponseHeader, method: &Method) -> bool {
    let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if method == Method::HEAD || none.contains(&head.status) {
        return true;
    }
    head.headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|length| length <= WHOLE_ANSWER)
}

/// The kind of an error and its cause, without the peer's details that pingora adds.
fn brief(error: &pingora::Error) -> String {
    match error.root_cause().downcast_ref::<std::io::Error>() {
        Some(cause) => cause.to_string(),
        None => error.etype().as_str().to_owned(),
    }
}
