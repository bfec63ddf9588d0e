//! Answers that the gateway gives itself: JSON with the reason in it.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

/// Set on answers that the gateway itself gave, so that the gateway of another region
/// can tell them from a model server's. Its value is a [`Reason`].
pub const HEADER_GATEWAY_REASON: &str = "mcdeploy-gateway-reason";

/// Why the gateway answered by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Reason {
    /// It is a question about the gateway.
    Gateway,
    /// The path is not one of protocol v2.
    UnknownPath,
    /// No snapshot names this model.
    UnknownModel,
    /// No region serves this version.
    UnknownVersion,
    /// Every weight is 0.
    NoWeight,
    /// Nobody to send it to.
    NoUpstream,
    /// Everybody who was asked failed.
    UpstreamFailed,
    /// The request is not HTTP, or came not whole.
    BadRequest,
    /// The request came too slowly.
    RequestTimeout,
    /// The head is over the limit.
    HeadersTooLarge,
    /// The body is over the limit.
    BodyTooLarge,
    /// Kept bodies are over the limit.
    Overloaded,
    /// The client sends more at a time than its share.
    TooManyRequests,
    /// The gateway ends, or has no routes yet.
    NotReady,
}

impl Reason {
    /// The word in JSON, metrics and the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::UnknownPath => "UnknownPath",
            Self::UnknownModel => "UnknownModel",
            Self::UnknownVersion => "UnknownVersion",
            Self::NoWeight => "NoWeight",
            Self::NoUpstream => "NoUpstream",
            Self::UpstreamFailed => "UpstreamFailed",
            Self::BadRequest => "BadRequest",
            Self::RequestTimeout => "RequestTimeout",
            Self::HeadersTooLarge => "HeadersTooLarge",
            Self::BodyTooLarge => "BodyTooLarge",
            Self::Overloaded => "Overloaded",
            Self::TooManyRequests => "TooManyRequests",
            Self::NotReady => "NotReady",
        }
    }

    /// Whether a gateway that said so certainly sent the request to nobody.
    pub fn means_unsent(word: &str) -> bool {
        [
            Self::UnknownModel,
            Self::UnknownVersion,
            Self::NoWeight,
            Self::NoUpstream,
            Self::Overloaded,
            Self::TooManyRequests,
            Self::NotReady,
        ]
        .iter()
        .any(|reason| reason.as_str() == word)
    }
}

/// An answer of the gateway's own.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Why.
    pub reason: Reason,
    /// JSON.
    pub body: Bytes,
    /// The connection is not used again, because its request was not read to the end.
    pub close: bool,
}

/// Error body of protocol v2, with a reason that programs can switch on.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    reason: Reason,
}

impl Reply {
    /// An error with a message for people.
    pub fn error(status: StatusCode, reason: Reason, message: &str) -> Self {
        Self::json(
            status,
            reason,
            &ErrorBody {
                error: message,
                reason,
            },
        )
    }

    /// Any JSON.
    pub fn json(status: StatusCode, reason: Reason, body: &impl Serialize) -> Self {
        Self {
            status,
            reason,
            // Plain structs with string keys always serialise.
            body: serde_json::to_vec(body).unwrap_or_default().into(),
            close: false,
        }
    }

    /// The same, and the connection is closed after it.
    #[must_use]
    pub fn and_close(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }
}
