//! What can go wrong in a call to a cluster.

use std::{error::Error, fmt, io, time::Duration};

use mcdeploy_api::{ErrorClass, Reason};

/// Which call an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the cluster, for people.
    pub cluster: String,
    /// What was done: `get`, `list`, `apply`, `create`, `replace`, `patch status`, `delete`.
    pub verb: &'static str,
    /// What it was done to, such as `Deployment default/digits-0a1b2c3d4e`.
    pub object: String,
    /// Whether the call may have changed something.
    pub write: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            verb,
            object,
            write: _,
        } = self;
        write!(f, "{verb} {object} in cluster {cluster}")
    }
}

/// A call that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The caller may not write now: it does not lead any more. Nothing was sent.
    #[error("{call}: not sent, another process leads now")]
    Fenced {
        /// The call.
        call: Call,
    },
    /// No connection: refused, no route, time-out. Nothing was sent.
    #[error("{call}: no connection to {server}: {detail}")]
    Connect {
        /// The call.
        call: Call,
        /// Address of the API server.
        server: String,
        /// The last cause in the chain.
        detail: String,
    },
    /// The server's certificate is not signed by the CA of the kubeconfig.
    #[error(
        "{call}: {server} shows a certificate that this kubeconfig's CA did not sign: {detail}; \
         is the kubeconfig of another cluster, or was the CA rotated?"
    )]
    Untrusted {
        /// The call.
        call: Call,
        /// Address of the API server.
        server: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The deadline passed, or the connection broke, with the request under way. For a
    /// write this means: it may have happened.
    #[error("{call}: no answer after {}: {detail}", Millis(*waited))]
    NoAnswer {
        /// The call.
        call: Call,
        /// How long it was waited for.
        waited: Duration,
        /// What ended the wait.
        detail: String,
    },
    /// 401, or a 403 by the cluster's RBAC.
    #[error("{call}: credentials refused ({code}): {message}")]
    AuthRefused {
        /// The call.
        call: Call,
        /// HTTP status.
        code: u16,
        /// What the server said.
        message: String,
    },
    /// 404 on a call that needs the object, or its kind, to be there.
    #[error("{call}: not found: {message}")]
    NotFound {
        /// The call.
        call: Call,
        /// What the server said.
        message: String,
    },
    /// 409 or 412: somebody else was first, or owns a field.
    #[error("{call}: {message}")]
    Conflict {
        /// The call.
        call: Call,
        /// What the server said.
        message: String,
        /// The object is there already, where a new one was asked for.
        already_exists: bool,
    },
    /// 410: the resource version is too old. List again.
    #[error("{call}: the resource version is too old: {message}")]
    Gone {
        /// The call.
        call: Call,
        /// What the server said.
        message: String,
    },
    /// 429 after the retries that fit into the deadline, or with a longer wait than
    /// that.
    #[error("{call}: the API server asks for fewer requests (429){}", wait(*retry_after))]
    Throttled {
        /// The call.
        call: Call,
        /// What the server asked to wait, cut to [`ClusterError::MAX_RETRY_AFTER`].
        retry_after: Option<Duration>,
    },
    /// The server understood and said no: validation, admission, quota, Pod Security.
    #[error("{call}: refused ({code}): {message}")]
    Refused {
        /// The call.
        call: Call,
        /// HTTP status.
        code: u16,
        /// What the server said.
        message: String,
    },
    /// 5xx after the retries that fit into the deadline.
    #[error("{call}: the API server failed ({code}): {message}")]
    Server {
        /// The call.
        call: Call,
        /// HTTP status.
        code: u16,
        /// What the server said.
        message: String,
    },
    /// An answer that is no answer: not JSON, another shape, too long.
    #[error("{call}: the answer cannot be used: {detail}")]
    Answer {
        /// The call.
        call: Call,
        /// What is wrong with it.
        detail: String,
    },
    /// A request that cannot be built, such as a name that no object can have.
    #[error("{call}: {detail}")]
    Request {
        /// The call.
        call: Call,
        /// What is wrong with it.
        detail: String,
    },
    /// The kubeconfig is not one that is used here.
    #[error("kubeconfig of cluster {cluster} refused: {why}")]
    Kubeconfig {
        /// Name of the cluster.
        cluster: String,
        /// Why.
        why: crate::KubeconfigRefused,
    },
    /// No client can be built from the configuration.
    #[error("client of cluster {cluster}: {detail}")]
    Configure {
        /// Name of the cluster.
        cluster: String,
        /// Why.
        detail: String,
    },
}

impl ClusterError {
    /// Longest wait that is passed on from a server's `Retry-After`.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. } => ErrorClass::Transient,
            Self::NoAnswer { call, .. } | Self::Server { call, .. } | Self::Answer { call, .. } => {
                if call.write {
                    ErrorClass::Unknown
                } else {
                    ErrorClass::Transient
                }
            }
            Self::Untrusted { .. }
            | Self::AuthRefused { .. }
            | Self::Refused { .. }
            | Self::Request { .. }
            | Self::Kubeconfig { .. }
            | Self::Configure { .. } => ErrorClass::Permanent,
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::Fenced { .. } | Self::Conflict { .. } | Self::Gone { .. } => {
                ErrorClass::Precondition
            }
            Self::Throttled { .. } => ErrorClass::Throttled,
        }
    }

    /// The word for a status row. Refused credentials are not an unreachable cluster,
    /// and neither says anything about what runs there.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Connect { .. }
            | Self::NoAnswer { .. }
            | Self::Server { .. }
            | Self::Answer { .. }
            | Self::Throttled { .. }
            | Self::Gone { .. } => Reason::Unreachable,
            Self::AuthRefused { .. } | Self::Untrusted { .. } => Reason::AuthFailed,
            Self::Kubeconfig { .. } | Self::Configure { .. } => Reason::KubeconfigRefused,
            Self::Fenced { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Refused { .. }
            | Self::Request { .. } => Reason::ApplyRefused,
        }
    }

    /// How long the server asked to be left alone, at most [`Self::MAX_RETRY_AFTER`].
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::Fenced { .. }
            | Self::Connect { .. }
            | Self::Untrusted { .. }
            | Self::NoAnswer { .. }
            | Self::AuthRefused { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Gone { .. }
            | Self::Refused { .. }
            | Self::Server { .. }
            | Self::Answer { .. }
            | Self::Request { .. }
            | Self::Kubeconfig { .. }
            | Self::Configure { .. } => None,
        }
    }

    /// Whether a `create` found the object there already.
    pub fn is_already_exists(&self) -> bool {
        matches!(
            self,
            Self::Conflict {
                already_exists: true,
                ..
            }
        )
    }
}

struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", for {} s", wait.as_secs()))
}

/// The innermost cause: that is the one that says what happened.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

/// What is wrong with the server's certificate, if that is what an error is about.
pub(crate) fn certificate_problem(error: &(dyn Error + 'static)) -> Option<String> {
    let mut current = Some(error);
    while let Some(cause) = current {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            let inner = io.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
            if let Some(rustls::Error::InvalidCertificate(problem)) = inner {
                return Some(format!("{problem:?}"));
            }
        }
        if let Some(rustls::Error::InvalidCertificate(problem)) = cause.downcast_ref() {
            return Some(format!("{problem:?}"));
        }
        current = cause.source();
    }
    None
}
