//! Steady load on gateways, open loop: a slow answer delays no other request.

use std::{net::SocketAddr, time::Duration};

use mcdeploy_api::names::HEADER_CLUSTER;
use reqwest::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::world::{MODEL, Region};

/// Requests a second to each gateway.
const RATE: u64 = 50;

/// One request and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) gateway: &'static str,
    pub(crate) end: Instant,
    /// The cluster that answered, or what went wrong.
    pub(crate) result: Result<String, String>,
}

/// All requests of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// Requests that failed at or after `from`.
    pub(crate) fn failed_from(&self, from: Instant) -> Vec<&Sample> {
        let failed = self.0.iter().filter(|s| s.result.is_err());
        failed.filter(|s| s.end >= from).collect()
    }

    /// Requests that another region answered.
    pub(crate) fn crossed(&self) -> usize {
        let crossed = |s: &&Sample| s.result.as_ref().is_ok_and(|c| c != s.gateway);
        self.0.iter().filter(crossed).count()
    }

    pub(crate) fn failed(&self) -> usize {
        self.0.iter().filter(|s| s.result.is_err()).count()
    }
}

/// Clients, one that keeps connections and one that does not.
#[derive(Clone)]
pub(crate) struct Clients([Client; 2]);

impl Clients {
    pub(crate) fn new() -> Self {
        let client = |idle| {
            Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(5))
                .pool_max_idle_per_host(idle)
                .build()
                .unwrap()
        };
        Self([client(0), client(64)])
    }

    pub(crate) fn kept(&self) -> &Client {
        &self.0[1]
    }
}

/// Sends to each of `gateways` for `time`.
pub(crate) async fn load(gateways: &[&Region], time: Duration) -> Samples {
    let clients = Clients::new();
    let mut ticks = interval(Duration::from_millis(1000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    let mut number = 0;
    while Instant::now() < end {
        ticks.tick().await;
        number += 1;
        for gateway in gateways {
            let client = clients.0[number % 2].clone();
            tasks.spawn(one(client, gateway.cluster, gateway.address));
        }
    }
    Samples(tasks.join_all().await)
}

async fn one(client: Client, gateway: &'static str, address: SocketAddr) -> Sample {
    let result = infer(&client, address).await;
    Sample {
        gateway,
        end: Instant::now(),
        result,
    }
}

/// One inference; the cluster that answered.
pub(crate) async fn infer(client: &Client, address: SocketAddr) -> Result<String, String> {
    let url = format!("http://{address}/v2/models/{MODEL}/infer");
    let sent = client.post(url).body("{\"inputs\":[]}").send().await;
    let response = sent.map_err(|e| format!("{e:?}"))?;
    let status = response.status();
    let cluster = response.headers().get(HEADER_CLUSTER).cloned();
    let body = response.text().await.map_err(|e| format!("{e:?}"))?;
    if !status.is_success() {
        return Err(format!("{status}: {body}"));
    }
    let cluster = cluster.ok_or_else(|| format!("no {HEADER_CLUSTER}"))?;
    Ok(cluster.to_str().unwrap_or_default().to_owned())
}
