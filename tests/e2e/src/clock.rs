//! The one place that reads the monotonic clock.

use std::time::Instant;

/// Now, on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
