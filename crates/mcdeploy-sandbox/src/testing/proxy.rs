//! An HTTP/1.1 proxy of the tests' own in front of one store: it counts what passes and
//! breaks what it is told to break.
//!
//! It passes bytes on as they come, so that signatures hold, and looks only at where a
//! message ends. What it counts of a body is what is on the wire, framing included.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mcdeploy_api::StoreAccess;
use reqwest::Url;
use tokio::{net::TcpListener, sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{StartError, child::listen_on_port_80};

mod connection;
mod framing;

/// Exchanges that are remembered; later ones are only counted.
const MAX_EXCHANGES: usize = 200_000;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server is not asked.
    Answer {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds.
        retry_after: Option<u64>,
    },
    /// The connection is reset in the request's body.
    ResetRequest {
        /// Bytes of the body that still pass.
        after_bytes: u64,
    },
    /// The connection is reset in the answer's body.
    ResetAnswer {
        /// Bytes of the body that still pass.
        after_bytes: u64,
    },
    /// Nothing more of the request passes, and nothing is closed.
    StallRequest {
        /// Bytes of the body that still pass.
        after_bytes: u64,
    },
    /// Nothing more of the answer passes, and nothing is closed.
    StallAnswer {
        /// Bytes of the body that still pass.
        after_bytes: u64,
    },
    /// One bit of the request's body arrives changed.
    FlipRequest {
        /// Which byte of the body, counted from 0.
        at_byte: u64,
    },
    /// One bit of the answer's body arrives changed.
    FlipAnswer {
        /// Which byte of the body, counted from 0.
        at_byte: u64,
    },
    /// The server gets the request and its answer is lost.
    LoseAnswer,
    /// The request waits before it passes.
    Delay(Duration),
}

/// What the link is like for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Up.
    Up,
    /// Connections are reset, open ones too.
    Down,
    /// Connections come about, and nothing moves, also on open ones.
    Silent,
}

/// A request as a fault sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRequest {
    /// Method, upper case.
    pub method: String,
    /// Path as on the wire, percent-encoded.
    pub path: String,
    /// Query as on the wire without signatures; empty without one.
    pub query: String,
    /// Length of the body, when the head says it.
    pub body_bytes: u64,
}

/// One request and its answer, so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked.
    pub request: ProxyRequest,
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    /// Bytes of the request's body that went to the server.
    pub sent_bytes: u64,
    /// Bytes of the answer's body that went to the client.
    pub received_bytes: u64,
}

impl Exchange {
    fn add(&mut self, way: Way, bytes: usize) {
        match way {
            Way::Up => self.sent_bytes += bytes as u64,
            Way::Down => self.received_bytes += bytes as u64,
        }
    }
}

/// Sums over all exchanges, those under way included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that arrived.
    pub requests: u64,
    /// Bytes of bodies to the server.
    pub sent_bytes: u64,
    /// Bytes of bodies from the server.
    pub received_bytes: u64,
    /// Connections that clients opened.
    pub connections: u64,
}

/// A listening address in front of one server. Gone when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({} > {})", self.address, self.shared.target)
    }
}

type Script = Box<dyn FnMut(&ProxyRequest) -> Option<Fault> + Send>;

/// What the listener and its connections share.
struct Shared {
    target: SocketAddr,
    link: watch::Sender<Link>,
    script: Mutex<Option<Script>>,
    latency_us: AtomicU64,
    /// Bytes per second each way; 0 is no limit.
    bandwidth: AtomicU64,
    /// When each way is free again.
    free_at: [Mutex<Option<Instant>>; 2],
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    connections: AtomicU64,
    exchanges: Mutex<Vec<SharedExchange>>,
}

