//! What a gateway is told at its start.

use std::time::Duration;

/// Settings of one gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the member cluster that this gateway serves in.
    pub cluster: String,
    /// Time-outs of requests and tries.
    pub timings: Timings,
    /// Active checks and ejection.
    pub health: HealthConfig,
    /// Whether and how often a request is tried again.
    pub retries: RetryConfig,
    /// What a gateway holds at most.
    pub limits: Limits,
    /// Which requests have a line in the log.
    pub access_log: AccessLog,
}

/// Which requests have a line in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    None,
    /// Those that were answered with 5xx, or whose answer broke.
    #[default]
    Failed,
    /// All.
    All,
}

/// Time-outs of requests and tries.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// For a TCP connection to an upstream.
    pub connect: Duration,
    /// For the head of an answer over all tries. A single try may last as long: slow is not
    /// dead, and a request that is worked on is not begun a second time elsewhere. A head whose
    /// body has not begun is kept back until then, so that another upstream can still answer.
    pub request: Duration,
    /// For the whole head of a request to arrive, from its first byte on.
    pub head: Duration,
    /// For the whole body of a request to arrive.
    pub body: Duration,
    /// Between two parts of an answer's body, and for writing a part to the client.
    pub stream_idle: Duration,
    /// Connections to clients without a request are closed after this. Longer than any
    /// balancer in front keeps them (600 s is the most, Google's,
    /// <https://docs.cloud.google.com/load-balancing/docs/https#timeouts_and_retries>,
    /// 2026-11-30), so that the balancer closes first, and never sends into a closed one.
    pub client_keepalive: Duration,
    /// Connections to upstreams without a request are closed after this. Shorter than
    /// `client_keepalive`, so that a gateway drops its idle connections to another
    /// gateway before that one does.
    pub upstream_keepalive: Duration,
    /// After SIGTERM, new connections are still taken for this long, so that load
    /// balancers can notice.
    pub drain_delay: Duration,
    /// After that, requests under way have this long to end.
    pub drain: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(300),
            request: Duration::from_secs(30),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            stream_idle: Duration::from_mins(1),
            client_keepalive: Duration::from_secs(620),
            upstream_keepalive: Duration::from_secs(30),
            drain_delay: Duration::from_secs(5),
            drain: Duration::from_secs(15),
        }
    }
}

/// Active checks and ejection.
#[derive(Clone, Copy, Debug)]
pub struct HealthConfig {
    /// Off: nothing is checked and nothing is ejected. For the control run of tests.
    pub enabled: bool,
    /// Time from one check of an upstream to the next.
    pub interval: Duration,
    /// Time-out of one check, where its upstream is near: the limit follows what checks of an
    /// upstream usually take.
    pub timeout: Duration,
    /// So many failures in a row, of checks or of requests that found nobody, eject.
    pub fall: u32,
    /// So many answers 502, 503 or 504 in a row eject.
    pub fall_on_status: u32,
    /// So many good checks in a row bring back.
    pub rise: u32,
    /// The least time out; doubled with each ejection that follows within a minute.
    pub hold: Duration,
    /// Upper bound of the doubled time.
    pub hold_max: Duration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_millis(500),
            timeout: Duration::from_millis(400),
            fall: 2,
            fall_on_status: 5,
            rise: 3,
            hold: Duration::from_secs(1),
            hold_max: Duration::from_secs(30),
        }
    }
}

/// Whether and how often a request is tried again.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    /// Off: each request is tried once. For the control run of tests.
    pub enabled: bool,
    /// Tries in this region that an upstream saw, the first included.
    pub local_tries: u32,
    /// Tries in other regions that an upstream saw.
    pub remote_tries: u32,
    /// Retries that each request to a model pays for, in percent of one.
    pub budget_percent: u32,
    /// Retries a second that a model always has.
    pub budget_min_per_second: u32,
    /// Retries that a model may have at once where its traffic is thin, so that the first
    /// seconds of an outage are not starved.
    pub budget_burst: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            local_tries: 2,
            remote_tries: 2,
            budget_percent: 20,
            budget_min_per_second: 1,
            budget_burst: 100,
        }
    }
}

/// What a gateway holds at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one request's body, which is kept so that it can be sent again. A larger
    /// one is answered with 413.
    pub body_bytes: usize,
    /// Bytes of all kept bodies together; beyond, requests are answered with 503, or with 429
    /// where their client has more than its share.
    pub buffered_bytes: usize,
    /// Bytes of the head of one request. A larger one is answered with 431.
    pub head_bytes: usize,
    /// Connections from clients; beyond, one that waits for a request is closed for each that
    /// comes, and where none waits, new ones wait in the kernel's queue.
    pub connections: usize,
    /// The same for `/healthz`, `/livez` and `/metrics`.
    pub admin_connections: usize,
    /// Idle connections to upstreams that are kept.
    pub pooled_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            buffered_bytes: 256 << 20,
            head_bytes: 64 << 10,
            connections: 4096,
            admin_connections: 32,
            pooled_connections: 512,
        }
    }
}

impl Config {
    /// Defaults for a gateway in `cluster`.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            timings: Timings::default(),
            health: HealthConfig::default(),
            retries: RetryConfig::default(),
            limits: Limits::default(),
            access_log: AccessLog::default(),
        }
    }
}
