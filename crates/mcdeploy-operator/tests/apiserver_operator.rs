//! The operator against real API servers: whole rollouts, faults, and a crash after
//! every write.

#![cfg(test)]

mod cloud;
mod stories;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use cloud::{World, always, condition, corrupt, counting};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, Deployment},
    batch::v1::Job,
    core::v1::{Secret, Service},
};
use mcdeploy_api::{
    MemberCluster, ModelDeployment, ModelDeploymentStatus, ModelRollout, ReplicaState,
    RoutingSnapshot, Ternary, TrafficPolicy, names,
};
use mcdeploy_cluster::{ClusterClient, Fence};
use serde::Serialize;
use serde_json::Value;

const CLOUDS: [&str; 2] = ["aws", "gcp"];

fn row<'a>(status: &'a ModelDeploymentStatus, cluster: &str) -> &'a mcdeploy_api::ClusterStatus {
    let found = status.clusters.iter().find(|row| row.cluster == cluster);
    found.unwrap_or_else(|| panic!("no row of {cluster}: {status:#?}"))
}

async fn prepare(world: &World, namespace: &str) {
    world.client.ensure_namespace(namespace).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollouts_end_as_desired_and_then_nothing_is_written() {
    let world = World::start(&CLOUDS).await;
    let ns = "default";
    world.push(ns, "digits", "v1", "aws").await;
    let (fence, writes) = counting();
    let story = async {
        let generation = world.rollout(ns, "digits", "v1", &CLOUDS, None).await;
        world.until_complete(ns, "digits", generation).await;
        assert_eq!(
            world.copy("gcp", "digits", "v1").await,
            ReplicaState::Verified
        );
        world.push(ns, "digits", "v2", "gcp").await;
        let scope: &[&str] = &["aws"];
        let generation = world
            .rollout(ns, "digits", "v2", &CLOUDS, Some(scope))
            .await;
        world.until_complete(ns, "digits", generation).await;
        let status = world.status(ns, "digits").await;
        assert_eq!(row(&status, "aws").version.as_deref(), Some("v2"));
        assert_eq!(row(&status, "gcp").version.as_deref(), Some("v1"));
        assert_eq!(row(&status, "gcp").reason, "OutOfScope");
        assert_eq!(condition(&status.conditions, "MixedRevisions"), "True");
        // The old revision goes after the drain; then all is still.
        let is_gone = async || {
            let aws = &world.clouds["aws"].client;
            aws.list::<Deployment>(Some(ns), "").await.unwrap().len() == 1
        };
        while !is_gone().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = writes.lock().unwrap().len();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let all = writes.lock().unwrap().clone();
        assert_eq!(all[before..], [] as [String; 0], "written in steady state");
    };
    let bounded = tokio::time::timeout(Duration::from_mins(2), story);
    world.operate_while(fence, bounded).await.unwrap();
    let aws = &world.clouds["aws"];
    assert_eq!(
        aws.gateway.routes(ns, "digits"),
        (vec![("v2".to_owned(), 100)], vec!["gcp".to_owned()])
    );
    let secrets: Vec<Secret> = aws
        .client
        .list(Some(names::SYSTEM_NAMESPACE), "")
        .await
        .unwrap();
    assert!(
        secrets.is_empty(),
        "credentials of ended transfers are left"
    );
    // Another leader finds nothing to do.
    let (fence, writes) = counting();
    let wait = tokio::time::sleep(Duration::from_secs(3));
    world.operate_while(fence, wait).await;
    assert_eq!(*writes.lock().unwrap(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_one_cloud_do_not_stop_the_other() {
    let world = World::start(&CLOUDS).await;
    let story = async {
        unreachable_from_the_start(&world).await;
        unreachable_in_the_middle(&world).await;
        other_bytes_in_one_store(&world).await;
        two_rollouts_at_once(&world).await;
    };
    let bounded = tokio::time::timeout(Duration::from_mins(4), story);
    world.operate_while(always(), bounded).await.unwrap();
}

async fn unreachable_from_the_start(world: &World) {
    let ns = "from-the-start";
    prepare(world, ns).await;
    world.push(ns, "early", "v1", "gcp").await;
    world.clouds["aws"].server.freeze(true).unwrap();
    world.rollout(ns, "early", "v1", &CLOUDS, None).await;
    let told = |status: &ModelDeploymentStatus| {
        let mut rows = status.clusters.iter();
        let served = rows.any(|r| r.cluster == "gcp" && r.revision.is_some());
        served && condition(&status.conditions, "Complete") == "Unknown"
    };
    let status = world.until(ns, "early", "served by gcp alone", told).await;
    assert_eq!(row(&status, "aws").reachable, Ternary::Unknown);
    assert_eq!(row(&status, "aws").reason, "Unreachable");
    let member: MemberCluster = world.client.get(None, "aws").await.unwrap().unwrap();
    let conditions = member.status.unwrap().conditions;
    assert_eq!(condition(&conditions, "Reachable"), "Unknown");
    world.clouds["aws"].server.freeze(false).unwrap();
    world.until_complete(ns, "early", 1).await;
}

async fn unreachable_in_the_middle(world: &World) {
    let ns = "in-the-middle";
    prepare(world, ns).await;
    world.push(ns, "mid", "v1", "aws").await;
    let generation = world.rollout(ns, "mid", "v1", &CLOUDS, None).await;
    world.until_complete(ns, "mid", generation).await;
    world.push(ns, "mid", "v2", "gcp").await;
    world.clouds["aws"].gateway.let_pods_fail(true);
    let generation = world.rollout(ns, "mid", "v2", &CLOUDS, None).await;
    let begun =
        |status: &ModelDeploymentStatus| status.clusters.iter().any(|r| r.next_revision.is_some());
    world.until(ns, "mid", "begun", begun).await;
    world.clouds["aws"].server.freeze(true).unwrap();
    let told = |status: &ModelDeploymentStatus| {
        let mut rows = status.clusters.iter();
        rows.any(|r| r.cluster == "gcp" && r.version.as_deref() == Some("v2"))
    };
    let status = world.until(ns, "mid", "v2 in gcp", told).await;
    assert_eq!(row(&status, "aws").reachable, Ternary::Unknown);
    assert_eq!(row(&status, "aws").version.as_deref(), Some("v1"));
    assert_eq!(row(&status, "aws").weight, 100);
    // gcp's gateway still knows the way to aws: it finds out by itself who answers.
    let (_, regions) = world.clouds["gcp"].gateway.routes(ns, "mid");
    assert_eq!(regions, ["aws"]);
    world.clouds["aws"].gateway.let_pods_fail(false);
    world.clouds["aws"].server.freeze(false).unwrap();
    world.until_complete(ns, "mid", generation).await;
}

async fn other_bytes_in_one_store(world: &World) {
    let ns = "other-bytes";
    prepare(world, ns).await;
    world.push(ns, "bytes", "v1", "aws").await;
    world.push(ns, "bytes", "v1", "gcp").await;
    corrupt(world.stores.path(), "aws", "bytes", "v1");
    // A look at a copy is good for a second; what changes within it, `fetch` sees.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.rollout(ns, "bytes", "v1", &CLOUDS, None).await;
    let told = |status: &ModelDeploymentStatus| {
        let mut rows = status.clusters.iter();
        rows.any(|r| r.cluster == "gcp" && r.revision.is_some())
            && condition(&status.conditions, "Progressing") == "False"
    };
    let status = world.until(ns, "bytes", "served by gcp alone", told).await;
    assert_eq!(row(&status, "aws").reason, "ChecksumMismatch");
    assert!(
        row(&status, "aws").message.contains("model.onnx"),
        "{status:#?}"
    );
    let pods = world.clouds["aws"].client.list::<Deployment>(Some(ns), "");
    assert!(
        pods.await.unwrap().is_empty(),
        "no pods on bytes that differ"
    );
    let rollout: Option<ModelRollout> = world.client.get(Some(ns), "bytes-1").await.unwrap();
    let conditions = rollout.unwrap().status.unwrap().conditions;
    assert_eq!(condition(&conditions, "Complete"), "False");
}

async fn two_rollouts_at_once(world: &World) {
    let ns = "two-at-once";
    prepare(world, ns).await;
    for version in ["v1", "v2", "v3"] {
        world.push(ns, "two", version, "aws").await;
    }
    let generation = world.rollout(ns, "two", "v1", &CLOUDS, None).await;
    world.until_complete(ns, "two", generation).await;
    world.rollout(ns, "two", "v2", &CLOUDS, None).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let generation = world.rollout(ns, "two", "v3", &CLOUDS, None).await;
    world.until_complete(ns, "two", generation).await;
    let status = world.status(ns, "two").await;
    for cluster in CLOUDS {
        assert_eq!(row(&status, cluster).version.as_deref(), Some("v3"));
    }
    let earlier: ModelRollout = world.client.get(Some(ns), "two-2").await.unwrap().unwrap();
    let conditions = earlier.status.unwrap().conditions;
    assert_eq!(
        condition(&conditions, "Superseded"),
        "True",
        "{conditions:?}"
    );
    let said = conditions.iter().find(|c| c.type_ == "Superseded").unwrap();
    assert!(said.message.contains("v3@test"), "who: {}", said.message);
}

/// One deployment per `k`, each in a namespace of its own; the operator's writes to the
/// k-th are cut off after k, it is killed, and another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::too_many_lines,
    reason = "one story: the run without a crash, then every crash"
)]
async fn a_crash_after_any_write_ends_in_the_same_objects() {
    let world = World::start(&CLOUDS).await;
    let first = Case::new(0, usize::MAX);
    first.begin(&world).await;
    world.operate_while(always(), first.settle(&world, 1)).await;
    first.change(&world).await;
    let (fence, writes) = counting();
    world.operate_while(fence, first.settle(&world, 2)).await;
    let count = writes
        .lock()
        .unwrap()
        .iter()
        .filter(|call| first.owns(call))
        .count();
    assert!((15..90).contains(&count), "{count} writes in one rollout");
    let expected = first.objects(&world).await;

    let cases: Vec<Case> = (0..count).map(|k| Case::new(k + 1, k)).collect();
    for case in &cases {
        case.begin(&world).await;
    }
    let settled = futures::future::join_all(cases.iter().map(|case| case.settle(&world, 1)));
    world.operate_while(always(), settled).await;
    for case in &cases {
        case.change(&world).await;
    }
    let left: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    for case in &cases {
        left.lock().unwrap().insert(case.model.clone(), case.writes);
    }
    let budget = Arc::clone(&left);
    let fence: Fence = Arc::new(move |call| {
        let mut budget = budget.lock().unwrap();
        let call = call.to_string();
        let case = budget.iter_mut().find(|(model, _)| mentions(&call, model));
        let Some((_, left)) = case else { return true };
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    });
    let spent = async {
        // How many statuses are written depends on who is quick: the last few of the
        // counted writes may not come. Done is what writes nothing any more.
        let mut before = BTreeMap::new();
        loop {
            let now = left.lock().unwrap().clone();
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
    };
    world.operate_while(fence, spent).await;
    let reached = |left: &&usize| **left == 0;
    let reached = left.lock().unwrap().values().filter(reached).count();
    assert!(
        reached >= 25,
        "only {reached} of {count} writes were reached"
    );
    let settled = futures::future::join_all(cases.iter().map(|case| case.settle(&world, 2)));
    world.operate_while(always(), settled).await;
    for case in &cases {
        let objects = case.objects(&world).await;
        for (name, object) in &expected {
            let actual = objects.get(name);
            assert_eq!(
                actual,
                Some(object),
                "{name} after a crash at write {}",
                case.writes
            );
        }
        assert_eq!(
            objects.keys().collect::<BTreeSet<_>>(),
            expected.keys().collect::<BTreeSet<_>>(),
            "after a crash at write {}",
            case.writes
        );
    }
}

fn mentions(call: &str, model: &str) -> bool {
    let words = call.split(|c: char| !c.is_ascii_alphanumeric());
    words.into_iter().any(|word| word == model)
}

struct Case {
    model: String,
    writes: usize,
}

impl Case {
    fn new(index: usize, writes: usize) -> Self {
        let model = format!("m{index:03}");
        Self { model, writes }
    }

    fn owns(&self, call: &str) -> bool {
        mentions(call, &self.model)
    }

    async fn begin(&self, world: &World) {
        let model = &self.model;
        prepare(world, model).await;
        world.push(model, model, "v1", "aws").await;
        world.rollout(model, model, "v1", &CLOUDS, None).await;
    }

    async fn change(&self, world: &World) {
        let model = &self.model;
        world.push(model, model, "v2", "gcp").await;
        world.rollout(model, model, "v2", &CLOUDS, None).await;
    }

    /// Complete, and the old revision's objects and the transfers are gone.
    async fn settle(&self, world: &World, generation: i64) {
        let ns = Some(self.model.as_str());
        world
            .until_complete(&self.model, &self.model, generation)
            .await;
        let selector = format!("{}={}", names::LABEL_MODEL, self.model);
        for cloud in world.clouds.values() {
            loop {
                let pods = cloud.client.list::<Deployment>(ns, "").await.unwrap();
                let jobs = cloud.client.list::<Job>(None, &selector).await.unwrap();
                let (routes, _) = cloud.gateway.routes(&self.model, &self.model);
                if pods.len() == 1 && jobs.is_empty() && routes.len() == 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        // The policy says so last.
        for _ in 0..100 {
            let policy = world.client.get::<TrafficPolicy>(ns, &self.model);
            let status = policy.await.unwrap().unwrap().status.unwrap_or_default();
            if condition(&status.conditions, "Ready") == "True" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every object of this case, without what may differ.
    async fn objects(&self, world: &World) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        let ns = self.model.as_str();
        let hub = &world.client;
        let ids = self.revisions(world).await;
        let mut take = |cluster: &str, kind: &str, objects: Vec<Value>| {
            for object in objects {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let name = self.plain(name, &ids);
                let object = self.normal(object, &ids);
                all.insert(format!("{cluster} {kind} {name}"), object);
            }
        };
        take("hub", "deployment", list::<ModelDeployment>(hub, ns).await);
        take("hub", "rollout", list::<ModelRollout>(hub, ns).await);
        take("hub", "record", list::<ControllerRevision>(hub, ns).await);
        take("hub", "policy", list::<TrafficPolicy>(hub, ns).await);
        for cloud in world.clouds.values() {
            let client = &cloud.client;
            take(
                cloud.name,
                "snapshot",
                list::<RoutingSnapshot>(client, ns).await,
            );
            take(
                cloud.name,
                "deployment",
                list::<Deployment>(client, ns).await,
            );
            take(cloud.name, "service", list::<Service>(client, ns).await);
            take(cloud.name, "secret", list::<Secret>(client, ns).await);
            let jobs = list::<Job>(client, names::SYSTEM_NAMESPACE).await;
            let ours = |job: &Value| {
                let name = job["metadata"]["name"].as_str().unwrap_or_default();
                self.owns(name)
            };
            take(cloud.name, "job", jobs.into_iter().filter(ours).collect());
            let secrets = list::<Secret>(client, names::SYSTEM_NAMESPACE).await;
            take(
                cloud.name,
                "secret",
                secrets.into_iter().filter(ours).collect(),
            );
        }
        all
    }

    /// Versions by revision id.
    async fn revisions(&self, world: &World) -> BTreeMap<String, String> {
        let list = world
            .client
            .list::<ControllerRevision>(Some(&self.model), "");
        let records = list.await.unwrap().into_iter().map(|record| {
            let labels = record.metadata.labels.unwrap();
            let version = record.data.0["version"].as_str().unwrap().to_owned();
            (labels[names::LABEL_REVISION].clone(), version)
        });
        records.collect()
    }

    fn plain(&self, text: &str, ids: &BTreeMap<String, String>) -> String {
        let mut text = text.replace(&self.model, "MODEL");
        for (id, version) in ids {
            text = text.replace(id, &format!("<{version}>"));
        }
        text
    }

    /// Without uid, time and resource version, and without what depends on them or on
    /// the model's name: epochs count leaders and writes, hashes hash names.
    fn normal(&self, value: Value, ids: &BTreeMap<String, String>) -> Value {
        const LEFT_OUT: [&str; 16] = [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "lastTransitionTime",
            "generation",
            "observedGeneration",
            "epoch",
            "hash",
            "manifestDigest",
            "mcdeploy.dev/input-hash",
            "data",
            "clusterIP",
            "clusterIPs",
            "startTime",
            "completionTime",
        ];
        match value {
            Value::Object(fields) => {
                let kept = fields
                    .into_iter()
                    .filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()))
                    .map(|(key, value)| (key, self.normal(value, ids)));
                Value::Object(kept.collect())
            }
            Value::Array(items) => {
                let mut items: Vec<_> = items.into_iter().map(|v| self.normal(v, ids)).collect();
                // Lists that are sorted by revision id.
                if items.iter().all(|item| item.get("revision").is_some()) {
                    items.sort_by_key(|item| item["revision"].to_string());
                }
                Value::Array(items)
            }
            Value::String(text) => Value::String(self.plain(&text, ids)),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }
}

async fn list<K: mcdeploy_cluster::ApiObject + Serialize>(
    client: &ClusterClient,
    namespace: &str,
) -> Vec<Value> {
    let objects: Vec<K> = client.list(Some(namespace), "").await.unwrap();
    let values = objects
        .iter()
        .map(|object| serde_json::to_value(object).unwrap());
    values.collect()
}