/// Filled by its connection while anybody may look.
type SharedExchange = Arc<Mutex<Exchange>>;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// A panic of one test's script must not hide the counts from the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn fault(&self, request: &ProxyRequest) -> Option<Fault> {
        lock(&self.script).as_mut()?(request)
    }

    fn begin(&self, request: ProxyRequest) -> SharedExchange {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let exchange = Arc::new(Mutex::new(Exchange {
            request,
            status: 0,
            sent_bytes: 0,
            received_bytes: 0,
        }));
        let mut exchanges = lock(&self.exchanges);
        if exchanges.len() < MAX_EXCHANGES {
            exchanges.push(exchange.clone());
        }
        exchange
    }

    fn count(&self, way: Way, bytes: usize) {
        let counter = match way {
            Way::Up => &self.sent,
            Way::Down => &self.received,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits as long as these bytes take on a link of the set bandwidth.
    async fn pace(&self, way: Way, bytes: usize) {
        let bandwidth = self.bandwidth.load(Ordering::Relaxed);
        if bandwidth == 0 {
            return;
        }
        let micros = (bytes as u64).saturating_mul(1_000_000) / bandwidth;
        let free = {
            let mut free = lock(&self.free_at[usize::from(way == Way::Down)]);
            let now = Instant::now();
            let next = free.map_or(now, |at| at.max(now)) + Duration::from_micros(micros);
            *free = Some(next);
            next
        };
        tokio::time::sleep_until(free).await;
    }
}

impl Proxy {
    /// In front of `target`, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port is free.
    pub async fn to(target: SocketAddr) -> Result<Self, StartError> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self::serve(listener.map_err(StartError::Port)?, target)
    }

    /// In front of the server that `access` names, and the access that goes through the
    /// proxy. For Google the address has port 80, because its SDK leaves the port out of
    /// the `Host` header.
    ///
    /// # Errors
    /// No address is free, or `access` names no server by address.
    pub async fn in_front_of(access: &StoreAccess) -> Result<(Self, StoreAccess), StartError> {
        let mut access = access.clone();
        let location = &mut access.spec.location;
        let is_google = location.gcs.is_some();
        let s3 = location.s3.as_mut().and_then(|s3| s3.endpoint.as_mut());
        let azure = location
            .azure_blob
            .as_mut()
            .map(|azure| &mut azure.endpoint);
        let gcs = location.gcs.as_mut().and_then(|gcs| gcs.endpoint.as_mut());
        let no_server = || StartError::Port(io::Error::other("the store has no endpoint"));
        let endpoint = s3.or(azure).or(gcs).ok_or_else(no_server)?;
        let mut url = Url::parse(endpoint).map_err(|e| StartError::Port(io::Error::other(e)))?;
        let host: Option<IpAddr> = url.host_str().and_then(|host| host.parse().ok());
        let (host, port) = host
            .zip(url.port_or_known_default())
            .ok_or_else(no_server)?;
        let target = SocketAddr::new(host, port);
        let proxy = if is_google {
            let listener = listen_on_port_80()?;
            listener.set_nonblocking(true).map_err(StartError::Port)?;
            let listener = TcpListener::from_std(listener).map_err(StartError::Port)?;
            Self::serve(listener, target)?
        } else {
            Self::to(target).await?
        };
        let outcome = url
            .set_ip_host(proxy.address.ip())
            .and_then(|()| url.set_port(Some(proxy.address.port())));
        outcome.map_err(|()| no_server())?;
        url.as_str().trim_end_matches('/').clone_into(endpoint);
        Ok((proxy, access))
    }

    fn serve(listener: TcpListener, target: SocketAddr) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(StartError::Port)?;
        let shared = Arc::new(Shared {
            target,
            link: watch::Sender::new(Link::Up),
            script: Mutex::new(None),
            latency_us: AtomicU64::new(0),
            bandwidth: AtomicU64::new(0),
            free_at: [Mutex::new(None), Mutex::new(None)],
            requests: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            exchanges: Mutex::new(vec![]),
        });
        let task = tokio::spawn(connection::accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks `script` about every request from now on, in the order of their arrival.
    pub fn inject(&self, script: impl FnMut(&ProxyRequest) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.script) = Some(Box::new(script));
    }

    /// Breaks the first `times` requests that `matches` says yes to.
    pub fn inject_times(
        &self,
        times: u64,
        fault: Fault,
        mut matches: impl FnMut(&ProxyRequest) -> bool + Send + 'static,
    ) {
        let mut left = times;
        self.inject(move |request| {
            let hit = left > 0 && matches(request);
            left -= u64::from(hit);
            hit.then_some(fault)
        });
    }

    /// Ends every fault: no script, link up, no latency, no limit.
    pub fn heal(&self) {
        *lock(&self.shared.script) = None;
        self.shared.link.send_replace(Link::Up);
        self.set_latency(Duration::ZERO);
        self.set_bandwidth(None);
    }

    /// Changes the link for everybody.
    pub fn set_link(&self, link: Link) {
        self.shared.link.send_replace(link);
    }

    /// How long each request waits before it passes.
    pub fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.shared.latency_us.store(micros, Ordering::Relaxed);
    }

    /// Bytes per second each way, over all connections together.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        let limit = bytes_per_second.unwrap_or(0);
        self.shared.bandwidth.store(limit, Ordering::Relaxed);
    }

    /// What passed so far.
    pub fn counts(&self) -> Counts {
        let shared = &self.shared;
        Counts {
            requests: shared.requests.load(Ordering::Relaxed),
            sent_bytes: shared.sent.load(Ordering::Relaxed),
            received_bytes: shared.received.load(Ordering::Relaxed),
            connections: shared.connections.load(Ordering::Relaxed),
        }
    }

    /// Exchanges so far in the order of their requests, those under way included.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let exchanges = lock(&self.shared.exchanges);
        let exchanges = exchanges.iter().map(|exchange| lock(exchange).clone());
        exchanges.collect()
    }

    /// Starts to count anew.
    pub fn reset_counts(&self) {
        let shared = &self.shared;
        for counter in [
            &shared.requests,
            &shared.sent,
            &shared.received,
            &shared.connections,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        lock(&shared.exchanges).clear();
    }
}
