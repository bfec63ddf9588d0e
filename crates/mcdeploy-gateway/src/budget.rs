//! The retry budget: bounds what retries may add to the load of those still alive.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::config::RetryConfig;

/// Unspent retries are kept for this long.
const WINDOW: Duration = Duration::from_secs(10);
/// Units of one retry, so that percents and milliseconds stay whole numbers.
const RETRY: u64 = 100_000;

/// A model's purse that each request pays a share of a retry into, and time a little.
///
/// Over any 10 s there are at most `budget_percent` of the requests, 10 s of
/// `budget_min_per_second` and `budget_burst` retries.
#[derive(Debug)]
pub struct Budget {
    per_request: u64,
    per_milli: u64,
    burst: u64,
    purse: Mutex<Purse>,
}

#[derive(Debug)]
struct Purse {
    units: u64,
    /// Paid by requests in this window and the one before: the bound of the purse.
    paid: u64,
    paid_before: u64,
    window_start: Instant,
    filled_at: Instant,
}

impl Budget {
    /// A full purse.
    pub fn new(config: &RetryConfig, now: Instant) -> Self {
        let burst = u64::from(config.budget_burst) * RETRY;
        Self {
            per_request: u64::from(config.budget_percent) * RETRY / 100,
            per_milli: u64::from(config.budget_min_per_second) * RETRY / 1000,
            burst,
            purse: Mutex::new(Purse {
                units: burst,
                paid: 0,
                paid_before: 0,
                window_start: now,
                filled_at: now,
            }),
        }
    }

    /// A request came.
    pub fn on_request(&self, now: Instant) {
        let mut purse = self.lock();
        self.fill(&mut purse, now);
        purse.paid += self.per_request;
        purse.units += self.per_request;
        self.bound(&mut purse);
    }

    /// Takes one retry, if there is one.
    pub fn take(&self, now: Instant) -> bool {
        let mut purse = self.lock();
        self.fill(&mut purse, now);
        let left = purse.units.checked_sub(RETRY);
        purse.units = left.unwrap_or(purse.units);
        left.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Purse> {
        // Nothing under this lock panics; whole numbers are valid in any state.
        self.purse
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fill(&self, purse: &mut Purse, now: Instant) {
        let elapsed = now.saturating_duration_since(purse.filled_at);
        purse.units += self.per_milli * millis(elapsed.min(WINDOW));
        purse.filled_at += Duration::from_millis(millis(elapsed));
        let windows = now.saturating_duration_since(purse.window_start);
        if windows >= WINDOW {
            purse.paid_before = if windows >= WINDOW * 2 { 0 } else { purse.paid };
            purse.paid = 0;
            purse.window_start = now;
        }
        self.bound(purse);
    }

    fn bound(&self, purse: &mut Purse) {
        let most = self.burst + purse.paid.max(purse.paid_before);
        purse.units = purse.units.min(most);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(budget: &Budget, now: Instant) -> u32 {
        let mut taken = 0;
        while budget.take(now) {
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_storm_is_bounded_by_the_share_of_requests() {
        let start = Instant::now();
        let budget = Budget::new(&RetryConfig::default(), start);
        let mut retries = 0;
        // 1000 requests a second for 60 s, all of which want a retry.
        for milli in 0..60_000 {
            let now = start + Duration::from_millis(milli);
            budget.on_request(now);
            retries += u32::from(budget.take(now));
        }
        // 20 % of 60 000, and one a second, and what was in the purse.
        assert!((12_000..=12_000 + 60 + 100).contains(&retries), "{retries}");
    }

    #[test]
    fn thin_traffic_may_retry_in_the_first_second() {
        let now = Instant::now();
        let budget = Budget::new(&RetryConfig::default(), now);
        budget.on_request(now);
        assert_eq!(take_all(&budget, now), 100);
        assert_eq!(take_all(&budget, now + Duration::from_secs(1)), 1);
    }

    #[test]
    fn unspent_retries_do_not_pile_up() {
        let start = Instant::now();
        let budget = Budget::new(&RetryConfig::default(), start);
        let mut now = start;
        for _ in 0..100_000 {
            now += Duration::from_millis(1);
            budget.on_request(now);
        }
        assert!(take_all(&budget, now) <= 100 + 2000 + 1);
        assert!(take_all(&budget, now + Duration::from_hours(1)) <= 100);
    }
}
