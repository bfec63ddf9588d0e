//! One way to make a request: a deadline, retries with jitter, cancel.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{RegistryCause, RegistryError};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest silence in the middle of an answer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Bound on a request without a body of note.
const BASE_DEADLINE: Duration = Duration::from_secs(30);
/// Slowest transfer that is waited for, in bytes a second.
const SLOWEST: u64 = 256 * 1024;
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What is being done, for deadlines and errors.
pub(crate) struct Call {
    operation: &'static str,
    what: String,
    bytes: u64,
}

impl Call {
    pub(crate) fn new(operation: &'static str, what: impl fmt::Display) -> Self {
        Self {
            operation,
            what: what.to_string(),
            bytes: 0,
        }
    }

    /// Length of the body, whichever way it goes.
    pub(crate) fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    pub(crate) fn error(&self, place: String, cause: RegistryCause) -> RegistryError {
        RegistryError {
            place,
            operation: self.operation,
            what: self.what.clone(),
            cause,
        }
    }
}

/// Repeats until it succeeds, cannot, or [`ATTEMPTS`] were made. All calls are idempotent:
/// they read, or what they write is named by its digest.
pub(crate) async fn send<T, F, A>(
    call: &Call,
    cancel: &CancellationToken,
    mut attempt: F,
) -> Result<T, RegistryCause>
where
    F: FnMut() -> A,
    A: Future<Output = Result<T, RegistryCause>>,
{
    let deadline = BASE_DEADLINE + Duration::from_secs(call.bytes / SLOWEST);
    let mut made = 1;
    loop {
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(RegistryCause::Cancelled),
            outcome = tokio::time::timeout(deadline, attempt()) => {
                outcome.unwrap_or(Err(RegistryCause::TimedOut { after: deadline }))
            }
        };
        let cause = match outcome {
            Ok(value) => return Ok(value),
            Err(cause) => cause,
        };
        if made == ATTEMPTS || !cause.class().is_retryable() {
            return Err(cause);
        }
        tracing::debug!(what = call.what, attempt = made, "retrying: {cause}");
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(pause(made)) => {}
        }
        made += 1;
    }
}

/// Half to all of a doubling pause.
fn pause(made: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << made.min(10)).min(MAX_PAUSE);
    // A hasher with random keys is randomness enough to keep clients apart.
    let random = u32::try_from(RandomState::new().hash_one(made) >> 32).unwrap_or_default();
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
