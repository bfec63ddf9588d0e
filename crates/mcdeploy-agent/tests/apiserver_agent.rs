//! The agent of a node against a real API server and a real store.

#![cfg(test)]

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use mcdeploy_agent::Settings;
use mcdeploy_api::{
    CachePlan, FetchPlan, NodeCacheReport, Sha256Digest, StagedState, StagingEntry, StoreAccess,
    names,
};
use mcdeploy_cluster::{ClusterClient, Fence, Force};
use mcdeploy_sandbox::testing::{Proxy, TestApiServer, Versitygw};
use mcdeploy_store::{open, push_version};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const MIB: usize = 1024 * 1024;
const SYSTEM: &str = names::SYSTEM_NAMESPACE;

/// An API server, a store behind a proxy, and a node with its agent.
struct Node {
    _server: TestApiServer,
    _store: Versitygw,
    client: ClusterClient,
    proxy: Proxy,
    /// Through the proxy.
    access: StoreAccess,
    cache: TempDir,
    writes: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Node {
    async fn start() -> Self {
        // Fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (server, store) = tokio::join!(TestApiServer::start(), Versitygw::start());
        let (server, store) = (server.unwrap(), store.unwrap());
        let client = ClusterClient::from_kubeconfig("aws", server.kubeconfig()).unwrap();
        client.ensure_namespace(SYSTEM).await.unwrap();
        let (proxy, access) = Proxy::in_front_of(&store.access()).await.unwrap();
        let node = Self {
            _server: server,
            _store: store,
            client,
            proxy,
            access,
            cache: TempDir::new().unwrap(),
            writes: Arc::default(),
            stop: CancellationToken::new(),
        };
        node.run();
        node
    }

    fn run(&self) {
        let settings = Settings {
            node: "n1".to_owned(),
            pod: None,
            namespace: SYSTEM.to_owned(),
            cache: self.cache.path().to_owned(),
            retry: (Duration::from_millis(300), Duration::from_secs(1)),
        };
        let writes = Arc::clone(&self.writes);
        let fence: Fence = Arc::new(move |call| {
            writes.lock().unwrap().push(call.to_string());
            true
        });
        let client = self.client.with_fence(fence);
        tokio::spawn(mcdeploy_agent::run(client, settings, self.stop.clone()));
    }

    /// A version with one file of so many bytes.
    async fn push(&self, version: &str, bytes: usize) -> Sha256Digest {
        let dir = TempDir::new().unwrap();
        let text = version.repeat(bytes / version.len());
        fs::write(dir.path().join("model.onnx"), text).unwrap();
        let store = open(&self.access).await.unwrap();
        let cancel = CancellationToken::new();
        let pushed = push_version(&*store, dir.path(), "m", version, &|_| {}, &cancel);
        pushed.await.unwrap().manifest_digest
    }

    fn fetch(&self, version: &str, digest: Sha256Digest, quota: usize) -> StagingEntry {
        StagingEntry {
            digest,
            fetch: Some(FetchPlan {
                model: "m".to_owned(),
                version: version.to_owned(),
                manifest_digest: digest,
                store: self.access.clone(),
                node_cache: Some(CachePlan {
                    quota_bytes: quota as u64,
                }),
            }),
        }
    }

    /// As the operator does for one deployment.
    async fn tell(&self, entries: &[StagingEntry]) {
        let data = entries.iter().map(|entry| {
            let bytes = serde_json::to_vec(entry).unwrap();
            (format!("{}.a.b", entry.digest.hex()), ByteString(bytes))
        });
        let mut secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": names::STAGING_SECRET, "namespace": SYSTEM },
        }))
        .unwrap();
        secret.data = Some(data.collect());
        self.client
            .apply(&secret, "operator", Force::Yes)
            .await
            .unwrap();
    }

    async fn report(&self) -> Option<NodeCacheReport> {
        let name = names::node_report_name("n1");
        let found = self.client.get::<ConfigMap>(Some(SYSTEM), &name).await;
        let data = found.unwrap()?.data.unwrap();
        Some(serde_json::from_str(&data[names::NODE_REPORT_KEY]).unwrap())
    }

    /// Waits until the node says so, and gives what it adds.
    async fn until(&self, digest: Sha256Digest, state: StagedState) -> String {
        for _ in 0..200 {
            let report = self.report().await.unwrap_or_default();
            let mut versions = report.versions.into_iter();
            if let Some(found) = versions.find(|v| v.digest == digest && v.state == state) {
                return found.message;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "{digest} is not {state:?} within 20 s: {:?}",
            self.report().await
        );
    }

    /// Bytes of objects that the store sent.
    fn read_bytes(&self) -> u64 {
        let reads = self.proxy.exchanges().into_iter();
        let reads = reads.filter(|e| e.request.method == "GET");
        let reads = reads.filter(|e| e.request.path.ends_with("model.onnx"));
        reads.map(|e| e.received_bytes).sum()
    }

    fn has(&self, digest: &Sha256Digest) -> bool {
        slot(self.cache.path(), digest).join("files").exists()
    }
}

fn slot(cache: &Path, digest: &Sha256Digest) -> std::path::PathBuf {
    cache.join(digest.hex())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_comes_once_and_what_nobody_needs_makes_room_for_it() {
    let node = Node::start().await;
    let quota = 5 * MIB;
    let one = node.push("v1", 2 * MIB).await;
    let two = node.push("v2", 4 * MIB).await;
    node.tell(&[node.fetch("v1", one, quota)]).await;
    node.until(one, StagedState::Staged).await;
    assert_eq!(node.read_bytes(), 2 * MIB as u64);

    // What is only to be kept is not fetched, and stays where it is.
    let kept = StagingEntry {
        digest: one,
        fetch: None,
    };
    node.tell(&[kept, node.fetch("v2", two, quota)]).await;
    let why = node.until(two, StagedState::Failed).await;
    assert!(why.contains("no room"), "{why}");
    assert!(node.has(&one) && !node.has(&two));

    // Nobody needs it any more; but somebody has just asked for it.
    node.tell(&[node.fetch("v2", two, quota)]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(node.has(&one));
    let lock = fs::File::options()
        .write(true)
        .open(slot(node.cache.path(), &one).join("lock"))
        .unwrap();
    lock.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    node.until(two, StagedState::Staged).await;
    assert!(node.has(&two) && !slot(node.cache.path(), &one).exists());
    assert_eq!(node.read_bytes(), 6 * MIB as u64);

    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = node.writes.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let writes = node.writes.lock().unwrap().clone();
    assert_eq!(
        writes[before..],
        [] as [String; 0],
        "written in steady state"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_comes_back_is_asked_again_and_another_agent_reads_nothing_twice() {
    let node = Node::start().await;
    let digest = node.push("v1", MIB).await;
    node.proxy.set_link(mcdeploy_sandbox::testing::Link::Down);
    node.tell(&[node.fetch("v1", digest, MIB * 2)]).await;
    let why = node.until(digest, StagedState::Failed).await;
    assert!(!why.contains("secret"), "{why}");
    node.proxy.heal();
    node.until(digest, StagedState::Staged).await;
    // Without the store: another agent takes what is there, and checks it.
    node.proxy.set_link(mcdeploy_sandbox::testing::Link::Down);
    node.proxy.reset_counts();
    let before = node.writes.lock().unwrap().len();
    node.run();
    let again = async {
        loop {
            let writes = node.writes.lock().unwrap().len();
            let staged = node.report().await.unwrap().versions[0].state == StagedState::Staged;
            if writes >= before + 2 && staged {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again)
        .await
        .unwrap();
    assert_eq!(node.proxy.counts().requests, 0);
}
