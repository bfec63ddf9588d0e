//! How far a push, transfer or fetch is, and how fast.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{ObjectKey, Store};

/// Told after each part. Called often: whoever prints limits the rate.
pub type OnProgress<'a> = &'a (dyn Fn(&Progress) + Send + Sync);

/// Where a piece of work stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done to which file.
    pub step: Step,
    /// Name of the store that bytes go to, or come from; empty when only hashing.
    pub store: String,
    /// The file.
    pub file: ObjectKey,
    /// Bytes done in this step, over all files, for this store.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Requests to this store that were made again.
    pub repeats: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading local files for the manifest.
    Hash,
    /// Copying to a store.
    Copy,
    /// Reading from a store to local files.
    Fetch,
}

impl Step {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Copy => "copy",
            Self::Fetch => "fetch",
        }
    }
}

/// How fast bytes come, over the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Speedometer {
    /// When so many bytes were done; about one a second.
    marks: VecDeque<(Instant, u64)>,
}

/// What a [`Speedometer`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// Whole seconds that are left at this speed; none while nothing comes.
    pub eta_seconds: Option<u64>,
}

/// Marks, and so seconds, that a speed is taken over.
const MARKS: usize = 10;
const BETWEEN_MARKS: Duration = Duration::from_secs(1);

impl Speedometer {
    /// Takes note of where the work stands at `now`, of `total` bytes. What was done at the
    /// first note is no speed.
    pub fn note(&mut self, done: u64, total: u64, now: Instant) -> Speed {
        // Another round counts anew.
        if self.marks.back().is_some_and(|(_, before)| *before > done) {
            self.marks.clear();
        }
        let last = self.marks.back().map(|(at, _)| *at);
        if last.is_none_or(|at| now.duration_since(at) >= BETWEEN_MARKS) {
            if self.marks.len() > MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back((now, done));
        }
        let (since, from) = self.marks.front().copied().unwrap_or((now, done));
        let millis = now.duration_since(since).as_millis().max(1);
        let speed = u128::from(done - from) * 1000 / millis;
        let left = u128::from(total.saturating_sub(done));
        let small = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        Speed {
            bytes_per_second: small(speed),
            eta_seconds: (speed > 0).then(|| small(left.div_ceil(speed))),
        }
    }
}

/// Adds up bytes over files.
pub(crate) struct Meter<'a> {
    pub(crate) step: Step,
    pub(crate) store: Option<&'a dyn Store>,
    pub(crate) total_bytes: u64,
    pub(crate) done_bytes: u64,
    pub(crate) on_progress: OnProgress<'a>,
}

impl Meter<'_> {
    pub(crate) fn add(&mut self, file: &ObjectKey, bytes: u64) {
        self.done_bytes += bytes;
        (self.on_progress)(&Progress {
            step: self.step,
            store: self
                .store
                .map_or_else(String::new, |store| store.name().to_owned()),
            repeats: self.store.map_or(0, Store::repeats),
            file: file.clone(),
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds_and_a_standstill_has_no_end() {
        let (mut meter, begin) = (Speedometer::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        // What an earlier run left is no speed.
        assert_eq!(meter.note(500, 10_000, at(0)), Speed::default());
        let speed = meter.note(700, 10_000, at(2));
        assert_eq!((speed.bytes_per_second, speed.eta_seconds), (100, Some(93)));
        for second in 3..=30 {
            meter.note(700, 10_000, at(second));
        }
        assert_eq!(meter.note(700, 10_000, at(31)), Speed::default());
        let speed = meter.note(1_700, 10_000, at(32));
        assert!(speed.bytes_per_second >= 90, "{speed:?}");
        // Another round begins with what the store has.
        assert_eq!(meter.note(600, 10_000, at(33)), Speed::default());
        assert_eq!(meter.note(10_000, 10_000, at(34)).eta_seconds, Some(0));
    }
}
