//! When an upstream is taken out, and when it comes back. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::HealthConfig;

/// Ejections that follow within this time of a return are held longer each time.
const MEMORY: Duration = Duration::from_mins(1);

/// How a request ended, as far as the upstream's health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It answered 502, 503 or 504.
    BadStatus,
    /// Nobody answered: refused, timed out, closed, or a gateway without upstreams.
    Nobody,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was taken out.
    Ejected(Cause),
    /// It came back.
    Returned,
}

/// What took an upstream out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Checks failed.
    Checks,
    /// Requests failed.
    Requests,
}

impl Cause {
    /// A word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Requests => "requests",
        }
    }
}

/// Health of one upstream.
#[derive(Debug, Default)]
pub struct Health {
    passed: u32,
    missed: u32,
    nobody: u32,
    bad_status: u32,
    /// Not before this, when ejected.
    held_until: Option<Instant>,
    returned_at: Option<Instant>,
    ejections: u32,
}

impl Health {
    /// Whether it is out.
    pub fn is_ejected(&self) -> bool {
        self.held_until.is_some()
    }

    /// Whether the last checks failed, as many as eject.
    pub fn is_silent(&self, config: &HealthConfig) -> bool {
        self.missed >= config.fall
    }

    /// Takes the result of a check.
    pub fn on_check(&mut self, good: bool, now: Instant, config: &HealthConfig) -> Option<Change> {
        if !good {
            self.passed = 0;
            self.missed += 1;
            return (self.missed >= config.fall)
                .then(|| self.eject(Cause::Checks, now, config))
                .flatten();
        }
        self.missed = 0;
        self.passed = self.passed.saturating_add(1);
        let held_until = self.held_until?;
        if self.passed < config.rise || now < held_until {
            return None;
        }
        *self = Self {
            returned_at: Some(now),
            ejections: self.ejections,
            ..Self::default()
        };
        Some(Change::Returned)
    }

    /// Takes the outcome of a request.
    pub fn on_request(
        &mut self,
        outcome: Outcome,
        now: Instant,
        config: &HealthConfig,
    ) -> Option<Change> {
        if !config.enabled {
            return None;
        }
        match outcome {
            Outcome::Answered => {
                self.nobody = 0;
                self.bad_status = 0;
                return None;
            }
            Outcome::BadStatus => {
                self.nobody = 0;
                self.bad_status += 1;
            }
            Outcome::Nobody => self.nobody += 1,
        }
        let out = self.nobody >= config.fall || self.bad_status >= config.fall_on_status;
        out.then(|| self.eject(Cause::Requests, now, config))
            .flatten()
    }

    fn eject(&mut self, cause: Cause, now: Instant, config: &HealthConfig) -> Option<Change> {
        if self.is_ejected() {
            return None;
        }
        let again = self
            .returned_at
            .is_some_and(|at| now.saturating_duration_since(at) < MEMORY);
        self.ejections = if again { self.ejections + 1 } else { 1 };
        let doublings = (self.ejections - 1).min(16);
        let hold = config
            .hold
            .saturating_mul(1 << doublings)
            .min(config.hold_max);
        self.held_until = Some(now + hold);
        self.passed = 0;
        self.nobody = 0;
        self.bad_status = 0;
        Some(Change::Ejected(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(health: &mut Health, now: &mut Instant, results: &str) -> Vec<Change> {
        let config = HealthConfig::default();
        let mut changes = Vec::new();
        for result in results.chars() {
            *now += config.interval;
            changes.extend(health.on_check(result == '+', *now, &config));
        }
        changes
    }

    #[test]
    fn two_misses_eject_and_three_passes_return() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        let ejected = Change::Ejected(Cause::Checks);
        assert_eq!(checks(&mut health, &mut now, "+-+-+"), []);
        assert_eq!(checks(&mut health, &mut now, "--"), [ejected]);
        assert_eq!(checks(&mut health, &mut now, "++-++"), []);
        assert_eq!(checks(&mut health, &mut now, "+"), [Change::Returned]);
        assert!(!health.is_ejected());
    }

    #[test]
    fn a_flapping_upstream_is_held_out_longer_each_time() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        let mut steps = Vec::new();
        for _ in 0..3 {
            assert_eq!(checks(&mut health, &mut now, "--").len(), 1);
            let mut needed = 0;
            while checks(&mut health, &mut now, "+").is_empty() {
                needed += 1;
            }
            steps.push(needed + 1);
        }
        assert_eq!(steps, [3, 4, 8]);
    }

    #[test]
    fn requests_that_found_nobody_eject_even_while_checks_pass() {
        let (mut health, now) = (Health::default(), Instant::now());
        let config = HealthConfig::default();
        assert_eq!(health.on_request(Outcome::Nobody, now, &config), None);
        assert_eq!(health.on_request(Outcome::Answered, now, &config), None);
        assert_eq!(health.on_check(true, now, &config), None);
        assert_eq!(health.on_request(Outcome::Nobody, now, &config), None);
        assert_eq!(
            health.on_request(Outcome::Nobody, now, &config),
            Some(Change::Ejected(Cause::Requests))
        );
        for _ in 0..5 {
            assert_eq!(health.on_check(true, now, &config), None, "still held");
        }
        let later = now + config.hold;
        assert_eq!(
            health.on_check(true, later, &config),
            Some(Change::Returned)
        );
    }

    #[test]
    fn bad_answers_eject_later_than_silence() {
        let (mut health, now) = (Health::default(), Instant::now());
        let config = HealthConfig::default();
        for _ in 1..config.fall_on_status {
            assert_eq!(health.on_request(Outcome::BadStatus, now, &config), None);
        }
        assert_eq!(
            health.on_request(Outcome::BadStatus, now, &config),
            Some(Change::Ejected(Cause::Requests))
        );
    }
}
