//! Stories about one thing each, beside those of whole rollouts.

mod access;
mod bad_names;
mod credentials;
mod images;
mod placement;
mod progress;
mod refusals;
mod rights;
mod staging;
mod template;
mod upkeep;

use std::time::Duration;

/// Asks again until the answer is yes.
async fn eventually(what: &str, mut answer: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if answer().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within a minute: {what}");
}
