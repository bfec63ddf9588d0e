//! One way to make a request: a deadline, retries with jitter, cancel, and an error
//! that says where.

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, StoreError,
    limiter::{Limiter, Signal},
};

/// How often a request is made in all.
const ATTEMPTS: u32 = 4;
/// First pause between two attempts; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause, whatever the store asks for.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Time for a request without a body.
const BASE_DEADLINE: Duration = Duration::from_secs(10);
/// Slowest link that the first try waits for, in bytes per second; each later try waits
/// twice as long, while fewer requests share the link.
const SLOWEST: u64 = 1024 * 1024;
/// How long a body may stand still.
const STALL: Duration = Duration::from_secs(10);
/// Time to connect, before an address counts as silent.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// How long a connection may wait for its next request. Servers close idle ones, some after
/// 5 s, and a proxy between may not tell.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(4);
/// Requests on connections that turned out to be closed, which are made again at once and
/// count as no attempt.
const DEAD_CONNECTIONS: u32 = 3;

/// What a repeated request would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The same as one request: reads, parts, deletes.
    Repeatable,
    /// Makes an object visible. No answer means not known, and is never repeated here.
    Commit,
}

/// A request that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'static str,
    pub(crate) key: Option<&'a str>,
    pub(crate) effect: Effect,
    /// Length of the body, whichever way it goes, in bytes.
    pub(crate) bytes: u64,
}

impl<'a> Request<'a> {
    pub(crate) fn new(operation: &'static str, key: &'a str) -> Self {
        Self {
            operation,
            key: Some(key),
            effect: Effect::Repeatable,
            bytes: 0,
        }
    }

    pub(crate) fn bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    pub(crate) fn commit(self) -> Self {
        Self {
            effect: Effect::Commit,
            ..self
        }
    }
}

/// Who asks: name and place of the store for errors, and the secrets to keep out of them.
#[derive(Clone)]
pub(crate) struct Requester {
    pub(crate) store: String,
    pub(crate) location: String,
    secrets: Vec<String>,
    limiter: Arc<Limiter>,
    repeats: Arc<AtomicU64>,
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.store, self.location)
    }
}

