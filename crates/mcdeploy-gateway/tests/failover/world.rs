//! Three regions on loopback: a real gateway each, with fake model servers behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::any};
use mcdeploy_api::{Epoch, Provider, RegionRoute, RevisionRoute, RoutingSnapshotSpec};
use mcdeploy_gateway::{Config, Gateway, Input, ObjectKey, Options, Source};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::link::{Link, Mode};

pub(crate) const MODEL: &str = "digits";
pub(crate) const CLUSTERS: [&str; 3] = ["aws", "gcp", "azure"];
const PODS: usize = 3;

/// A body that ends the process that reads it.
pub(crate) const DEADLY: &str = "deadly";

/// A fake model server behind a link.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) link: Link,
    server: Arc<Server>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Server {
    /// Milliseconds that inference takes.
    delay: AtomicU64,
    /// Inferences that were begun.
    begun: AtomicU64,
}

impl Pod {
    pub(crate) async fn start() -> Self {
        let server = Arc::new(Server::default());
        let app = Router::new()
            .route("/{*path}", any(answer))
            .with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::to(listener.local_addr().unwrap()).await;
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            link,
            server,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Inferences that were begun here.
    pub(crate) fn begun(&self) -> u64 {
        self.server.begun.load(Ordering::Relaxed)
    }

    /// Makes inference take this long; checks stay fast.
    pub(crate) fn slow(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.server.delay.store(millis, Ordering::Relaxed);
    }
}

async fn answer(
    State(server): State<Arc<Server>>,
    request: axum::extract::Request,
) -> axum::Json<String> {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 16 << 20).await;
    let body = body.unwrap();
    if path.ends_with("/infer") {
        server.begun.fetch_add(1, Ordering::Relaxed);
        let delay = server.delay.load(Ordering::Relaxed);
        sleep(Duration::from_millis(delay)).await;
    }
    if body == DEADLY {
        // Ends the task of the connection, and so the connection, without an answer.
        std::panic::resume_unwind(Box::new(()));
    }
    axum::Json(format!("{path} {}", body.len()))
}

/// One region.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) cluster: &'static str,
    pub(crate) pods: Vec<Pod>,
    /// In front of the gateway, for the other regions.
    pub(crate) link: Link,
    /// Of the gateway itself, for clients.
    pub(crate) address: SocketAddr,
    input: watch::Sender<Option<Input>>,
    _task: AbortOnDropHandle<()>,
}

/// Three regions, or fewer.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) regions: Vec<Region>,
    weights: Option<[i32; 3]>,
    seq: i64,
}

/// A gateway of its own, on free ports.
pub(crate) async fn gateway(config: Config, state_dir: Option<&Path>) -> Gateway {
    let any = "127.0.0.1:0".parse().unwrap();
    let options = Options {
        config,
        listen: any,
        tls: None,
        admin: any,
        state_dir: state_dir.map(Into::into),
    };
    Gateway::bind(options).await.unwrap()
}

/// A config whose drain is short.
pub(crate) fn config(cluster: &str) -> Config {
    let mut config = Config::new(cluster);
    config.timings.drain_delay = Duration::from_millis(200);
    config
}

/// One with retries and checks off, which must fail where the other does not.
pub(crate) fn control(cluster: &str) -> Config {
    let mut config = config(cluster);
    config.retries.enabled = false;
    config.health.enabled = false;
    config
}

impl Region {
    async fn start(config: Config, cluster: &'static str) -> Self {
        let mut pods = Vec::new();
        for _ in 0..PODS {
            pods.push(Pod::start().await);
        }
        let gateway = gateway(config, None).await;
        let address = gateway.address().unwrap();
        let input = watch::Sender::new(None);
        let task = gateway.run(Source::Channel(input.subscribe()), CancellationToken::new());
        Self {
            cluster,
            pods,
            link: Link::to(address).await,
            address,
            input,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    /// Inferences that were begun in this region.
    pub(crate) fn begun(&self) -> u64 {
        self.pods.iter().map(Pod::begun).sum()
    }

    /// Breaks, or mends, all pods.
    pub(crate) fn pods(&self, mode: Mode) {
        for pod in &self.pods {
            pod.link.set(mode);
        }
    }
}

/// A revision that is served as version `v2`.
pub(crate) fn revision(revision: &str, weight: i32) -> RevisionRoute {
    RevisionRoute {
        revision: revision.to_owned(),
        version: "v2".to_owned(),
        service: format!("digits-{revision}"),
        weight,
    }
}

/// A snapshot with its hash.
pub(crate) fn snapshot(
    cluster: &str,
    seq: i64,
    local_weight: Option<i32>,
    revisions: Vec<RevisionRoute>,
    regions: Vec<RegionRoute>,
) -> RoutingSnapshotSpec {
    let mut spec = RoutingSnapshotSpec {
        model: MODEL.to_owned(),
        epoch: Epoch { term: 1, seq },
        hash: String::new(),
        cluster: cluster.to_owned(),
        repeatable: true,
        local_weight,
        revisions,
        regions,
    };
    spec.hash = spec.content_hash();
    spec
}

/// What the API server would say: one snapshot, and the pods of its revisions.
pub(crate) fn input(spec: RoutingSnapshotSpec, pods: &BTreeSet<SocketAddr>) -> Input {
    let endpoints = spec.revisions.iter().map(|r| {
        let service = ObjectKey::new("default", &r.service);
        (service, pods.clone())
    });
    Input {
        endpoints: endpoints.collect(),
        snapshots: BTreeMap::from([(ObjectKey::new("default", MODEL), spec)]),
    }
}

impl World {
    pub(crate) async fn start(weights: Option<[i32; 3]>, config: impl Fn(&str) -> Config) -> Self {
        let mut regions = Vec::new();
        for cluster in CLUSTERS {
            regions.push(Region::start(config(cluster), cluster).await);
        }
        let mut world = Self {
            regions,
            weights,
            seq: 0,
        };
        world.publish(&[revision("aaaaaaaaaa", 100)]);
        world
    }

    pub(crate) fn region(&self, cluster: &str) -> &Region {
        self.regions.iter().find(|r| r.cluster == cluster).unwrap()
    }

    fn weight(&self, cluster: &str) -> Option<i32> {
        let index = CLUSTERS.iter().position(|c| *c == cluster)?;
        Some(self.weights?[index])
    }

    /// Publishes a new epoch in which every region serves `revisions`.
    pub(crate) fn publish(&mut self, revisions: &[RevisionRoute]) {
        self.seq += 1;
        for region in &self.regions {
            let others = self.regions.iter().filter(|r| r.cluster != region.cluster);
            let routes = others.map(|other| RegionRoute {
                cluster: other.cluster.to_owned(),
                provider: Provider::Aws,
                address: other.link.address().to_string(),
                weight: self.weight(other.cluster).unwrap_or(1),
                revisions: revisions
                    .iter()
                    .filter(|r| r.weight > 0)
                    .map(|r| r.revision.clone())
                    .collect(),
            });
            let spec = snapshot(
                region.cluster,
                self.seq,
                self.weight(region.cluster),
                revisions.to_vec(),
                routes.collect(),
            );
            let pods = region.pods.iter().map(|p| p.link.address()).collect();
            region.input.send_replace(Some(input(spec, &pods)));
        }
    }
}
