//! How long to wait for what.

use jiff::SignedDuration;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// From "every gateway routes by the new snapshot" to the removal of what it no
    /// longer sends requests to.
    pub drain: SignedDuration,
    /// A cluster whose state does not change for this long is blocked.
    pub progress_deadline: SignedDuration,
    /// What is wrong in a cluster counts for the others once it lasted so long.
    pub dwell: SignedDuration,
    /// Pods wait so long for the caches of nodes.
    pub staging: SignedDuration,
    /// A transfer that ended without a verified copy is started again after this.
    pub transfer_retry: SignedDuration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            drain: SignedDuration::from_secs(5),
            progress_deadline: SignedDuration::from_mins(5),
            dwell: SignedDuration::from_secs(30),
            staging: SignedDuration::from_mins(2),
            transfer_retry: SignedDuration::from_secs(60),
        }
    }
}
