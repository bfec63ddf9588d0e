//! What the parts of one gateway share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::{
    config::Config,
    health::{Change, Outcome},
    metrics::{EjectionLabels, Metrics},
    rng::Rng,
    room::Room,
    table::Table,
    upstream::Upstream,
    upstream_try::Pool,
};

/// Shared by listeners, checks and sources of one gateway.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) table: watch::Sender<Option<Arc<Table>>>,
    pub(crate) pool: Pool,
    pub(crate) metrics: Metrics,
    pub(crate) room: Room,
    draining: AtomicBool,
    seed: u64,
    requests: AtomicU64,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            table: watch::Sender::new(None),
            pool: Pool::new(config.limits.pooled_connections, config.timings),
            metrics: Metrics::new(),
            room: Room::new(config.limits.buffered_bytes),
            draining: AtomicBool::new(false),
            seed: Rng::from_entropy().next_u64(),
            requests: AtomicU64::new(0),
            config,
        }
    }

    /// The newest table; `None` before the first.
    pub(crate) fn table(&self) -> Option<Arc<Table>> {
        self.table.borrow().clone()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Randomness for one request.
    pub(crate) fn rng(&self) -> Rng {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Rng::new(self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// Tells an upstream's health how a request ended there.
    pub(crate) fn outcome(&self, upstream: &Upstream, outcome: Outcome) {
        let change = upstream.on_request(outcome, &self.config.health);
        self.changed(upstream, change);
    }

    /// Tells an upstream's health how a check ended.
    pub(crate) fn checked(&self, upstream: &Upstream, good: bool) {
        let change = upstream.on_check(good, &self.config.health);
        self.changed(upstream, change);
    }

    fn changed(&self, upstream: &Upstream, change: Option<Change>) {
        let key = upstream.key();
        match change {
            None => {}
            Some(Change::Ejected(cause)) => {
                let labels = EjectionLabels {
                    model: key.model().to_owned(),
                    cluster: key.region().unwrap_or(&self.config.cluster).to_owned(),
                    cause: cause.as_str(),
                };
                self.metrics.ejections.get_or_create(&labels).inc();
                tracing::warn!(
                    model = key.model(),
                    upstream = %key,
                    cause = cause.as_str(),
                    "upstream ejected"
                );
                let route = self
                    .table()
                    .and_then(|t| t.models.get(key.model()).cloned());
                if route.is_some_and(|route| route.panics()) {
                    tracing::error!(
                        model = key.model(),
                        "panic: fewer than half of the pods here are healthy, and no other \
                         region; those that are slow or failing are asked, too"
                    );
                }
            }
            Some(Change::Returned) => {
                tracing::info!(model = key.model(), upstream = %key, "upstream returned");
            }
        }
    }
}
