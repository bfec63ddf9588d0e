//! The operator against real API servers: whole rollouts, faults, and a crash after
//! every write.
//!
//! | module | room |
//! |---|---|
//! | `cloud` | the world: API servers, stores, stand-ins for kubelets and gateways |
//! | `crashes` | a crash after every write |
//! | `stories` | one thing each |

#![cfg(test)]

mod cloud;
mod crashes;
mod stories;

use std::time::Duration;

use cloud::{World, always, condition, corrupt, counting};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use mcdeploy_api::{
    MemberCluster, ModelDeploymentStatus, ModelRollout, ReplicaState, Ternary, names,
};

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
