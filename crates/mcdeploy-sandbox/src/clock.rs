//! The only place of this crate that reads a clock or sleeps a thread.

use std::time::Instant;

/// A moment on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
