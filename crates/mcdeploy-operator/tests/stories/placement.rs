//! Clusters that come and go, and deployments that are deleted.

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, Deployment},
    core::v1::{Pod, Secret, Service},
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use mcdeploy_api::{ModelDeployment, ModelDeploymentStatus, RoutingSnapshot, Ternary, names};
use mcdeploy_cluster::Delete;
use serde_json::json;

use super::eventually;
use crate::{
    cloud::{World, always, condition},
    prepare, row,
};

const BOTH: [&str; 2] = ["aws", "gcp"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_come_and_go_and_deleted_deployments_leave_nothing() {
    let world = World::start(&BOTH).await;
    let story = async {
        a_new_cluster_gets_what_was_complete(&world).await;
        a_cluster_that_is_not_placed_is_emptied(&world).await;
        a_deleted_deployment_waits_for_a_lost_cluster(&world).await;
        a_lost_cluster_can_be_let_go(&world).await;
        what_fails_first_starts_nowhere_else(&world).await;
    };
    let bounded = tokio::time::timeout(std::time::Duration::from_mins(4), story);
    let led = Box::pin(world.operate_while(always(), bounded));
    led.await.unwrap();
}

/// How many objects a deployment's namespace has in a cluster.
async fn objects(world: &World, cluster: &str, ns: &str) -> usize {
    let client = &world.clouds[cluster].client;
    let deployments = client.list::<Deployment>(Some(ns), "").await.unwrap();
    let services = client.list::<Service>(Some(ns), "").await.unwrap();
    let secrets = client.list::<Secret>(Some(ns), "").await.unwrap();
    let snapshots = client.list::<RoutingSnapshot>(Some(ns), "").await.unwrap();
    deployments.len() + services.len() + secrets.len() + snapshots.len()
}

fn serves(status: &ModelDeploymentStatus, cluster: &str, version: &str) -> bool {
    let mut rows = status.clusters.iter();
    rows.any(|row| row.cluster == cluster && row.version.as_deref() == Some(version))
}

/// v2 is stuck in aws when gcp comes: gcp gets v1, through all gates (the gateway of this
/// test refuses weight for what was never probed), and nobody rolled anything out.
async fn a_new_cluster_gets_what_was_complete(world: &World) {
    let ns = "come";
    prepare(world, ns).await;
    world.push(ns, "come", "v1", "aws").await;
    world.rollout(ns, "come", "v1", &["aws"], None).await;
    world.until_complete(ns, "come", 1).await;
    world.push(ns, "come", "v2", "aws").await;
    world.clouds["aws"].gateway.let_pods_fail(true);
    let only: &[&str] = &["aws"];
    world.rollout(ns, "come", "v2", only, Some(only)).await;
    world.rollout(ns, "come", "v2", &BOTH, Some(only)).await;
    let joined = |status: &ModelDeploymentStatus| serves(status, "gcp", "v1");
    let status = world.until(ns, "come", "v1 in gcp", joined).await;
    assert!(serves(&status, "aws", "v1"), "{status:#?}");
    let records = world.client.list::<ControllerRevision>(Some(ns), "").await;
    assert_eq!(records.unwrap().len(), 2, "v1 and v2");
    world.clouds["aws"].gateway.let_pods_fail(false);
    world.until_complete(ns, "come", 3).await;
    let status = world.status(ns, "come").await;
    assert!(serves(&status, "aws", "v2") && serves(&status, "gcp", "v1"));
}

async fn a_cluster_that_is_not_placed_is_emptied(world: &World) {
    let ns = "go";
    prepare(world, ns).await;
    let unused = objects(world, "gcp", ns).await;
    world.push(ns, "go", "v1", "aws").await;
    world.rollout(ns, "go", "v1", &BOTH, None).await;
    world.until_complete(ns, "go", 1).await;
    assert_eq!(objects(world, "gcp", ns).await, unused + 4);
    world.rollout(ns, "go", "v1", &["aws"], None).await;
    eventually("gcp is empty", async || {
        objects(world, "gcp", ns).await == unused
    })
    .await;
    world.until_complete(ns, "go", 2).await;
    let one_row = |status: &ModelDeploymentStatus| status.clusters.len() == 1;
    let status = world.until(ns, "go", "without gcp", one_row).await;
    assert_eq!(row(&status, "aws").reason, "Serving");
    // Nobody is sent to gcp, and what was last told to its gateway was to send on.
    assert!(world.clouds["aws"].gateway.routes(ns, "go").1.is_empty());
    assert_eq!(
        world.clouds["gcp"].gateway.routes(ns, "go"),
        (vec![], vec!["aws".to_owned()])
    );
}

async fn delete(world: &World, ns: &str, name: &str) {
    let hub = &world.client;
    let gone = hub.delete::<ModelDeployment>(Some(ns), name, Delete::default());
    assert!(gone.await.unwrap());
}

async fn is_gone(world: &World, ns: &str, name: &str) -> bool {
    let found = world.client.get::<ModelDeployment>(Some(ns), name).await;
    found.unwrap().is_none()
}

/// Rolled out to both clusters, gcp lost, and deleted.
async fn deleted_without_gcp(world: &World, ns: &str) -> ModelDeploymentStatus {
    prepare(world, ns).await;
    world.push(ns, ns, "v1", "aws").await;
    world.rollout(ns, ns, "v1", &BOTH, None).await;
    world.until_complete(ns, ns, 1).await;
    world.clouds["gcp"].server.freeze(true).unwrap();
    let lost = |status: &ModelDeploymentStatus| row(status, "gcp").reachable == Ternary::Unknown;
    world.until(ns, ns, "lost", lost).await;
    delete(world, ns, ns).await;
    eventually("aws is empty", async || {
        objects(world, "aws", ns).await == 0
    })
    .await;
    let told = |status: &ModelDeploymentStatus| status.clusters.len() == 1;
    world.until(ns, ns, "waiting for gcp", told).await
}

async fn a_deleted_deployment_waits_for_a_lost_cluster(world: &World) {
    let ns = "wait";
    let status = deleted_without_gcp(world, ns).await;
    assert_eq!(condition(&status.conditions, "Ready"), "False");
    let mut ready = status.conditions.iter();
    let ready = ready.find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "Deleting");
    assert!(ready.message.starts_with("gcp cannot be seen"), "{ready:?}");
    let left = row(&status, "gcp");
    assert_eq!(left.version.as_deref(), Some("v1"), "{left:?}");
    world.clouds["gcp"].server.freeze(false).unwrap();
    eventually("the deployment is gone", async || {
        is_gone(world, ns, ns).await
    })
    .await;
    assert_eq!(objects(world, "gcp", ns).await, 0);
}

