//! Active checks: a task per upstream, for as long as the table lists it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method};
use mcdeploy_api::names::HEADER_HOP;
use tokio::{
    net::lookup_host,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    rng::Rng,
    state::State,
    upstream::{Upstream, UpstreamKey},
    upstream_try::Outgoing,
};

/// A host name is looked up again after this.
const LOOKUP_EVERY: Duration = Duration::from_secs(30);

/// The running checks.
#[derive(Debug, Default)]
pub(crate) struct Checks(BTreeMap<UpstreamKey, AbortOnDropHandle<()>>);

impl Checks {
    /// Starts checks of new upstreams and ends those of others.
    pub(crate) fn follow(&mut self, state: &Arc<State>, upstreams: &[Arc<Upstream>]) {
        let mut old = std::mem::take(&mut self.0);
        for upstream in upstreams {
            let key = upstream.key().clone();
            let task = old.remove(&key).unwrap_or_else(|| {
                let check = check(state.clone(), upstream.clone());
                AbortOnDropHandle::new(tokio::spawn(check))
            });
            self.0.insert(key, task);
        }
    }
}

async fn check(state: Arc<State>, upstream: Arc<Upstream>) {
    let config = state.config.health;
    let request = request(&state.config.cluster, upstream.key());
    // Spread, so that the checks of a region do not come all at once.
    let phase = Rng::from_entropy().below(u64::try_from(config.interval.as_millis()).unwrap_or(0));
    let mut ticks = interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_up = None;
    let mut first = true;
    loop {
        ticks.tick().await;
        look_up(&upstream, &mut looked_up, config.timeout).await;
        if !config.enabled {
            continue;
        }
        let Some(peer) = upstream.peer() else {
            continue;
        };
        let good = match timeout(config.timeout, state.pool.send(&peer, &request, true)).await {
            Ok(Ok(answer)) => answer.head.status.is_success(),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %upstream.key(), %error, "check failed");
                false
            }
            Err(_) => false,
        };
        state.checked(&upstream, good);
        if std::mem::take(&mut first) {
            tokio::time::sleep(Duration::from_millis(phase)).await;
            ticks.reset_immediately();
        }
    }
}

/// A pod is asked whether it is ready. A region is asked for the model, as a request that
/// crossed: a gateway that lives without its pods says no.
fn request(cluster: &str, key: &UpstreamKey) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    let path = match key {
        UpstreamKey::Pod { .. } => "/v2/health/ready".to_owned(),
        UpstreamKey::Region { model, .. } => {
            if let Ok(value) = HeaderValue::from_str(cluster) {
                headers.insert(HEADER_HOP, value);
            }
            format!("/v2/models/{model}/ready")
        }
    };
    Outgoing {
        method: Method::GET,
        path,
        headers,
        body: None,
    }
}

/// Keeps the address of a host name fresh. The last good one stays when a look-up fails.
async fn look_up(upstream: &Upstream, looked_up: &mut Option<Instant>, limit: Duration) {
    let UpstreamKey::Region { address, .. } = upstream.key() else {
        return;
    };
    let fresh = looked_up.is_some_and(|at| at.elapsed() < LOOKUP_EVERY);
    if address.parse::<SocketAddr>().is_ok() || fresh && upstream.is_usable() {
        return;
    }
    match timeout(limit, lookup_host(address.as_str())).await {
        Ok(Ok(mut found)) => {
            *looked_up = Some(Instant::now());
            if let Some(address) = found.next() {
                upstream.set_address(address);
            }
        }
        Ok(Err(error)) => {
            tracing::debug!(upstream = %upstream.key(), %error, "host name not found");
        }
        Err(_) => tracing::debug!(upstream = %upstream.key(), "host name look-up timed out"),
    }
}
