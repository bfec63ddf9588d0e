//! Bounds what runs and what waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::RequestError;

/// A bounded pool for blocking work with a bounded queue before it.
#[derive(Clone, Debug)]
pub struct Pool {
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    capacity: usize,
    queue: usize,
}

/// A place in the pool: first in the queue, then at a worker. Dropping it frees it.
#[derive(Debug)]
pub struct Place {
    _held: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool in which `workers` run and `queue` more wait.
    pub fn new(workers: usize, queue: usize) -> Self {
        let capacity = workers.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(capacity)),
            workers: Arc::new(Semaphore::new(workers.min(Semaphore::MAX_PERMITS))),
            capacity,
            queue,
        }
    }

    /// A place, at once or not at all. Take it before the body is read: the places
    /// bound the memory that bodies hold.
    ///
    /// # Errors
    /// [`RequestError::QueueFull`].
    pub fn enter(&self) -> Result<Place, RequestError> {
        let full = |_| RequestError::QueueFull {
            waiting: self.queue,
        };
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map(|held| Place { _held: held })
            .map_err(full)
    }

    /// Requests that hold a place.
    pub fn occupied(&self) -> usize {
        self.capacity
            .saturating_sub(self.places.available_permits())
    }

    /// Runs `work` as soon as a worker is free. When the caller is dropped while it
    /// waits, `work` never starts; once started it ends and then frees its place.
    ///
    /// # Errors
    /// The work's own, or that it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, RequestError> {
        let failed = |message: String| RequestError::Inference { message };
        let worker = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((worker, place));
            result
        });
        task.await
            .unwrap_or_else(|error| Err(failed(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_more_than_workers_and_queue_is_refused_and_places_come_back() {
        let pool = Pool::new(1, 1);
        let first = pool.enter().unwrap();
        let second = pool.enter().unwrap();
        let refused = pool.enter().unwrap_err();
        assert_eq!(refused.code(), "QueueFull");
        assert_eq!(pool.occupied(), 2);
        drop(second);
        assert_eq!(pool.run(first, || Ok(7)).await.unwrap(), 7);
        assert_eq!(pool.occupied(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_frees_the_worker() {
        let pool = Pool::new(1, 0);
        let place = pool.enter().unwrap();
        let result = pool.run::<()>(place, || panic!("a bug in a kernel")).await;
        assert_eq!(result.unwrap_err().code(), "Inference");
        let place = pool.enter().unwrap();
        assert_eq!(pool.run(place, || Ok(1)).await.unwrap(), 1);
    }
}
