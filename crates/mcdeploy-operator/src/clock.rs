//! The one place that asks what time it is.

use jiff::Timestamp;

/// Wall-clock time.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
