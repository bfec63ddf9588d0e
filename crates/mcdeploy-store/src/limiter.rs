//! How many requests one endpoint gets at once: more while it keeps up, half when it
//! says that it does not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Requests at once to an endpoint of which nothing is known yet.
const START: usize = 4;
/// Most requests at once to one endpoint.
const MOST: usize = 16;

/// What a finished request says about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It keeps up.
    Fine,
    /// It asked for fewer requests, or did not answer in time.
    Overloaded,
    /// Nothing: the request failed for reasons of its own.
    Neither,
}

/// Additive increase, multiplicative decrease.
#[derive(Debug)]
pub(crate) struct Limiter {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, PartialEq, Eq)]
struct State {
    limit: usize,
    in_flight: usize,
    /// Successes since the limit last changed.
    successes: usize,
    /// Requests that were under way when the limit was halved: their failures are old news.
    old_news: usize,
}

impl State {
    fn finish(&mut self, signal: Signal) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let is_old = self.old_news > 0;
        self.old_news = self.old_news.saturating_sub(1);
        match signal {
            Signal::Fine => {
                self.successes += 1;
                if self.successes >= self.limit {
                    self.successes = 0;
                    self.limit = (self.limit + 1).min(MOST);
                }
            }
            Signal::Overloaded if !is_old => {
                self.successes = 0;
                self.limit = (self.limit / 2).max(1);
                self.old_news = self.in_flight;
            }
            Signal::Overloaded | Signal::Neither => {}
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                limit: START,
                in_flight: 0,
                successes: 0,
                old_news: 0,
            }),
            freed: Notify::new(),
        }
    }
}

impl Limiter {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room. Dropped without [`Permit::finish`], a permit says nothing.
    pub(crate) async fn acquire(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.in_flight < state.limit {
                    state.in_flight += 1;
                    return Permit {
                        limiter: self,
                        signal: Signal::Neither,
                    };
                }
            }
            freed.await;
        }
    }
}

/// Room for one request.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limiter: &'a Limiter,
    signal: Signal,
}

impl Permit<'_> {
    /// Gives the room back and says what the request told.
    pub(crate) fn finish(mut self, signal: Signal) {
        self.signal = signal;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let free = {
            let mut state = self.limiter.state();
            state.finish(self.signal);
            state.limit.saturating_sub(state.in_flight)
        };
        for _ in 0..free.min(2) {
            self.limiter.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(limit: usize, in_flight: usize) -> State {
        State {
            limit,
            in_flight,
            successes: 0,
            old_news: 0,
        }
    }

    #[test]
    fn a_window_of_successes_adds_one_up_to_the_most() {
        let mut state = state(START, 0);
        let mut limits = vec![];
        for _ in 0..400 {
            state.in_flight += 1;
            state.finish(Signal::Fine);
            limits.push(state.limit);
        }
        assert_eq!((limits[START - 2], limits[START - 1]), (START, START + 1));
        assert_eq!(limits.last(), Some(&MOST));
    }

    #[test]
    fn one_overload_halves_once_however_many_requests_tell_of_it() {
        let mut state = state(16, 16);
        for _ in 0..16 {
            state.finish(Signal::Overloaded);
        }
        assert_eq!(state.limit, 8);
        for _ in 0..10 {
            state.in_flight += 1;
            state.finish(Signal::Overloaded);
        }
        assert_eq!(state.limit, 1);
        state.in_flight += 1;
        state.finish(Signal::Neither);
        assert_eq!((state.limit, state.in_flight), (1, 0));
    }

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_once_and_all_get_their_turn() {
        let limiter = Limiter::default();
        let running = std::sync::atomic::AtomicUsize::new(0);
        let most = std::sync::atomic::AtomicUsize::new(0);
        let work = (0..100).map(|_| async {
            let permit = limiter.acquire().await;
            let now = running.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            most.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
            running.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            permit.finish(Signal::Overloaded);
        });
        futures::future::join_all(work).await;
        assert!(most.into_inner() <= START);
        assert_eq!(limiter.state().in_flight, 0);
    }
}
