//! What was found out by trying: probes, and what was refused.

use jiff::Timestamp;

use crate::names::RevisionId;

/// One probe of one revision through a region's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFacts {
    /// The revision that was asked for.
    pub revision: RevisionId,
    /// It was ready and answered an inference.
    pub ok: bool,
    /// What was seen.
    pub message: String,
}

/// What was refused, and is tried again, later each time.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedFacts {
    /// Why it was refused the last time.
    pub message: String,
    /// It is not tried again before.
    pub rests_until: Timestamp,
}
