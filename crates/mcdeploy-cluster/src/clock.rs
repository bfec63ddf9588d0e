//! The one place that asks what time it is.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall-clock time, for people: it is written into objects and never compared.
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}

/// Time that only goes forward, counted from when this was made. It goes on while the
/// process is stopped, so a paused leader notices that its time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
