//! What a probe gives.

use std::{fmt, time::Duration};

use mcdeploy_api::{ErrorClass, names};

/// One look at one revision through one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSample {
    /// How long all steps took together.
    pub latency: Duration,
    /// Cluster that the last answer names as the one that served.
    pub cluster: Option<String>,
    /// Revision that the last answer names, `<version>.<revision id>`.
    pub revision: Option<String>,
    /// What was seen: all steps answered as they should, or the first that did not.
    pub result: Result<(), ProbeFailure>,
}

impl ProbeSample {
    /// Whether the revision was seen serving.
    pub fn is_serving(&self) -> bool {
        self.result.is_ok()
    }
}

/// A step of a probe, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeStep {
    /// `GET …/ready`.
    Ready,
    /// `GET` of the metadata.
    Metadata,
    /// One inference on zeros.
    Infer,
}

impl fmt::Display for ProbeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Metadata => "metadata",
            Self::Infer => "inference",
        })
    }
}

/// Why a revision was not seen serving.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// No connection to the gateway.
    #[error("no connection to gateway {address}: {detail}")]
    Connect {
        /// `host:port` of the gateway.
        address: String,
        /// What happened.
        detail: String,
    },
    /// No whole answer within the time-out.
    #[error("{step}: no answer from {address} within {} ms", timeout.as_millis())]
    TimedOut {
        /// The step.
        step: ProbeStep,
        /// `host:port` of the gateway.
        address: String,
        /// The time-out of the whole probe.
        timeout: Duration,
    },
    /// Another status than 200. A redirect is never followed.
    #[error("{step}: {address} answered {code}: {message}")]
    Status {
        /// The step.
        step: ProbeStep,
        /// `host:port` of the gateway.
        address: String,
        /// HTTP status.
        code: u16,
        /// Beginning of the answer.
        message: String,
    },
    /// The answer does not come from where it was asked.
    #[error("{step}: answer names {header} {actual:?}, expected {expected:?}", header = header(*is_cluster))]
    Elsewhere {
        /// The step.
        step: ProbeStep,
        /// Whether the cluster differs; else the revision does.
        is_cluster: bool,
        /// What was asked for.
        expected: String,
        /// What the answer names; empty when it names nothing.
        actual: String,
    },
    /// The answer is not what protocol v2 asks for.
    #[error("{step}: answer of {address} is not protocol v2: {detail}")]
    Malformed {
        /// The step.
        step: ProbeStep,
        /// `host:port` of the gateway.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The connection broke before the whole answer was there.
    #[error("{step}: connection to {address} broke: {detail}")]
    Broken {
        /// The step.
        step: ProbeStep,
        /// `host:port` of the gateway.
        address: String,
        /// What happened.
        detail: String,
    },
}

impl ProbeFailure {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Elsewhere { .. } => ErrorClass::Transient,
            Self::Status { code: 404, .. } => ErrorClass::NotFound,
            Self::Status { code: 429, .. } => ErrorClass::Throttled,
            Self::Status { code, .. } if *code >= 500 => ErrorClass::Transient,
            Self::Status { .. } | Self::Malformed { .. } => ErrorClass::Permanent,
        }
    }
}

fn header(is_cluster: bool) -> &'static str {
    if is_cluster {
        names::HEADER_CLUSTER
    } else {
        names::HEADER_REVISION
    }
}
