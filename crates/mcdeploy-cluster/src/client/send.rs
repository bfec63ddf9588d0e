//! One call on the wire: fence, deadline, retries, bounded body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{ClusterClient, refusal::refusal};
use crate::{
    Call, ClusterError,
    clock::Stopwatch,
    error::{certificate_problem, innermost},
};

impl ClusterClient {
    pub(super) async fn send<A: DeserializeOwned>(
        &self,
        call: Call,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<A, ClusterError> {
        self.send_within(call, request, Stopwatch::start()).await
    }

    /// Sends within the deadline that began at `since`.
    pub(super) async fn send_within<A: DeserializeOwned>(
        &self,
        call: Call,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
        since: Stopwatch,
    ) -> Result<A, ClusterError> {
        let request = request.map_err(|error| ClusterError::Request {
            call: call.clone(),
            detail: error.to_string(),
        })?;
        if call.write
            && self
                .fence
                .as_ref()
                .is_some_and(|may_write| !may_write(&call))
        {
            return Err(ClusterError::Fenced { call });
        }
        let left = self.settings.deadline.saturating_sub(since.elapsed());
        let body = match tokio::time::timeout(left, self.tries(&call, &request, since)).await {
            Ok(done) => done?,
            Err(_) => {
                return Err(ClusterError::NoAnswer {
                    call,
                    waited: since.elapsed(),
                    detail: "deadline passed".to_owned(),
                });
            }
        };
        serde_json::from_slice(&body).map_err(|error| ClusterError::Answer {
            call,
            detail: error.to_string(),
        })
    }

    async fn tries(
        &self,
        call: &Call,
        request: &Request<Vec<u8>>,
        since: Stopwatch,
    ) -> Result<Bytes, ClusterError> {
        let mut pause = self.settings.backoff;
        let mut tried = 0;
        loop {
            let answer = self.one_try(call, request, since).await?;
            let Answer { status, body, wait } = answer;
            if status.is_success() {
                return Ok(body);
            }
            let pause_now = wait.unwrap_or(pause).max(pause);
            let left = self.settings.deadline.saturating_sub(since.elapsed());
            let give_up = tried >= self.settings.retries
                || pause_now > self.settings.longest_wait
                || pause_now >= left
                || !may_repeat(status, request);
            if give_up {
                return Err(refusal(call.clone(), status, &body, wait));
            }
            tracing::debug!(%call, status = status.as_u16(), "repeating a call");
            tokio::time::sleep(pause_now + jitter(call, tried, pause)).await;
            pause = (pause * 2).min(self.settings.longest_wait);
            tried += 1;
        }
    }

    async fn one_try(
        &self,
        call: &Call,
        request: &Request<Vec<u8>>,
        since: Stopwatch,
    ) -> Result<Answer, ClusterError> {
        let sent = request.clone().map(kube::client::Body::from);
        let response = self.kube.send(sent).await;
        let response = response.map_err(|error| self.transport(call, &error, since))?;
        let (head, body) = response.into_parts();
        let limited = Limited::new(body, self.settings.max_body);
        let body = limited.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return ClusterError::Answer {
                    call: call.clone(),
                    detail: format!("longer than {} bytes", self.settings.max_body),
                };
            }
            ClusterError::NoAnswer {
                call: call.clone(),
                waited: since.elapsed(),
                detail: innermost(error.as_ref()),
            }
        })?;
        Ok(Answer {
            status: head.status,
            body: body.to_bytes(),
            wait: retry_after(&head.headers),
        })
    }

    fn transport(&self, call: &Call, error: &kube::Error, since: Stopwatch) -> ClusterError {
        let server = self.shared.server.clone();
        let detail = innermost(error);
        if let Some(problem) = certificate_problem(error) {
            return ClusterError::Untrusted {
                call: call.clone(),
                server,
                detail: problem,
            };
        }
        if is_connect(error) {
            return ClusterError::Connect {
                call: call.clone(),
                server,
                detail,
            };
        }
        ClusterError::NoAnswer {
            call: call.clone(),
            waited: since.elapsed(),
            detail,
        }
    }
}

struct Answer {
    status: StatusCode,
    body: Bytes,
    wait: Option<Duration>,
}

/// 429 is an answer from before the work began. After a 5xx a POST may have been done.
fn may_repeat(status: StatusCode, request: &Request<Vec<u8>>) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && request.method() != http::Method::POST)
}

/// Up to half of `pause`, different for each call and try, so that many callers do not
/// come back together.
fn jitter(call: &Call, tried: u32, pause: Duration) -> Duration {
    let digest = mcdeploy_api::Sha256Digest::of(format!("{call}{tried}")).short(4);
    let share = u32::from_str_radix(&digest, 16).unwrap_or(0);
    pause / 2 * share / 0xffff
}

/// `Retry-After` in seconds, however large. A date, which no API server sends, is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn is_connect(error: &kube::Error) -> bool {
    let kube::Error::Service(inner) = error else {
        return false;
    };
    inner
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}
