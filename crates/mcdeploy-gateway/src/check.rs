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

/// A check may take this long at most, and where its upstream never answered one: it may be
/// far away.
const MOST: Duration = Duration::from_secs(2);
/// A check fails after so many times what earlier ones took, where that is over its limit.
const PATIENCE: u32 = 3;

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
    let mut addresses = Addresses::default();
    let mut usual = None;
    let mut first = true;
    loop {
        ticks.tick().await;
        addresses.look_up(&upstream, config.timeout).await;
        if !config.enabled {
            continue;
        }
        let Some(peer) = upstream.peer() else {
            continue;
        };
        let limit = limit(usual, config.timeout);
        let start = Instant::now();
        // A connection is kept for the next one: over a long way, a new one costs as much again.
        let mut refuses = false;
        let good = match timeout(limit, state.pool.send(&peer, &request, false)).await {
            Ok(Ok(answer)) => {
                usual = Some(smoothed(usual, start.elapsed()));
                answer.head.status.is_success()
            }
            Ok(Err(error)) => {
                tracing::debug!(upstream = %upstream.key(), %error, "check failed");
                refuses = error.is_refused();
                false
            }
            Err(_) => false,
        };
        upstream.set_refuses(refuses);
        state.checked(&upstream, good);
        if !good {
            addresses.next(&upstream);
        }
        if std::mem::take(&mut first) {
            tokio::time::sleep(Duration::from_millis(phase)).await;
            ticks.reset_immediately();
        }
    }
}

/// How long a check may take whose upstream usually takes `usual`.
fn limit(usual: Option<Duration>, least: Duration) -> Duration {
    let most = MOST.max(least);
    usual.map_or(most, |usual| (usual * PATIENCE).clamp(least, most))
}

/// Follows slowly, so that one late answer does not make the next failure late, too.
fn smoothed(usual: Option<Duration>, took: Duration) -> Duration {
    usual.map_or(took, |usual| (usual * 7 + took) / 8)
}

/// A pod is asked whether it is ready. A region is asked for the model, as a request that
/// crossed: a gateway that lives without its pods says no.
fn request(cluster: &str, key: &UpstreamKey) -> Outgoing {
    let mut headers = HeaderMap::new();
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

/// The addresses behind a host name, of which one is in use.
#[derive(Debug, Default)]
struct Addresses {
    known: Vec<SocketAddr>,
    looked_up: Option<Instant>,
}

impl Addresses {
    /// Keeps them fresh. The last good ones stay when a look-up fails, and the one in use stays
    /// in use while the name has it.
    async fn look_up(&mut self, upstream: &Upstream, limit: Duration) {
        let UpstreamKey::Region { address, .. } = upstream.key() else {
            return;
        };
        let fresh = self.looked_up.is_some_and(|at| at.elapsed() < LOOKUP_EVERY);
        if address.parse::<SocketAddr>().is_ok() || fresh && upstream.is_usable() {
            return;
        }
        match timeout(limit, lookup_host(address.as_str())).await {
            Ok(Ok(found)) => {
                self.looked_up = Some(Instant::now());
                self.take(found.collect(), upstream);
            }
            Ok(Err(error)) => {
                tracing::debug!(upstream = %upstream.key(), %error, "host name not found");
            }
            Err(_) => tracing::debug!(upstream = %upstream.key(), "host name look-up timed out"),
        }
    }

    fn take(&mut self, found: Vec<SocketAddr>, upstream: &Upstream) {
        let Some(first) = found.first() else {
            return;
        };
        if !upstream.address().is_some_and(|now| found.contains(&now)) {
            upstream.set_address(*first);
        }
        self.known = found;
    }

    /// Goes on to the one after the one in use, which failed a check.
    fn next(&self, upstream: &Upstream) {
        let now = upstream.address();
        let at = self.known.iter().position(|known| Some(*known) == now);
        let mut after = self.known.iter().cycle().skip(at.map_or(0, |at| at + 1));
        if let Some(next) = after.next()
            && Some(*next) != now
        {
            upstream.set_address(*next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_each_gets_its_turn_until_one_answers() {
        let upstream = Upstream::new(UpstreamKey::Region {
            model: "m".to_owned(),
            cluster: "gcp".to_owned(),
            address: "gateway.example.com:80".to_owned(),
        });
        let [a, b, c] = [1, 2, 3].map(|n| SocketAddr::from(([192, 0, 2, n], 80)));
        let mut addresses = Addresses::default();
        addresses.next(&upstream);
        assert_eq!(upstream.address(), None);
        addresses.take(vec![a, b], &upstream);
        assert_eq!(upstream.address(), Some(a));
        addresses.next(&upstream);
        assert_eq!(upstream.address(), Some(b));
        addresses.take(vec![c, b], &upstream);
        assert_eq!(upstream.address(), Some(b), "it is still one of them");
        addresses.next(&upstream);
        assert_eq!(upstream.address(), Some(c));
        addresses.take(vec![], &upstream);
        addresses.take(vec![a], &upstream);
        addresses.next(&upstream);
        assert_eq!(upstream.address(), Some(a));
    }

    #[test]
    fn limits_follow_what_checks_take() {
        let (ms, least) = (Duration::from_millis, Duration::from_millis(400));
        assert_eq!(limit(None, least), MOST);
        assert_eq!(limit(Some(ms(1)), least), least);
        assert_eq!(limit(Some(ms(300)), least), ms(900), "another continent");
        assert_eq!(
            limit(Some(ms(900)), least),
            MOST,
            "a slow one is found out, too"
        );
        assert_eq!(smoothed(None, ms(300)), ms(300));
        assert_eq!(smoothed(Some(ms(80)), ms(160)), ms(90));
    }
}
