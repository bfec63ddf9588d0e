//! Who holds the others back.
//!
//! All targets share one pass over the source, so the slowest sets the pace once the pool
//! is full. That is worth a bounded time only: a second read of the source costs egress,
//! and a stalled target must not keep the others from serving.

use std::time::Duration;

use super::run::Run;

/// How often it is looked at.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// How a target looks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It has something to do.
    Busy,
    /// It waits for a part.
    Idle,
    /// It takes no part any more.
    Over,
}

/// Time that each target held others back, in the order of the targets.
#[derive(Debug)]
pub(super) struct Held(Vec<Duration>);

impl Held {
    pub(super) fn new(targets: usize) -> Self {
        Self(vec![Duration::ZERO; targets])
    }

    /// Adds one tick. Gives the targets that are past the bound.
    pub(super) fn tick(&mut self, looks: &[Look], bound: Duration) -> Vec<usize> {
        let is_somebody_idle = looks.contains(&Look::Idle);
        let mut past = vec![];
        for (n, (held, look)) in self.0.iter_mut().zip(looks).enumerate() {
            if *look == Look::Busy && is_somebody_idle {
                *held += TICK;
                if *held > bound {
                    past.push(n);
                }
            }
        }
        past
    }
}

/// Leaves targets behind that hold others back for longer than `bound`. Never ends.
pub(super) async fn watch(runs: &[Run<'_>], bound: Duration, is_reading: impl Fn() -> bool) {
    let mut held = Held::new(runs.len());
    loop {
        tokio::time::sleep(TICK).await;
        // While the source is read, everybody waits for the source.
        if is_reading() {
            continue;
        }
        let looks: Vec<_> = runs.iter().map(Run::look).collect();
        for n in held.tick(&looks, bound) {
            runs[n].leave_behind();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_busy_while_another_waits_uses_its_budget() {
        let mut held = Held::new(3);
        let bound = TICK * 2;
        let looks = [Look::Busy, Look::Idle, Look::Over];
        assert!(held.tick(&looks, bound).is_empty());
        for free in [
            [Look::Busy; 3],
            [Look::Idle; 3],
            [Look::Busy, Look::Over, Look::Over],
        ] {
            assert!(held.tick(&free, bound).is_empty(), "{free:?}");
        }
        assert!(held.tick(&looks, bound).is_empty());
        assert_eq!(held.tick(&looks, bound), [0]);
    }
}
