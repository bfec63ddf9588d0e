//! Room for the bodies of requests, which are kept so that they can be sent again.
//!
//! Room is taken as bytes arrive: what was announced and never sent takes none. Beyond
//! half of it, no client and no model gets more than its share, so that one that sends
//! much leaves room for those who send little.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Bytes for all bodies of a gateway.
#[derive(Debug)]
pub(crate) struct Room {
    total: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
    by_model: HashMap<String, usize>,
}

/// Room that one body holds until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    room: &'a Room,
    client: IpAddr,
    model: &'a str,
    bytes: usize,
}

/// Why a body gets no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All of it is taken.
    Gateway,
    /// The client has its share.
    Client,
    /// The model has its share.
    Model,
}

impl Room {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            used: Mutex::default(),
        }
    }

    /// Room for a body that `client` sends to `model`; none is taken yet.
    pub(crate) fn hold<'a>(&'a self, client: IpAddr, model: &'a str) -> Held<'a> {
        Held {
            room: self,
            client,
            model,
            bytes: 0,
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Nothing under this lock panics; any numbers are valid.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    /// Takes room for `bytes` more.
    ///
    /// # Errors
    /// There is none for this body; what it holds stays held.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let total = self.room.total;
        let mut used = self.room.used();
        let all = used.all.saturating_add(bytes);
        if all > total {
            return Err(Full::Gateway);
        }
        if all > total / 2 {
            if is_over_share(&used.by_client, &self.client, bytes, total) {
                return Err(Full::Client);
            }
            if is_over_share(&used.by_model, self.model, bytes, total) {
                return Err(Full::Model);
            }
        }
        used.all = all;
        *used.by_client.entry(self.client).or_default() += bytes;
        match used.by_model.get_mut(self.model) {
            Some(of_model) => *of_model += bytes,
            None => drop(used.by_model.insert(self.model.to_owned(), bytes)),
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut used = self.room.used();
        used.all -= self.bytes;
        give_back(&mut used.by_client, &self.client, self.bytes);
        give_back(&mut used.by_model, self.model, self.bytes);
    }
}

/// Whether `bytes` more are over the even share of those who hold some.
fn is_over_share<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash + ?Sized>(
    holders: &HashMap<K, usize>,
    holder: &Q,
    bytes: usize,
    total: usize,
) -> bool {
    let held = holders.get(holder).copied();
    let others = holders.len() - usize::from(held.is_some());
    held.unwrap_or(0) + bytes > total / (others + 1)
}

fn give_back<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash + ?Sized>(
    holders: &mut HashMap<K, usize>,
    holder: &Q,
    bytes: usize,
) {
    if let Some(held) = holders.get_mut(holder) {
        *held -= bytes;
        if *held == 0 {
            holders.remove(holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn one_client_alone_may_take_all_and_gives_it_back() {
        let room = Room::new(100);
        let mut body = room.hold(client(1), "m");
        assert_eq!(body.grow(60), Ok(()));
        assert_eq!(body.grow(40), Ok(()));
        assert_eq!(body.grow(1), Err(Full::Gateway));
        drop(body);
        assert_eq!(room.hold(client(1), "m").grow(100), Ok(()));
        assert!(room.used().by_client.is_empty() && room.used().by_model.is_empty());
    }

    #[test]
    fn beyond_half_nobody_gets_more_than_a_share() {
        let room = Room::new(100);
        let (mut greedy, mut modest) = (room.hold(client(1), "m"), room.hold(client(2), "m"));
        assert_eq!(greedy.grow(45), Ok(()));
        assert_eq!(modest.grow(5), Ok(()));
        assert_eq!(
            greedy.grow(6),
            Err(Full::Client),
            "51 of 100 for one of two"
        );
        assert_eq!(modest.grow(45), Ok(()));
        // Another model is another share, also for a client that has none yet.
        let mut other = room.hold(client(3), "n");
        assert_eq!(other.grow(4), Ok(()));
        let mut more = room.hold(client(4), "m");
        assert_eq!(more.grow(1), Err(Full::Model), "m has more than half");
    }

    #[test]
    fn a_refused_body_keeps_what_it_holds_until_it_ends() {
        let room = Room::new(10);
        let mut body = room.hold(client(1), "m");
        assert_eq!(body.grow(8), Ok(()));
        assert_eq!(body.grow(8), Err(Full::Gateway));
        assert_eq!(room.used().all, 8);
        drop(body);
        assert_eq!(room.used().all, 0);
    }
}