impl Requester {
    pub(crate) fn new(
        store: &str,
        location: String,
        secrets: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            store: store.to_owned(),
            location,
            secrets: secrets.into_iter().filter(|s| s.len() >= 4).collect(),
            limiter: Arc::default(),
            repeats: Arc::default(),
        }
    }

    /// Requests that were made again.
    pub(crate) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    pub(crate) fn error(
        &self,
        operation: &'static str,
        key: Option<&str>,
        cause: Cause,
    ) -> StoreError {
        StoreError {
            store: self.store.clone(),
            location: self.location.as_str().into(),
            operation,
            key: key.map(Into::into),
            cause,
        }
    }

    /// The text of an error and of what caused it, without secrets or query strings.
    pub(crate) fn detail(&self, error: &(dyn std::error::Error + 'static)) -> String {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let more = source.to_string();
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            next = source.source();
        }
        self.redact(&text)
    }

    /// The cause of an error that no answer came with.
    pub(crate) fn no_answer(&self, error: &(dyn std::error::Error + 'static)) -> Cause {
        let detail = self.detail(error);
        if was_closed(error) {
            Cause::Disconnected { detail }
        } else {
            Cause::Unreachable { detail }
        }
    }

    /// Text that came from outside, fit for an error.
    pub(crate) fn redact(&self, text: &str) -> String {
        let text = self
            .secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"));
        let mut line = without_queries(&text).replace(['\n', '\r'], " ");
        if let Some((end, _)) = line.char_indices().nth(500) {
            line.truncate(end);
            line.push('…');
        }
        line
    }

    /// Makes a request until it succeeds, cannot, or `ATTEMPTS` were made.
    pub(crate) async fn send<T, F, A>(
        &self,
        request: Request<'_>,
        cancel: &CancellationToken,
        mut attempt: F,
    ) -> Result<T, StoreError>
    where
        F: FnMut() -> A,
        A: Future<Output = Result<T, Cause>>,
    {
        let error = |cause| self.error(request.operation, request.key, cause);
        let (mut made, mut dead) = (1, 0);
        loop {
            let patience = (request.bytes / SLOWEST).saturating_mul(1 << (made - 1));
            let deadline = BASE_DEADLINE + Duration::from_secs(patience);
            let limited = async {
                let permit = self.limiter.acquire().await;
                let outcome = tokio::time::timeout(deadline, attempt()).await;
                let outcome = outcome.unwrap_or(Err(Cause::TimedOut { after: deadline }));
                permit.finish(signal(&outcome));
                outcome
            };
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(error(Cause::Cancelled)),
                outcome = limited => outcome,
            };
            let cause = match (request.effect, outcome) {
                (_, Ok(value)) => return Ok(value),
                (
                    Effect::Commit,
                    Err(
                        cause @ (Cause::TimedOut { .. }
                        | Cause::Unreachable { .. }
                        | Cause::Disconnected { .. }),
                    ),
                ) => Cause::OutcomeUnknown {
                    detail: cause.to_string(),
                },
                (_, Err(cause)) => cause,
            };
            if dead < DEAD_CONNECTIONS && matches!(cause, Cause::Disconnected { .. }) {
                dead += 1;
                self.repeats.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if made >= attempts(&cause) {
                return Err(error(cause));
            }
            let pause = pause(made, &cause);
            tracing::debug!(
                store = self.store,
                operation = request.operation,
                object.key = request.key,
                attempt = made,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "retrying: {cause}"
            );
            tokio::select! {
                () = cancel.cancelled() => return Err(error(Cause::Cancelled)),
                () = tokio::time::sleep(pause) => {}
            }
            made += 1;
            self.repeats.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the server closed the connection before the first byte of its answer, as it does
/// with one that was idle for long.
fn was_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        }
        next = error.source();
    }
    false
}

fn signal<T>(outcome: &Result<T, Cause>) -> Signal {
    match outcome {
        Ok(_) => Signal::Fine,
        Err(Cause::Throttled { .. } | Cause::TimedOut { .. }) => Signal::Overloaded,
        Err(_) => Signal::Neither,
    }
}

/// How often a request that ends like this is made in all.
fn attempts(cause: &Cause) -> u32 {
    match cause {
        // Bytes that changed on their way, of which the store took none; a credential that
        // is being renewed.
        Cause::ChecksumMismatch { .. } | Cause::Denied { .. } => 2,
        other if other.class().is_retryable() => ATTEMPTS,
        _ => 1,
    }
}

/// A body that has all of the range, or an error that may be tried again.
pub(crate) async fn body_of<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    range: &Range<u64>,
    cause: impl Fn(E) -> Cause,
) -> Result<Bytes, Cause> {
    let expected = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::new();
    loop {
        let next = tokio::time::timeout(STALL, body.next()).await;
        match next.map_err(|_| Cause::TimedOut { after: STALL })? {
            // Most often the whole of a small body comes at once.
            Some(Ok(chunk)) if chunk.len() == expected && bytes.is_empty() => return Ok(chunk),
            Some(chunk) => {
                let chunk = chunk.map_err(&cause)?;
                if bytes.capacity() == 0 {
                    bytes.reserve(expected);
                }
                if bytes.len() + chunk.len() > expected {
                    return Err(wrong_length(expected, bytes.len() + chunk.len()));
                }
                bytes.extend_from_slice(&chunk);
            }
            None if bytes.len() == expected => return Ok(bytes.freeze()),
            None => return Err(wrong_length(expected, bytes.len())),
        }
    }
}

fn wrong_length(expected: usize, actual: usize) -> Cause {
    Cause::Unreachable {
        detail: format!("expected {expected} bytes, got {actual}"),
    }
}

