//! One place that can answer: a pod of this region, or another region's gateway.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use pingora::upstreams::peer::{HttpPeer, Peer};
use tokio::{sync::Notify, time::Instant};

use crate::{
    config::HealthConfig,
    health::{Change, Health, Outcome},
};

/// What tells upstreams apart. One server that serves two models is two upstreams:
/// it may be good for one and bad for the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamKey {
    /// A pod of this region.
    Pod {
        /// Model that it serves.
        model: String,
        /// Revision that it serves.
        revision: String,
        /// Its address.
        address: SocketAddr,
    },
    /// Another region's gateway.
    Region {
        /// Model that it is asked for.
        model: String,
        /// Member cluster that it serves in.
        cluster: String,
        /// `host:port`.
        address: String,
    },
}

impl UpstreamKey {
    /// Model that this upstream is asked for.
    pub fn model(&self) -> &str {
        match self {
            Self::Pod { model, .. } | Self::Region { model, .. } => model,
        }
    }

    /// The other cluster; `None` for a pod of this one.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::Pod { .. } => None,
            Self::Region { cluster, .. } => Some(cluster),
        }
    }

    /// What clients are told of it: no address.
    pub fn place(&self) -> String {
        match self {
            Self::Pod { revision, .. } => format!("a pod of revision {revision}"),
            Self::Region { cluster, .. } => format!("region {cluster}"),
        }
    }
}

impl fmt::Display for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod {
                revision, address, ..
            } => write!(f, "pod {address} (revision {revision})"),
            Self::Region {
                cluster, address, ..
            } => write!(f, "region {cluster} ({address})"),
        }
    }
}

/// An upstream and what is known about it. Lives as long as some table lists it.
#[derive(Debug)]
pub struct Upstream {
    key: UpstreamKey,
    health: Mutex<Health>,
    /// Copy of `health.is_ejected()`, for readers.
    ejected: AtomicBool,
    /// The last check found nothing that listens.
    refuses: AtomicBool,
    /// Told while checks fail.
    silent: Notify,
    in_flight: AtomicU32,
    peer: RwLock<Option<Arc<HttpPeer>>>,
}

impl Upstream {
    /// A new one, taken for healthy. A host name stays without an address until
    /// [`Upstream::set_address`].
    pub fn new(key: UpstreamKey) -> Arc<Self> {
        let address = match &key {
            UpstreamKey::Pod { address, .. } => Some(*address),
            UpstreamKey::Region { address, .. } => address.parse().ok(),
        };
        Arc::new(Self {
            key,
            health: Mutex::default(),
            ejected: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            silent: Notify::new(),
            in_flight: AtomicU32::new(0),
            peer: RwLock::new(address.map(peer)),
        })
    }

    /// What tells it apart.
    pub fn key(&self) -> &UpstreamKey {
        &self.key
    }

    /// Whether it is known where to connect to, and not out.
    pub fn is_usable(&self) -> bool {
        !self.ejected.load(Ordering::Relaxed) && self.peer().is_some()
    }

    /// Whether it may be busy and not dead: there is an address, and the last check found
    /// something that listens there.
    pub fn may_live(&self) -> bool {
        !self.refuses.load(Ordering::Relaxed) && self.peer().is_some()
    }

    /// Takes whether a check found nothing that listens.
    pub fn set_refuses(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Where to connect to.
    pub fn peer(&self) -> Option<Arc<HttpPeer>> {
        self.peer
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The address that is connected to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.peer()?.address().as_inet().copied()
    }

    /// Sets where to connect to.
    pub fn set_address(&self, address: SocketAddr) {
        *self.peer.write().unwrap_or_else(PoisonError::into_inner) = Some(peer(address));
    }

    /// Ends when so many checks in a row have failed that they eject it, whether or not
    /// requests had ejected it before.
    pub async fn silence(&self) {
        self.silent.notified().await;
    }

    /// Takes the result of an active check.
    pub fn on_check(&self, good: bool, config: &HealthConfig) -> Option<Change> {
        let mut health = self.health();
        let change = health.on_check(good, Instant::now(), config);
        self.note(&health, change);
        if health.is_silent(config) {
            self.silent.notify_waiters();
        }
        change
    }

    /// Takes the outcome of a request.
    pub fn on_request(&self, outcome: Outcome, config: &HealthConfig) -> Option<Change> {
        let mut health = self.health();
        let change = health.on_request(outcome, Instant::now(), config);
        self.note(&health, change);
        change
    }

    fn note(&self, health: &Health, change: Option<Change>) {
        self.ejected.store(health.is_ejected(), Ordering::Relaxed);
        if !matches!(change, Some(Change::Ejected(_))) {
            return;
        }
        // Idle connections from before the ejection may be dead without knowing: in
        // another group, they are not used again.
        let mut peer = self.peer.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = peer.as_deref() {
            let mut new = old.clone();
            new.group_key = new.group_key.wrapping_add(1);
            *peer = Some(Arc::new(new));
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // Nothing under this lock panics; counters are valid in any state.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn peer(address: SocketAddr) -> Arc<HttpPeer> {
    Arc::new(HttpPeer::new(address, false, String::new()))
}

/// Counts one request under way at an upstream.
#[derive(Debug)]
pub struct InFlight(Arc<Upstream>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
