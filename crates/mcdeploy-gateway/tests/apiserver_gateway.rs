//! A gateway and a real API server: what it reads there, and what it writes.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::any};
use k8s_openapi::{
    api::discovery::v1::EndpointSlice,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use mcdeploy_api::{AppliedEpoch, RoutingSnapshot, RoutingSnapshotSpec, SNAPSHOT_FEATURES};
use mcdeploy_gateway::{Config, Gateway, Options, Source};
use mcdeploy_sandbox::testing::TestApiServer;
use serde_json::json;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(15);

struct World {
    server: TestApiServer,
    client: Client,
    gateway: SocketAddr,
    http: reqwest::Client,
    cancel: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    /// Holds the copy of the snapshots, once it is a directory.
    state_dir: tempfile::TempDir,
}

/// A fake gateway of another region, which answers everything.
async fn other_region() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/{*path}", any(async || "elsewhere"));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

impl World {
    async fn start() -> Self {
        Self::with(RoutingSnapshot::crd()).await
    }

    async fn with(kind: CustomResourceDefinition) -> Self {
        let server = TestApiServer::start().await.unwrap();
        let client = server.client().await.unwrap();
        define_kind(&client, &kind).await;
        let state_dir = tempfile::tempdir().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new("aws");
        config.timings.drain_delay = Duration::from_millis(1);
        let gateway = Gateway::bind(Options {
            config,
            listen: any,
            tls: None,
            admin: any,
            state_dir: Some(state_dir.path().join("state")),
        });
        let gateway = gateway.await.unwrap();
        let address = gateway.address().unwrap();
        let source = Source::Kube {
            client: client.clone(),
            pod: "gateway-0".to_owned(),
        };
        let cancel = CancellationToken::new();
        Self {
            server,
            client,
            gateway: address,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            cancel: cancel.clone(),
            running: tokio::spawn(gateway.run(source, cancel)),
            state_dir,
        }
    }

    fn snapshots(&self) -> Api<RoutingSnapshot> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Writes a snapshot as the operator does.
    async fn publish(&self, spec: &RoutingSnapshotSpec) {
        let object = json!({
            "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "RoutingSnapshot",
            "metadata": {"name": "digits"}, "spec": spec,
        });
        let params = PatchParams::apply("mcdeploy-operator").force();
        let snapshots = self.snapshots();
        let patch = Patch::Apply(object);
        snapshots.patch("digits", &params, &patch).await.unwrap();
    }

    /// Waits until the gateway says what `expected` wants to hear.
    async fn applied(&self, expected: impl Fn(&AppliedEpoch) -> bool) -> RoutingSnapshot {
        let found = timeout(PATIENCE, async {
            loop {
                let snapshot = self.snapshots().get("digits").await.unwrap();
                let applied = snapshot.status.iter().flat_map(|s| &s.applied);
                if applied
                    .into_iter()
                    .any(|a| a.gateway == "gateway-0" && expected(a))
                {
                    return snapshot;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        found.await.unwrap()
    }

    async fn infer(&self) -> (u16, String) {
        let url = format!("http://{}/v2/models/digits/infer", self.gateway);
        let response = self.http.post(url).body("{}").send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn until_infer(&self, expected: impl Fn(&(u16, String)) -> bool) {
        let reached = timeout(PATIENCE, async {
            while !expected(&self.infer().await) {
                sleep(Duration::from_millis(50)).await;
            }
        });
        reached.await.unwrap();
    }
}

async fn define_kind(client: &Client, kind: &CustomResourceDefinition) {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    crds.create(&PostParams::default(), kind).await.unwrap();
    let snapshots = Api::<RoutingSnapshot>::all(client.clone());
    let served = timeout(PATIENCE, async {
        while snapshots.list(&ListParams::default()).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    served.await.unwrap();
}

fn spec(seq: i64, weight: i32, other: SocketAddr) -> RoutingSnapshotSpec {
    let mut spec: RoutingSnapshotSpec = serde_json::from_value(json!({
        "model": "digits", "epoch": {"term": 1, "seq": seq}, "hash": "", "cluster": "aws",
        "repeatable": true,
        "revisions": [
            {"revision": "aaaaaaaaaa", "version": "v2", "service": "digits-aaaaaaaaaa", "weight": weight}
        ],
        "regions": [
            {"cluster": "gcp", "provider": "gcp", "address": other, "weight": 1, "revisions": []}
        ],
    }))
    .unwrap();
    spec.hash = spec.content_hash();
    spec
}

fn endpoint_slice(ready: bool) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"name": "digits-aaaaaaaaaa-x1", "labels": {
            "kubernetes.io/service-name": "digits-aaaaaaaaaa",
            "app.kubernetes.io/managed-by": "mcdeploy",
        }},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": ready}}],
    }))
    .unwrap()
}

#[tokio::test]
async fn snapshots_are_watched_applied_reported_and_kept() {
    let world = World::start().await;
    let other = other_region().await;
    world.until_infer(|(status, _)| *status == 404).await;

    world.publish(&spec(1, 0, other)).await;
    world
        .applied(|a| a.epoch.seq == 1 && a.refused.is_none())
        .await;
    assert_eq!(world.infer().await, (200, "elsewhere".to_owned()));

    // One for another cluster: refused, and the one before goes on.
    let mut misplaced = spec(2, 0, other);
    misplaced.cluster = "gcp".to_owned();
    world.publish(&misplaced).await;
    let refused = |a: &AppliedEpoch| a.epoch.seq == 1 && a.refused.is_some();
    world.applied(refused).await;
    world.publish(&spec(3, 0, other)).await;
    let written = world
        .applied(|a| a.epoch.seq == 3 && a.refused.is_none())
        .await;

    // Steady: nothing is written.
    sleep(Duration::from_secs(2)).await;
    let later = world.snapshots().get("digits").await.unwrap();
    assert_eq!(later.resource_version(), written.resource_version());

    // The API server falls silent: nothing changes.
    world.server.freeze(true).unwrap();
    for _ in 0..10 {
        assert_eq!(world.infer().await.0, 200);
        sleep(Duration::from_millis(100)).await;
    }
    world.server.freeze(false).unwrap();
    world.publish(&spec(4, 0, other)).await;
    world.applied(|a| a.epoch.seq == 4).await;

    // A gateway that ends leaves no entry behind.
    let snapshots = world.snapshots();
    world.cancel.cancel();
    world.running.await.unwrap();
    let left = snapshots.get("digits").await.unwrap();
    assert!(left.status.unwrap_or_default().applied.is_empty());
}

/// Charts of CRDs and of members are upgraded at different moments.
#[tokio::test]
async fn a_gateway_reports_what_it_knows_and_does_without_where_the_kind_is_older() {
    let of_2026_11 = include_str!("../../../tests/fixtures/2026-11-30/crds/routingsnapshots.yaml");
    let older = serde_saphyr::from_str(of_2026_11).unwrap();
    let other = other_region().await;
    for (kind, expected) in [(RoutingSnapshot::crd(), SNAPSHOT_FEATURES), (older, &[])] {
        let world = World::with(kind).await;
        world.publish(&spec(1, 0, other)).await;
        let found = world.applied(|a| a.epoch.seq == 1).await;
        assert_eq!(found.status.unwrap().applied[0].features, expected);
        assert_eq!(world.infer().await, (200, "elsewhere".to_owned()));
        world.cancel.cancel();
        world.running.await.unwrap();
    }
}

/// A hub that knows more writes more, where the kind has it.
#[tokio::test]
async fn fields_of_a_newer_hub_are_skipped_and_its_hash_is_taken() {
    let mut kind = serde_json::to_value(RoutingSnapshot::crd()).unwrap();
    let spec_schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let route = format!("{spec_schema}/revisions/items/properties");
    for place in [spec_schema, &route] {
        kind.pointer_mut(place).unwrap()["ofTomorrow"] = json!({ "type": "string" });
    }
    let world = World::with(serde_json::from_value(kind).unwrap()).await;
    let other = other_region().await;
    let mut newer = serde_json::to_value(spec(1, 0, other)).unwrap();
    newer["ofTomorrow"] = json!("new");
    newer["revisions"][0]["ofTomorrow"] = json!("new");
    newer["hash"] = json!("h".repeat(64));
    let object = json!({
        "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "RoutingSnapshot",
        "metadata": { "name": "digits" }, "spec": newer,
    });
    let params = PatchParams::apply("hub").force();
    let (api, patch) = (world.snapshots(), Patch::Apply(object));
    api.patch("digits", &params, &patch).await.unwrap();
    let found = world.applied(|a| a.epoch.seq == 1).await;
    let entry = &found.status.unwrap().applied[0];
    assert_eq!(
        (entry.refused.clone(), entry.hash.as_str()),
        (None, &*"h".repeat(64))
    );
    assert_eq!(world.infer().await, (200, "elsewhere".to_owned()));
}

#[tokio::test]
async fn fault_c6_a_copy_that_is_not_kept_is_told_with_the_reason_until_it_is() {
    let world = World::start().await;
    let other = other_region().await;
    let state = world.state_dir.path().join("state");
    std::fs::write(&state, "no directory").unwrap();
    world.publish(&spec(1, 0, other)).await;
    let found = world.applied(|a| a.not_kept.is_some()).await;
    let entry = &found.status.unwrap().applied[0];
    assert_eq!(entry.epoch.seq, 1, "it routes all the same");
    let reason = entry.not_kept.clone().unwrap();
    assert!(reason.contains("routing.json"), "{reason}");
    assert!(reason.contains("exists"), "{reason}");

    std::fs::remove_file(&state).unwrap();
    world.applied(|a| a.not_kept.is_none()).await;
    assert!(state.join("routing.json").exists());
    world.cancel.cancel();
    world.running.await.unwrap();
}

#[tokio::test]
async fn endpoint_slices_name_the_pods_and_deletions_count() {
    let world = World::start().await;
    let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let slices = Api::<EndpointSlice>::namespaced(world.client.clone(), "default");
    slices
        .create(&PostParams::default(), &endpoint_slice(true))
        .await
        .unwrap();
    world.publish(&spec(1, 100, nobody)).await;
    // Nothing answers at that address; the error says what was asked, and no address.
    let asked = |(_, text): &(u16, String)| text.contains("a pod of revision aaaaaaaaaa");
    world.until_infer(asked).await;

    let name = "digits-aaaaaaaaaa-x1";
    let ending = Patch::Merge(json!({"endpoints": endpoint_slice(false).endpoints}));
    slices
        .patch(name, &PatchParams::default(), &ending)
        .await
        .unwrap();
    world.until_infer(|answer| !asked(answer)).await;

    let delete = DeleteParams::default();
    world.snapshots().delete("digits", &delete).await.unwrap();
    world.until_infer(|(status, _)| *status == 404).await;
    world.cancel.cancel();
    world.running.await.unwrap();
}
