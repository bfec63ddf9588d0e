//! Progress as log lines: of each store at most one a second, and one when all is in.
//!
//! The operator reads the lines of a transfer as [`mcdeploy_api::TransferProgress`]: the
//! names of the fields are a promise to it.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use mcdeploy_store::{Progress, Speedometer, Step};
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// Turns progress into log lines.
pub(crate) struct ProgressLog(Mutex<HashMap<String, Shown>>);

/// What was said of a store.
struct Shown {
    step: Step,
    speed: Speedometer,
    next: Instant,
    is_done: bool,
}

impl ProgressLog {
    pub(crate) fn start() -> Self {
        Self(Mutex::default())
    }

    pub(crate) fn show(&self, progress: &Progress) {
        let now = Instant::now();
        let Ok(mut stores) = self.0.lock() else {
            return;
        };
        let begun = || Shown {
            step: progress.step,
            speed: Speedometer::default(),
            next: now + EVERY,
            is_done: false,
        };
        let shown = stores.entry(progress.store.clone()).or_insert_with(begun);
        if shown.step != progress.step {
            *shown = begun();
        }
        let speed = shown
            .speed
            .note(progress.done_bytes, progress.total_bytes, now);
        let is_done = progress.done_bytes >= progress.total_bytes;
        let is_news = is_done && !shown.is_done;
        shown.is_done = is_done;
        if now < shown.next && !is_news {
            return;
        }
        shown.next = now + EVERY;
        tracing::info!(
            store = progress.store,
            object.key = progress.file.as_str(),
            repeats = progress.repeats,
            done_bytes = progress.done_bytes,
            total_bytes = progress.total_bytes,
            bytes_per_second = speed.bytes_per_second,
            eta_seconds = speed.eta_seconds,
            "{} of {} bytes ({})",
            progress.done_bytes,
            progress.total_bytes,
            progress.step.as_str()
        );
    }
}
