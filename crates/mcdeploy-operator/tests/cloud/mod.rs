//! A hub and two clouds: real API servers, stores that are directories, and, in place of
//! kubelets, Job controllers and gateways, tasks that do what those would do.

mod gateway;
mod logs;
mod nodes;
mod objects;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use kube::api::{Api, Patch, PatchParams};
use mcdeploy_api::{
    ArtifactStore, ClusterIngress, ModelDeployment, ModelDeploymentStatus, ReplicaState, all_crds,
    names,
};
use mcdeploy_cluster::{ClientSettings, ClusterClient, Fence, Force, lease};
use mcdeploy_operator::{Pace, Settings, lead};
use mcdeploy_plan::Timings;
use mcdeploy_sandbox::testing::TestApiServer;
use mcdeploy_store::open_directory;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) use gateway::Gateway;
pub(crate) use logs::{Logs, SLOW_BYTES};
pub(crate) use objects::*;

/// A cloud: an API server, a store, a gateway, and pods that start at once.
pub(crate) struct Cloud {
    pub(crate) name: &'static str,
    pub(crate) server: TestApiServer,
    pub(crate) client: ClusterClient,
    pub(crate) gateway: Arc<Gateway>,
}

pub(crate) struct World {
    _hub: TestApiServer,
    pub(crate) client: ClusterClient,
    pub(crate) clouds: BTreeMap<&'static str, Cloud>,
    pub(crate) stores: TempDir,
    /// Image of the daemon; another one stands for another version of everything.
    pub(crate) daemon: Mutex<char>,
    /// What transfer Jobs say.
    pub(crate) logs: Arc<Logs>,
    term: AtomicI64,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn provider_of(name: &str) -> &str {
    name.split('-').next().unwrap()
}

impl World {
    pub(crate) async fn start(clouds: &[&'static str]) -> Self {
        // Fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = tracing_subscriber::fmt()
            .with_env_filter(
                tracing_subscriber::EnvFilter::try_from_env("MCDEPLOYD_LOG")
                    .unwrap_or_else(|_| "off".into()),
            )
            .with_test_writer()
            .try_init();
        let servers = clouds.iter().map(|_| TestApiServer::start());
        let (hub, servers) =
            futures::join!(TestApiServer::start(), futures::future::join_all(servers));
        let hub = hub.unwrap();
        let client = client("hub", &hub).await;
        let stores = TempDir::new().unwrap();
        let stop = CancellationToken::new();
        prepare(&client).await;
        let mut world = Self {
            _hub: hub,
            client,
            clouds: BTreeMap::new(),
            stores,
            daemon: Mutex::new('1'),
            logs: Arc::default(),
            term: AtomicI64::new(0),
            stop: stop.clone(),
        };
        for (name, server) in clouds.iter().zip(servers) {
            let server = server.unwrap();
            let client = client_of(name, &server).await;
            prepare(&client).await;
            let dir = world.stores.path().to_owned();
            std::fs::create_dir_all(dir.join(provider_of(name))).unwrap();
            let gateway = Gateway::start(name, client.clone(), stop.clone()).await;
            let logs = Arc::clone(&world.logs);
            let nodes = nodes::run(client.clone(), Arc::clone(&gateway), dir, logs);
            let nodes_stop = stop.clone();
            tokio::spawn(async move { nodes_stop.run_until_cancelled(nodes).await });
            world.register(name, &server, &gateway).await;
            let cloud = Cloud {
                name,
                server,
                client,
                gateway,
            };
            world.clouds.insert(name, cloud);
        }
        world
    }

    async fn register(&self, name: &str, server: &TestApiServer, gateway: &Gateway) {
        let provider = provider_of(name).parse().unwrap();
        let hub = &self.client;
        let manager = names::FIELD_MANAGER_CLI;
        let store = artifact_store(provider);
        hub.apply(&store, manager, Force::Yes).await.unwrap();
        let secret = kubeconfig_secret(name, server.kubeconfig());
        hub.apply(&secret, manager, Force::Yes).await.unwrap();
        let mut member = member_cluster(name, provider);
        member.spec.ingress = Some(ClusterIngress {
            address: gateway.address.clone(),
        });
        hub.apply(&member, manager, Force::Yes).await.unwrap();
    }

    /// Leads, writing only while `may_write` says so, until the future is dropped or
    /// cancelled.
    pub(crate) async fn operate(&self, may_write: Fence, cancel: CancellationToken) {
        let dir = self.stores.path().to_owned();
        let logs = Arc::clone(&self.logs);
        let settings = Settings {
            namespace: names::SYSTEM_NAMESPACE.to_owned(),
            identity: "test".to_owned(),
            daemon_image: self.daemon_image(),
            admin: None,
            timings: Timings {
                drain: jiff::SignedDuration::from_millis(300),
                dwell: jiff::SignedDuration::from_millis(300),
                ..Timings::default()
            },
            lease: lease::Timing::default(),
            pace: Pace {
                moving: Duration::from_millis(50),
                blocked: Duration::from_millis(300),
                member_lost: Duration::from_millis(300),
                member_seen: Duration::from_secs(2),
                member_deadline: Duration::from_secs(2),
                ..Pace::default()
            },
            open_store: Arc::new(move |access| {
                let dir = dir.join(&access.name);
                async move { open_directory(dir) }.boxed()
            }),
            follow_log: Arc::new(move |_, job| Arc::clone(&logs).follow(job)),
        };
        let term = self.term.fetch_add(1, Ordering::SeqCst) + 1;
        let led = lead(settings, self.client.clone(), term, may_write, cancel);
        led.await.unwrap();
    }

    pub(crate) fn daemon_image(&self) -> String {
        let digest = self.daemon.lock().unwrap().to_string().repeat(64);
        format!("registry.test/mcdeployd@sha256:{digest}")
    }

    /// Leads while `story` runs.
    pub(crate) async fn operate_while<T>(&self, fence: Fence, story: impl Future<Output = T>) -> T {
        let cancel = CancellationToken::new();
        tokio::select! {
            () = self.operate(fence, cancel.clone()) => panic!("the operator ended"),
            done = story => done,
        }
    }

    pub(crate) async fn push(&self, namespace: &str, model: &str, version: &str, store: &str) {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("model.onnx"), format!("{model} {version}")).unwrap();
        let target = open_directory(self.stores.path().join(store)).unwrap();
        let cancel = CancellationToken::new();
        let pushed =
            mcdeploy_store::push_version(&*target, dir.path(), model, version, &|_| {}, &cancel);
        let pushed = pushed.await.unwrap();
        let object = model_version(namespace, model, version, pushed.manifest_digest, store);
        let manager = names::FIELD_MANAGER_CLI;
        self.client
            .apply(&object, manager, Force::Yes)
            .await
            .unwrap();
    }

