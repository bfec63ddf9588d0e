//! Progress as log lines, at most one a second.

use std::{sync::Mutex, time::Duration};

use mcdeploy_store::{Progress, Step};
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// Turns progress into log lines.
pub(crate) struct ProgressLog(Mutex<State>);

struct State {
    step: Option<Step>,
    began: Instant,
    /// Bytes done when the step began.
    from_bytes: u64,
    next: Instant,
}

impl ProgressLog {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            step: None,
            began: now,
            from_bytes: 0,
            next: now + EVERY,
        }))
    }

    pub(crate) fn show(&self, progress: &Progress) {
        let now = Instant::now();
        let Ok(mut state) = self.0.lock() else { return };
        if state.step != Some(progress.step) {
            state.step = Some(progress.step);
            (state.began, state.from_bytes) = (now, progress.done_bytes);
        }
        if now < state.next {
            return;
        }
        state.next = now + EVERY;
        let millis = (now - state.began).as_millis().max(1);
        let done = u128::from(progress.done_bytes.saturating_sub(state.from_bytes));
        tracing::info!(
            store = progress.store,
            object.key = progress.file.as_str(),
            repeats = progress.repeats,
            done_bytes = progress.done_bytes,
            total_bytes = progress.total_bytes,
            bytes_per_second = u64::try_from(done * 1000 / millis).unwrap_or(u64::MAX),
            "{} of {} bytes ({})",
            progress.done_bytes,
            progress.total_bytes,
            progress.step.as_str()
        );
    }
}
