//! What a caller may do about an error, whichever adapter it came from.

/// Retry and requeue switch on this, never on an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// May pass by itself: a reset, a refused connection, a 5xx.
    Transient,
    /// The other side asks for fewer requests.
    Throttled,
    /// Will not pass by itself: bad input, forbidden, checksum mismatch.
    Permanent,
    /// The object is not there.
    NotFound,
    /// A condition on the write did not hold: somebody else was first.
    Precondition,
    /// The caller asked to stop.
    Cancelled,
    /// A write timed out: it may or may not have happened. Observe again.
    Unknown,
}

impl ErrorClass {
    /// Short label for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Permanent => "permanent",
            Self::NotFound => "not_found",
            Self::Precondition => "precondition",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the same request may be sent again without looking first.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Transient | Self::Throttled => true,
            Self::Permanent
            | Self::NotFound
            | Self::Precondition
            | Self::Cancelled
            | Self::Unknown => false,
        }
    }
}
