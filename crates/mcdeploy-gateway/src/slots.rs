//! Connections at a time, and which one is closed to let another in.
//!
//! A connection that waits for a request costs its client nothing, so silent ones could
//! keep everybody else out. With all slots taken, one of those is closed for each that
//! comes: of the client that has the most of them, the one that waits longest.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The slots of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Connections without a request, by client and by age.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    clients: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

/// One connection's.
#[derive(Debug)]
pub(crate) struct Slot {
    client: IpAddr,
    waiting: Arc<Mutex<Waiting>>,
    _free: Option<OwnedSemaphorePermit>,
}

/// A connection waits for a request, until this is dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    slot: &'a Slot,
    number: u64,
    close: CancellationToken,
}

impl Slots {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            waiting: Arc::default(),
        }
    }

    /// A slot for a connection of `client`. With none free, a connection that waits is told
    /// to close; where none waits, this lasts until a request ends.
    pub(crate) async fn enter(&self, client: IpAddr) -> Slot {
        // One client over IPv4, also where it comes through a socket of IPv6.
        let client = client.to_canonical();
        let mut free = self.free.clone().try_acquire_owned().ok();
        if free.is_none() {
            lock(&self.waiting).close_one();
            // The semaphore is never closed.
            free = self.free.clone().acquire_owned().await.ok();
        }
        Slot {
            client,
            waiting: self.waiting.clone(),
            _free: free,
        }
    }
}

impl Slot {
    /// Whose connection it is.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// The connection waits for a request from now on.
    pub(crate) fn wait(&self) -> Wait<'_> {
        let close = CancellationToken::new();
        let mut waiting = lock(&self.waiting);
        let number = waiting.next;
        waiting.next += 1;
        let of_client = waiting.clients.entry(self.client).or_default();
        of_client.insert(number, close.clone());
        Wait {
            slot: self,
            number,
            close,
        }
    }
}

impl Wait<'_> {
    /// Ends when the connection has to make room.
    pub(crate) async fn has_to_close(&self) {
        self.close.cancelled().await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        lock(&self.slot.waiting).forget(self.slot.client, self.number);
    }
}

impl Waiting {
    fn close_one(&mut self) {
        let most = self.clients.iter().max_by_key(|(_, waits)| waits.len());
        let Some((&client, waits)) = most else {
            return;
        };
        if let Some((&number, close)) = waits.first_key_value() {
            close.cancel();
            self.forget(client, number);
        }
    }

    fn forget(&mut self, client: IpAddr, number: u64) {
        if let Some(waits) = self.clients.get_mut(&client) {
            waits.remove(&number);
            if waits.is_empty() {
                self.clients.remove(&client);
            }
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // Nothing under this lock panics; any state of the maps is valid.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    fn client(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn is_closed(wait: &Wait<'_>) -> bool {
        wait.has_to_close().now_or_never().is_some()
    }

    #[tokio::test]
    async fn who_waits_longest_of_the_client_with_most_makes_room() {
        let slots = Slots::new(4);
        let mut held = Vec::new();
        for n in [1, 2, 2, 2] {
            held.push(slots.enter(client(n)).await);
        }
        let waits: Vec<_> = held.iter().map(Slot::wait).collect();
        assert!(slots.enter(client(3)).now_or_never().is_none());
        let closed: Vec<_> = waits.iter().map(is_closed).collect();
        assert_eq!(closed, [false, true, false, false]);
        drop(waits);
        held.remove(1);
        assert!(slots.enter(client(3)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_connection_with_a_request_is_never_closed() {
        let slots = Slots::new(1);
        let slot = slots.enter(client(1)).await;
        drop(slot.wait());
        let mut next = pin!(slots.enter(client(2)));
        assert!((&mut next).now_or_never().is_none());
        drop(slot);
        next.await;
    }
}
