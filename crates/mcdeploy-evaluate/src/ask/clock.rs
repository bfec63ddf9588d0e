//! The one place that asks what time it is.

use tokio::time::Instant;

pub(super) fn now() -> Instant {
    Instant::now()
}
