//! The access log: one line for a request, with what ties it to the logs of others.
//!
//! A request keeps the id that its client gave it (`x-request-id`), or gets one; other
//! gateways and the model server get it too, and the answer brings it back. A W3C trace
//! context (`traceparent`, `tracestate`) passes through as it is, since a gateway makes no
//! spans of its own, and its trace id is in the line.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::{config::AccessLog, rng::Rng};

/// Ties the lines about one request together.
pub(crate) const HEADER_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
const HEADER_TRACE: HeaderName = HeaderName::from_static("traceparent");
/// Longer ids are replaced.
const MAX_ID: usize = 128;
/// What a line tells of a path.
const MAX_PATH: usize = 256;

/// How a request was routed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routed {
    /// Model; empty where no snapshot names it.
    pub(crate) model: String,
    /// Cluster whose upstream answered; empty where the gateway did.
    pub(crate) cluster: String,
    /// `VERSION.REVISION` that answered; empty where another region did, or the gateway.
    pub(crate) revision: String,
    /// Why each try before the last failed, with addresses.
    pub(crate) failed_tries: Vec<String>,
}

/// How the answer to a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client has all of it.
    Whole,
    /// The upstream broke, or paused for too long, after the client had the head.
    Broken,
    /// The client left before it had all.
    ClientGone,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Broken => "broken",
            Self::ClientGone => "client_gone",
        }
    }
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) client: IpAddr,
    pub(crate) id: &'a HeaderValue,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body_bytes: usize,
    pub(crate) begun: Instant,
    pub(crate) routed: &'a Routed,
    /// `None`: the client left before there was one.
    pub(crate) status: Option<StatusCode>,
    /// Why the gateway answered by itself; empty where an upstream did.
    pub(crate) reason: &'static str,
    pub(crate) answer_bytes: u64,
    pub(crate) end: End,
}

impl Line<'_> {
    /// Writes the line, where such lines are asked for.
    pub(crate) fn write(&self, which: AccessLog) {
        if !self.is_asked_for(which) {
            return;
        }
        let Routed {
            model,
            cluster,
            revision,
            failed_tries,
        } = self.routed;
        tracing::info!(
            target: "access",
            request_id = self.id.to_str().unwrap_or_default(),
            trace_id = trace_id(self.headers).unwrap_or_default(),
            client = %self.client,
            method = self.method,
            path = plain(self.path),
            model,
            cluster,
            revision,
            status = self.status.map_or(0, |status| status.as_u16()),
            reason = self.reason,
            end = self.end.as_str(),
            failed_tries = failed_tries.join("; "),
            body_bytes = self.body_bytes,
            answer_bytes = self.answer_bytes,
            milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }

    fn is_asked_for(&self, which: AccessLog) -> bool {
        match which {
            AccessLog::None => false,
            AccessLog::Failed => {
                self.end == End::Broken || self.status.is_some_and(|s| s.is_server_error())
            }
            AccessLog::All => true,
        }
    }
}

/// The id of a request: its own where that is one word, else a new one.
pub(crate) fn request_id(headers: &HeaderMap, rng: &mut Rng) -> HeaderValue {
    let mut given = headers.get_all(HEADER_REQUEST_ID).iter();
    let word = |v: &&HeaderValue| {
        (1..=MAX_ID).contains(&v.len()) && v.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if let (Some(id), None) = (given.next().filter(word), given.next()) {
        return id.clone();
    }
    let id = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
    // Hexadecimal digits are a valid value.
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"))
}

/// The trace that a request belongs to, where it says so in a valid way.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(HEADER_TRACE)?.to_str().ok()?;
    let mut parts = text.split('-');
    let mut hex = |length: usize| {
        let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let part = parts.next()?;
        (part.len() == length && part.bytes().all(lower)).then_some(part)
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    // Later versions may have more parts.
    let ends = version != "00" || parts.next().is_none();
    let zero = |id: &str| id.bytes().all(|b| b == b'0');
    (version != "ff" && ends && !zero(trace) && !zero(parent)).then_some(trace)
}

/// A path without its query, which may hold secrets, and not longer than needed.
fn plain(path: &str) -> &str {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let end = path.floor_char_boundary(MAX_PATH);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        // Collecting would keep the last of one name only.
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn a_request_keeps_its_id_where_that_is_one_word() {
        let id = |pairs: &[_]| request_id(&headers(pairs), &mut Rng::new(1));
        assert_eq!(id(&[("x-request-id", "order-7")]), "order-7");
        let new = "910a2dec89025cc1beeb8da1658eec67";
        for refused in [
            vec![],
            vec![("x-request-id", "")],
            vec![("x-request-id", "two words")],
            vec![("x-request-id", "a"), ("x-request-id", "b")],
        ] {
            assert_eq!(id(&refused), new, "{refused:?}");
        }
    }

    #[test]
    fn only_a_valid_trace_context_names_a_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id(&headers(&[("traceparent", text)])), Some(trace));
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-new";
        assert_eq!(trace_id(&headers(&[("traceparent", later)])), Some(trace));
        for refused in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            let map = headers(&[("traceparent", refused)]);
            assert_eq!(trace_id(&map), None, "{refused}");
        }
    }

    #[test]
    fn a_path_is_told_without_its_query() {
        assert_eq!(plain("/v2/models/x/infer?key=secret"), "/v2/models/x/infer");
        assert_eq!(plain(&"é".repeat(200)).len(), 256);
    }
}