async fn a_lost_cluster_can_be_let_go(world: &World) {
    let ns = "let-go";
    deleted_without_gcp(world, ns).await;
    let api = Api::<ModelDeployment>::namespaced(world.client.kube().clone(), ns);
    let annotations = json!({ names::ANNOTATION_ABANDON_CLUSTERS: "azure, gcp" });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let params = PatchParams::default();
    api.patch(ns, &params, &patch).await.unwrap();
    eventually("the deployment is gone", async || {
        is_gone(world, ns, ns).await
    })
    .await;
    world.clouds["gcp"].server.freeze(false).unwrap();
    // Lost contact deleted nothing, and nobody cleans up behind the user's back.
    eventually("gcp answers", async || {
        let client = &world.clouds["gcp"].client;
        client.list::<Deployment>(Some(ns), "").await.is_ok()
    })
    .await;
    assert_eq!(objects(world, "gcp", ns).await, 4);
}

/// v2 crashes in aws, whose wave is the first.
async fn what_fails_first_starts_nowhere_else(world: &World) {
    let ns = "fail";
    prepare(world, ns).await;
    world.push(ns, "fail", "v1", "aws").await;
    world.rollout(ns, "fail", "v1", &BOTH, None).await;
    world.until_complete(ns, "fail", 1).await;
    world.push(ns, "fail", "v2", "aws").await;
    let aws = &world.clouds["aws"];
    aws.gateway.let_pods_fail(true);
    world.rollout(ns, "fail", "v2", &BOTH, None).await;
    let pod = a_pod_that_crashes(world, ns).await;
    let stopped = |status: &ModelDeploymentStatus| row(status, "gcp").reason == "RevisionFailed";
    let status = world.until(ns, "fail", "stopped in gcp", stopped).await;
    assert!(serves(&status, "aws", "v1") && serves(&status, "gcp", "v1"));
    let message = &row(&status, "gcp").message;
    assert_eq!(
        message,
        "v2 fails in aws (CrashLoop), so it goes no further"
    );
    assert!(row(&status, "aws").message.contains("exit code 3"));
    let gcp = &world.clouds["gcp"].client;
    let there = gcp.list::<Deployment>(Some(ns), "").await.unwrap();
    assert_eq!(there.len(), 1, "of v1 alone");
    let pods = Api::<Pod>::namespaced(aws.client.kube().clone(), ns);
    pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    aws.gateway.let_pods_fail(false);
    world.until_complete(ns, "fail", 2).await;
}

/// Makes, in aws, the pod of v2 that a kubelet would make, as one that ends again and again.
async fn a_pod_that_crashes(world: &World, ns: &str) -> String {
    let client = &world.clouds["aws"].client;
    let mut template = None;
    eventually("v2 is applied in aws", async || {
        let all = client.list::<Deployment>(Some(ns), "").await.unwrap();
        let unready = |d: &&Deployment| {
            let status = d.status.as_ref();
            status.and_then(|status| status.ready_replicas).is_none()
        };
        template = all.iter().find(unready).map(|d| d.spec.template.clone());
        template.is_some()
    })
    .await;
    let template = template.unwrap();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "crashing", "labels": template.metadata.unwrap().labels },
        "spec": { "containers": [{ "name": "server", "image": "registry.test/server" }] },
    }))
    .unwrap();
    let pods = Api::<Pod>::namespaced(client.kube().clone(), ns);
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let ended = json!({ "terminated": { "exitCode": 3 } });
    let status = json!({ "status": { "containerStatuses": [{
        "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 4,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": ended,
    }]}});
    let patch = Patch::Merge(&status);
    let params = PatchParams::default();
    pods.patch_status("crashing", &params, &patch)
        .await
        .unwrap();
    "crashing".to_owned()
}