    /// What `mcdeploy rollout` applies.
    pub(crate) async fn rollout(
        &self,
        namespace: &str,
        model: &str,
        version: &str,
        placement: &[&str],
        scope: Option<&[&str]>,
    ) -> i64 {
        let object = model_deployment(namespace, model, version, placement, scope);
        let manager = names::FIELD_MANAGER_CLI;
        let applied = self
            .client
            .apply(&object, manager, Force::Yes)
            .await
            .unwrap();
        applied.metadata.generation.unwrap()
    }

    pub(crate) async fn status(&self, namespace: &str, name: &str) -> ModelDeploymentStatus {
        let found = self.client.get::<ModelDeployment>(Some(namespace), name);
        found.await.unwrap().unwrap().status.unwrap_or_default()
    }

    /// Waits until the status of a deployment is as wanted.
    pub(crate) async fn until(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        wanted: impl Fn(&ModelDeploymentStatus) -> bool,
    ) -> ModelDeploymentStatus {
        for _ in 0..600 {
            // A look that a busy API server did not answer in time says nothing.
            let look = self.client.get::<ModelDeployment>(Some(namespace), name);
            if let Ok(Some(found)) = look.await {
                let status = found.status.unwrap_or_default();
                if wanted(&status) {
                    return status;
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let status = self.status(namespace, name).await;
        panic!("{namespace}/{name} is not {what} within 3 minutes: {status:#?}");
    }

    /// Waits until the rollout of a generation is complete.
    pub(crate) async fn until_complete(&self, namespace: &str, name: &str, generation: i64) {
        self.until(namespace, name, "complete", |status| {
            status.observed_generation == Some(generation)
                && condition(&status.conditions, "Complete") == "True"
        })
        .await;
    }

    /// What a store holds of a version, by looking.
    pub(crate) async fn copy(&self, store: &str, model: &str, version: &str) -> ReplicaState {
        let name = names::model_version_name(model, version);
        let found: Vec<mcdeploy_api::ModelVersion> = self.client.list(None, "").await.unwrap();
        let mut found = found.into_iter();
        let object = found
            .find(|v| v.metadata.name.as_ref() == Some(&name))
            .unwrap();
        let opened = open_directory(self.stores.path().join(store)).unwrap();
        let cancel = CancellationToken::new();
        let digest = &object.spec.manifest_digest;
        let report = mcdeploy_store::verify_replica(&*opened, model, version, digest, &cancel);
        report.await.unwrap().state
    }
}

pub(crate) fn always() -> Fence {
    Arc::new(|_| true)
}

/// A fence that lets everything through and counts.
pub(crate) fn counting() -> (Fence, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let fence: Fence = Arc::new(move |call| {
        log.lock().unwrap().push(call.to_string());
        true
    });
    (fence, seen)
}

async fn client(name: &str, server: &TestApiServer) -> ClusterClient {
    client_of(name, server).await
}

async fn client_of(name: &str, server: &TestApiServer) -> ClusterClient {
    let config = server.config().await.unwrap();
    let settings = ClientSettings {
        deadline: Duration::from_secs(20),
        ..ClientSettings::default()
    };
    ClusterClient::new(name, config, settings).unwrap()
}

/// CRDs and the system namespace.
async fn prepare(client: &ClusterClient) {
    let api = Api::all(client.kube().clone());
    for crd in all_crds() {
        let name = crd.metadata.name.clone().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&crd))
            .await
            .unwrap();
        let established = kube::runtime::conditions::is_crd_established();
        let wait = kube::runtime::wait::await_condition(api.clone(), &name, established);
        wait.await.unwrap();
    }
    client
        .ensure_namespace(names::SYSTEM_NAMESPACE)
        .await
        .unwrap();
    // Discovery of a new kind lags behind its condition by a moment.
    for _ in 0..100 {
        if client.list::<ArtifactStore>(None, "").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the API server does not serve the new kinds");
}

/// Status of a condition, or nothing.
pub(crate) fn condition<'a>(conditions: &'a [mcdeploy_api::Condition], kind: &str) -> &'a str {
    let found = conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or("", |condition| condition.status.as_str())
}

/// Writes other bytes over a file of a copy, behind the store's back.
pub(crate) fn corrupt(stores: &Path, store: &str, model: &str, version: &str) {
    let file = stores
        .join(store)
        .join(model)
        .join(version)
        .join("model.onnx");
    assert!(file.exists(), "{}", file.display());
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "other bytes").unwrap();
}
