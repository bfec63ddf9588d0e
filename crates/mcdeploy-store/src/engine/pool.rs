//! The bound on memory: a part is read only when there is room for it.

use tokio::sync::{Semaphore, SemaphorePermit};

/// What one permit stands for, in bytes.
const UNIT: u64 = 64 * 1024;

/// Room for parts.
#[derive(Debug)]
pub(super) struct Pool {
    room: Semaphore,
    units: u32,
}

impl Pool {
    /// Room for `bytes`, and for one part whatever its length.
    pub(super) fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX >> 4).max(1);
        Self {
            room: Semaphore::new(usize::try_from(units).unwrap_or(usize::MAX >> 4)),
            units,
        }
    }

    /// Waits for room, in the order of asking. None only when the pool is gone.
    pub(super) async fn acquire(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units.clamp(1, self.units);
        self.room.acquire_many(units).await.ok()
    }

    /// How many parts of this length fit at once, at least one.
    pub(super) fn parts(&self, part_bytes: u64) -> u64 {
        (u64::from(self.units) * UNIT / part_bytes.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_given_once_and_a_part_larger_than_the_pool_takes_all_of_it() {
        let pool = Pool::new(10 * UNIT);
        let first = pool.acquire(6 * UNIT).await.unwrap();
        assert!(futures::FutureExt::now_or_never(pool.acquire(5 * UNIT)).is_none());
        drop(first);
        let whole = pool.acquire(1000 * UNIT).await.unwrap();
        assert!(futures::FutureExt::now_or_never(pool.acquire(1)).is_none());
        drop(whole);
        assert_eq!((pool.parts(5 * UNIT), pool.parts(11 * UNIT)), (2, 1));
    }
}
