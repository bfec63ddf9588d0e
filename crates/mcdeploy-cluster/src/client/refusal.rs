//! Which error an answer is.

use std::time::Duration;

use http::StatusCode;
use kube::core::Status;

use crate::{Call, ClusterError};

pub(super) fn refusal(
    call: Call,
    status: StatusCode,
    body: &[u8],
    wait: Option<Duration>,
) -> ClusterError {
    let parsed: Option<Status> = serde_json::from_slice(body).ok();
    let (reason, message) = match parsed {
        Some(status) => (status.reason, status.message),
        None => (String::new(), first_line(body)),
    };
    let code = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED => ClusterError::AuthRefused {
            call,
            code,
            message,
        },
        StatusCode::FORBIDDEN if is_rbac(&message) => ClusterError::AuthRefused {
            call,
            code,
            message,
        },
        StatusCode::NOT_FOUND => ClusterError::NotFound { call, message },
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => ClusterError::Conflict {
            call,
            already_exists: reason == "AlreadyExists",
            message,
        },
        StatusCode::GONE => ClusterError::Gone { call, message },
        StatusCode::TOO_MANY_REQUESTS => ClusterError::Throttled {
            call,
            retry_after: wait.map(|w| w.min(ClusterError::MAX_RETRY_AFTER)),
        },
        other if other.is_server_error() => ClusterError::Server {
            call,
            code,
            message,
        },
        _ => ClusterError::Refused {
            call,
            code,
            message,
        },
    }
}

/// Quota, Pod Security and a namespace that is going away answer 403 too; only RBAC
/// speaks of the user.
fn is_rbac(message: &str) -> bool {
    message.contains("forbidden: User \"") || !message.contains("forbidden")
}

fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(512)]);
    text.lines().next().unwrap_or_default().trim().to_owned()
}
