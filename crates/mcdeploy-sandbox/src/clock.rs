//! The only place of this crate that reads a clock or sleeps a thread.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Blocks this thread; only for threads that no runtime uses.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub(crate) fn sleep_thread(time: Duration) {
    std::thread::sleep(time);
}
