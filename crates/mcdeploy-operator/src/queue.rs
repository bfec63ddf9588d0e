//! A set of keys, each due at some time, each worked on by one worker at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Keys and when they are due. A key is in it once, at its earliest time.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    due: Mutex<BTreeMap<K, Instant>>,
    wake: Notify,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            due: Mutex::default(),
            wake: Notify::new(),
        }
    }
}

impl<K: Ord + Clone + Debug> Queue<K> {
    /// The key is due now.
    pub(crate) fn add(&self, key: K) {
        self.add_after(key, Duration::ZERO);
    }

    /// The key is due after `delay`, or earlier if it is already.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        let at = Instant::now() + delay;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = due.entry(key).or_insert(at);
        *entry = at.min(*entry);
        drop(due);
        self.wake.notify_one();
    }

    /// A key that is due and not among `busy`, else when the next one is.
    fn pop(&self, busy: &BTreeSet<K>) -> Result<K, Option<Instant>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = due.iter().filter(|(key, _)| !busy.contains(*key));
        let mut next = free.next().ok_or(None)?;
        for entry in free {
            if entry.1 < next.1 {
                next = entry;
            }
        }
        let (key, at) = (next.0.clone(), *next.1);
        if at > Instant::now() {
            return Err(Some(at));
        }
        due.remove(&key);
        Ok(key)
    }

    /// Works on keys as they come due, at most `workers` at once, until cancelled. `work`
    /// answers when its key is due again; `None`: not before it is added.
    pub(crate) async fn run<F>(
        &self,
        workers: usize,
        cancel: &CancellationToken,
        work: impl Fn(K) -> F,
    ) where
        F: Future<Output = Option<Duration>>,
    {
        let mut busy = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        loop {
            let next = if running.len() < workers {
                self.pop(&busy)
            } else {
                Err(None)
            };
            let at = match next {
                Ok(key) => {
                    busy.insert(key.clone());
                    let future = work(key.clone());
                    running.push(async move { (key, future.await) });
                    continue;
                }
                Err(at) => at,
            };
            let timer = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                Some((key, again)) = running.next(), if !running.is_empty() => {
                    busy.remove(&key);
                    if let Some(delay) = again {
                        self.add_after(key, delay);
                    }
                }
                () = self.wake.notified() => {}
                () = timer => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_worked_on_once_however_often_it_is_added() {
        let queue = Queue::default();
        for _ in 0..5 {
            queue.add("a");
        }
        queue.add_after("b", Duration::from_secs(5));
        let (seen, cancel) = (RefCell::new(vec![]), CancellationToken::new());
        let work = async |key: &'static str| {
            seen.borrow_mut().push(key);
            if key == "b" {
                cancel.cancel();
            }
            None
        };
        queue.run(2, &cancel, work).await;
        assert_eq!(*seen.borrow(), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_added_while_it_is_worked_on_comes_again_afterwards() {
        let queue = Queue::default();
        queue.add(1);
        let (active, count, cancel) = (Cell::new(0), Cell::new(0), CancellationToken::new());
        let work = async |key: i32| {
            active.set(active.get() + 1);
            assert_eq!(active.get(), 1, "two workers on one key");
            queue.add(key);
            tokio::time::sleep(Duration::from_secs(1)).await;
            active.set(active.get() - 1);
            count.set(count.get() + 1);
            if count.get() == 3 {
                cancel.cancel();
            }
            None
        };
        queue.run(4, &cancel, work).await;
        assert_eq!(count.get(), 3);
    }
}
