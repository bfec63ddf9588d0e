//! When requests go: at even distances from the start. One that went late does not move
//! those behind it, so that the rate holds on average.

use std::time::Duration;

use tokio::time::Instant;

/// Slots of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    next: Instant,
    distance: Duration,
}

/// Further behind than this nothing is caught up with: it would be a burst.
const MOST_BEHIND: Duration = Duration::from_millis(500);

impl Pace {
    /// `rate` is in requests a second and above 0.
    pub(super) fn new(start: Instant, rate: f64) -> Self {
        let distance = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
        Self {
            next: start,
            distance,
        }
    }

    /// When the next request may go.
    pub(super) fn slot(&self) -> Instant {
        self.next
    }

    /// A request went at `at`.
    pub(super) fn sent(&mut self, at: Instant) {
        let behind = at.saturating_duration_since(self.next);
        let from = if behind > MOST_BEHIND.max(self.distance) {
            at
        } else {
            self.next
        };
        self.next = from.checked_add(self.distance).unwrap_or(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `requests`, each as late as `late` says; gives the rate from first to last.
    fn rate(wanted: f64, requests: u32, late: impl Fn(u32) -> Duration) -> f64 {
        let start = Instant::now();
        let mut pace = Pace::new(start, wanted);
        let mut at = start;
        for request in 0..requests {
            at = pace.slot().max(at) + late(request);
            pace.sent(at);
        }
        f64::from(requests - 1) / (at - start).as_secs_f64()
    }

    #[test]
    fn the_rate_holds_within_five_percent_though_every_timer_is_late() {
        for wanted in [3.0, 50.0, 400.0] {
            let found = rate(wanted, 400, |_| Duration::ZERO);
            assert!((found / wanted - 1.0).abs() < 0.001, "{wanted}: {found}");
            // Timers are up to a millisecond late.
            let found = rate(wanted, 400, |request| {
                Duration::from_micros(u64::from(request * 7919 % 1000))
            });
            assert!((found / wanted - 1.0).abs() < 0.05, "{wanted}: {found}");
        }
    }

    #[test]
    fn after_a_long_stall_nothing_is_sent_in_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 100.0);
        let stall = start + Duration::from_secs(10);
        pace.sent(stall);
        assert_eq!(pace.slot(), stall + Duration::from_millis(10));
    }
}
