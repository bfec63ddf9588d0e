//! In place of a region's gateway: takes snapshots as they come, says so, and answers
//! protocol v2 for revisions that it lists and whose pods are ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use mcdeploy_api::{
    AppliedEpoch, RoutingSnapshot, RoutingSnapshotSpec, RoutingSnapshotStatus, names,
};
use mcdeploy_cluster::ClusterClient;
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub(crate) struct Gateway {
    cluster: String,
    pub(crate) address: String,
    pods_fail: AtomicBool,
    injects: AtomicBool,
    /// Namespaces and revisions whose pods are ready.
    ready: Mutex<BTreeSet<(String, String)>>,
    /// Snapshots by namespace and name.
    snapshots: Mutex<BTreeMap<(String, String), RoutingSnapshotSpec>>,
    /// Revisions that answered an inference.
    probed: Mutex<BTreeSet<String>>,
}

impl Gateway {
    pub(crate) async fn start(
        cluster: &str,
        client: ClusterClient,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Arc::new(Self {
            cluster: cluster.to_owned(),
            address: listener.local_addr().unwrap().to_string(),
            pods_fail: AtomicBool::new(false),
            injects: AtomicBool::new(false),
            ready: Mutex::default(),
            snapshots: Mutex::default(),
            probed: Mutex::default(),
        });
        let version = "/v2/models/{model}/versions/{revision}";
        let router = Router::new()
            .route(version, get(metadata))
            .route(&format!("{version}/ready"), get(ready))
            .route(&format!("{version}/infer"), post(infer))
            .with_state(Arc::clone(&gateway));
        let server = axum::serve(listener, router);
        let follow = Arc::clone(&gateway).follow(client);
        tokio::spawn(async move {
            let serve = server.with_graceful_shutdown(stop.clone().cancelled_owned());
            tokio::select! {
                _ = serve => {}
                () = follow => {}
                () = stop.cancelled() => {}
            }
        });
        gateway
    }

    /// Pods of new revisions do not start any more, or do again.
    pub(crate) fn let_pods_fail(&self, fail: bool) {
        self.pods_fail.store(fail, Ordering::SeqCst);
    }

    pub(crate) fn pods_fail(&self) -> bool {
        self.pods_fail.load(Ordering::SeqCst)
    }

    /// Something adds to pods what `restricted` refuses, or does no more.
    pub(crate) fn let_pods_be_injected(&self, inject: bool) {
        self.injects.store(inject, Ordering::SeqCst);
    }

    pub(crate) fn injects(&self) -> bool {
        self.injects.load(Ordering::SeqCst)
    }

    pub(crate) fn set_ready(&self, ready: BTreeSet<(String, String)>) {
        *self.ready.lock().unwrap() = ready;
    }

    /// Revisions with their weights, and clusters of other regions, as gateways know
    /// them.
    pub(crate) fn routes(&self, namespace: &str, name: &str) -> (Vec<(String, i32)>, Vec<String>) {
        let snapshots = self.snapshots.lock().unwrap();
        let Some(spec) = snapshots.get(&(namespace.to_owned(), name.to_owned())) else {
            return (vec![], vec![]);
        };
        let revisions = spec.revisions.iter().map(|r| (r.version.clone(), r.weight));
        let regions = spec.regions.iter().map(|r| r.cluster.clone());
        (revisions.collect(), regions.collect())
    }

    async fn follow(self: Arc<Self>, client: ClusterClient) {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let Ok(all) = client.list::<RoutingSnapshot>(None, "").await else {
                continue;
            };
            for snapshot in all {
                self.take(&client, snapshot).await;
            }
        }
    }

    async fn take(&self, client: &ClusterClient, snapshot: RoutingSnapshot) {
        let namespace = snapshot.metadata.namespace.clone().unwrap();
        let name = snapshot.metadata.name.clone().unwrap();
        let key = (namespace.clone(), name.clone());
        let spec = snapshot.spec;
        let known = self.snapshots.lock().unwrap().get(&key).cloned();
        if let Some(known) = &known {
            let follows = spec.may_follow(known.epoch, &known.hash);
            follows.expect("a gateway refuses what was published");
        }
        for route in spec.revisions.iter().filter(|route| route.weight > 0) {
            let probed = self.probed.lock().unwrap().contains(&route.revision);
            assert!(
                probed,
                "{key:?}: {} has weight and was never probed",
                route.revision
            );
        }
        let entry = AppliedEpoch {
            gateway: format!("gateway-{}", self.cluster),
            epoch: spec.epoch,
            hash: spec.hash.clone(),
            features: vec![],
            refused: None,
            not_kept: None,
        };
        self.snapshots.lock().unwrap().insert(key, spec);
        let applied = snapshot.status.unwrap_or_default().applied;
        if applied.contains(&entry) {
            return;
        }
        let status = RoutingSnapshotStatus {
            applied: vec![entry],
        };
        let _ = client
            .patch_status::<RoutingSnapshot>(Some(&namespace), &name, &status, "gateway", None)
            .await;
    }

    /// The headers of an answer, if the revision can be reached here.
    #[expect(
        clippy::unwrap_in_result,
        reason = "locks and constant headers of a test"
    )]
    fn reach(&self, model: &str, revision: &str) -> Result<HeaderMap, StatusCode> {
        let snapshots = self.snapshots.lock().unwrap();
        let ready = self.ready.lock().unwrap();
        let mut of_model = snapshots.iter().filter(|(_, spec)| spec.model == model);
        let route = of_model.find_map(|(key, spec)| {
            let mut routes = spec.revisions.iter();
            let route = routes.find(|route| route.revision == revision)?;
            ready
                .contains(&(key.0.clone(), revision.to_owned()))
                .then(|| route.clone())
        });
        let route = route.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let mut headers = HeaderMap::new();
        let revision = format!("{}.{}", route.version, route.revision);
        let name = HeaderName::from_static;
        headers.insert(name(names::HEADER_CLUSTER), self.cluster.parse().unwrap());
        headers.insert(name(names::HEADER_REVISION), revision.parse().unwrap());
        Ok(headers)
    }
}

type Asked = Path<(String, String)>;

async fn ready(State(gateway): State<Arc<Gateway>>, Path((model, id)): Asked) -> Response {
    match gateway.reach(&model, &id) {
        Ok(headers) => headers.into_response(),
        Err(status) => status.into_response(),
    }
}

async fn metadata(State(gateway): State<Arc<Gateway>>, Path((model, id)): Asked) -> Response {
    let body = json!({
        "name": model, "versions": [], "platform": "test",
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": [-1, 2] }],
        "outputs": [{ "name": "y", "datatype": "FP32", "shape": [-1] }],
    });
    match gateway.reach(&model, &id) {
        Ok(headers) => (headers, Json(body)).into_response(),
        Err(status) => status.into_response(),
    }
}

async fn infer(State(gateway): State<Arc<Gateway>>, Path((model, id)): Asked) -> Response {
    let body = json!({
        "model_name": model,
        "outputs": [{ "name": "y", "datatype": "FP32", "shape": [1], "data": [0.5] }],
    });
    match gateway.reach(&model, &id) {
        Ok(headers) => {
            gateway.probed.lock().unwrap().insert(id);
            (headers, Json(body)).into_response()
        }
        Err(status) => status.into_response(),
    }
}
