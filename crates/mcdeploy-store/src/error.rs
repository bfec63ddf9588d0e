//! What can go wrong with a store: where, doing what, and what a caller may do next.

use std::{fmt, io, sync::Arc, time::Duration};

use mcdeploy_api::{ErrorClass, Reason};

use crate::KeyError;

/// An operation on a store that did not succeed.
///
/// The text names the store, its place, the operation and the key. It holds no
/// credential and no query string of a URL.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// Name of the store, as in its `ArtifactStore`.
    pub store: String,
    /// Where it is, such as `s3://bucket`.
    pub location: Box<str>,
    /// What was tried, such as `read`.
    pub operation: &'static str,
    /// Key of the object, or the prefix of a listing.
    pub key: Option<Box<str>>,
    /// Why it did not succeed.
    pub cause: Cause,
}

impl StoreError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        self.cause.class()
    }

    /// The word for it in a condition or a row.
    pub fn reason(&self) -> Reason {
        match self.cause {
            Cause::NotFound => Reason::ArtifactMissing,
            Cause::Changed | Cause::ChecksumMismatch { .. } => Reason::ChecksumMismatch,
            Cause::Denied { .. } => Reason::StoreDenied,
            Cause::Unreachable { .. }
            | Cause::Disconnected { .. }
            | Cause::Throttled { .. }
            | Cause::TimedOut { .. }
            | Cause::OutcomeUnknown { .. }
            | Cause::Cancelled => Reason::StoreUnreachable,
            Cause::AlreadyExists
            | Cause::Refused { .. }
            | Cause::InvalidKey(_)
            | Cause::Configuration { .. }
            | Cause::Local(_) => Reason::Invalid,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {:?} ({}): ", self.store, self.location)?;
        match &self.key {
            Some(key) => write!(f, "{} {key:?}: {}", self.operation, self.cause),
            None => write!(f, "{}: {}", self.operation, self.cause),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Local(error) => Some(error.as_ref()),
            Cause::InvalidKey(_)
            | Cause::NotFound
            | Cause::AlreadyExists
            | Cause::Changed
            | Cause::Denied { .. }
            | Cause::Unreachable { .. }
            | Cause::Disconnected { .. }
            | Cause::Throttled { .. }
            | Cause::TimedOut { .. }
            | Cause::OutcomeUnknown { .. }
            | Cause::ChecksumMismatch { .. }
            | Cause::Refused { .. }
            | Cause::Configuration { .. }
            | Cause::Cancelled => None,
        }
    }
}

/// Why an operation did not succeed. `detail` is the store's own words, redacted.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Cause {
    #[error("not found")]
    NotFound,
    #[error("an object with this key exists already")]
    AlreadyExists,
    #[error("the object changed since it was first looked at; start again")]
    Changed,
    #[error("access denied: {detail}; check the store's auth")]
    Denied { detail: String },
    #[error("no usable answer: {detail}")]
    Unreachable { detail: String },
    #[error("the connection was closed before an answer: {detail}")]
    Disconnected { detail: String },
    #[error("the store asks for fewer requests: {detail}")]
    Throttled {
        detail: String,
        retry_after: Option<Duration>,
    },
    #[error("no answer within {} s", after.as_secs())]
    TimedOut { after: Duration },
    #[error("it is not known whether the write happened: {detail}")]
    OutcomeUnknown { detail: String },
    #[error("checksum mismatch: expected {expected}, actual {actual}")]
    ChecksumMismatch { expected: String, actual: String },
    #[error("refused: {detail}")]
    Refused { detail: String },
    #[error("{0}")]
    InvalidKey(KeyError),
    #[error("{detail}")]
    Configuration { detail: String },
    #[error("local file system")]
    Local(Arc<io::Error>),
    #[error("cancelled")]
    Cancelled,
}

impl Cause {
    /// An answer without the length of an object: not said is not zero.
    pub(crate) fn no_size(key: &str) -> Self {
        Self::Refused {
            detail: format!("the store does not say how long {key:?} is"),
        }
    }

    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound => ErrorClass::NotFound,
            Self::AlreadyExists | Self::Changed => ErrorClass::Precondition,
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::TimedOut { .. } => {
                ErrorClass::Transient
            }
            Self::Throttled { .. } => ErrorClass::Throttled,
            Self::OutcomeUnknown { .. } => ErrorClass::Unknown,
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Denied { .. }
            | Self::ChecksumMismatch { .. }
            | Self::Refused { .. }
            | Self::InvalidKey(_)
            | Self::Configuration { .. }
            | Self::Local(_) => ErrorClass::Permanent,
        }
    }
}