/// Half to all of a doubling pause, or what the store asked for, within a bound.
fn pause(made: u32, cause: &Cause) -> Duration {
    if let Cause::Throttled {
        retry_after: Some(asked),
        ..
    } = cause
        && cause.class() == ErrorClass::Throttled
    {
        return (*asked).min(MAX_PAUSE);
    }
    let whole = FIRST_PAUSE.saturating_mul(1 << made.min(10)).min(MAX_PAUSE);
    // A hasher with random keys is randomness enough to keep clients apart.
    let random = u32::try_from(RandomState::new().hash_one(made) >> 33).unwrap_or_default();
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX >> 1))
}

/// Replaces what follows `?` in every URL, where signatures are.
fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '>' | '<' | ',');
        let end = rest[at..].find(ends).map_or(rest.len(), |n| at + n);
        let url = &rest[..end];
        match url[at..].find('?') {
            Some(query) => {
                out.push_str(&url[..at + query]);
                out.push_str("?***");
            }
            None => out.push_str(url),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The cause that an HTTP status stands for, where the backend knows no better.
pub(crate) fn cause_of_status(status: u16, detail: String, retry_after: Option<&str>) -> Cause {
    match status {
        401 | 403 => Cause::Denied { detail },
        404 => Cause::NotFound,
        412 => Cause::AlreadyExists,
        429 | 503 => Cause::Throttled {
            detail,
            retry_after: retry_after
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs),
        },
        408 | 500.. => Cause::Unreachable { detail },
        _ => Cause::Refused { detail },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn requester() -> Requester {
        Requester::new("aws", "s3://models".to_owned(), ["hunter2".to_owned()])
    }

    #[test]
    fn secrets_and_query_strings_never_reach_an_error() {
        let text = requester().redact(
            "error sending request for url (http://a/b?sig=abc&se=1): key hunter2\nand 'https://c/?x'",
        );
        assert_eq!(
            text,
            "error sending request for url (http://a/b?***): key *** and 'https://c/?***'"
        );
        assert!(!format!("{:?}", requester()).contains("hunter2"));
    }

    #[test]
    fn retry_after_is_bounded() {
        let asked = cause_of_status(429, String::new(), Some("86400"));
        assert_eq!(pause(1, &asked), MAX_PAUSE);
        for made in 1..40 {
            assert!(pause(made, &Cause::Cancelled) <= MAX_PAUSE);
        }
    }

    async fn attempts_at(effect: Effect, cause: fn() -> Cause) -> (u32, StoreError) {
        let made = AtomicU32::new(0);
        let request = Request {
            effect,
            ..Request::new("read", "a")
        };
        let outcome = requester()
            .send(request, &CancellationToken::new(), || async {
                made.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>(cause())
            })
            .await;
        (made.into_inner(), outcome.unwrap_err())
    }

    fn reset() -> Cause {
        Cause::Unreachable {
            detail: "reset".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_repeated() {
        assert_eq!(attempts_at(Effect::Repeatable, reset).await.0, ATTEMPTS);
        assert_eq!(
            attempts_at(Effect::Repeatable, || Cause::NotFound).await.0,
            1
        );
        let (made, error) = attempts_at(Effect::Commit, reset).await;
        assert_eq!((made, error.class()), (1, ErrorClass::Unknown));
        assert!(
            error
                .to_string()
                .starts_with("store \"aws\" (s3://models): read \"a\": ")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_cancel_end_a_request() {
        let cancel = CancellationToken::new();
        let silent = || std::future::pending::<Result<(), Cause>>();
        let request = Request::new("read", "a");
        let outcome = requester().send(request, &cancel, silent).await;
        assert!(matches!(outcome.unwrap_err().cause, Cause::TimedOut { .. }));
        cancel.cancel();
        let outcome = requester().send(request, &cancel, silent).await;
        assert_eq!(outcome.unwrap_err().class(), ErrorClass::Cancelled);
    }
}
