//! The only place that reads the wall clock.

use jiff::Timestamp;

/// Now, in UTC.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
