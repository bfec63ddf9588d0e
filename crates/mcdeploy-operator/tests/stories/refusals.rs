//! What a cluster's own rules refuse: it is told with what to do, and the others go on.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota, Secret};
use kube::api::{Api, PostParams};
use mcdeploy_api::{ModelDeploymentStatus, names};
use mcdeploy_cluster::{ClusterClient, Delete, Force};
use serde_json::json;

use super::eventually;
use crate::{
    cloud::{World, always, condition},
    prepare, row,
};

const BOTH: [&str; 2] = ["gcp", "aws"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a6_what_one_cluster_refuses_is_told_with_what_to_do_and_others_go_on() {
    let world = World::start(&BOTH).await;
    let story = async {
        quota_of_pods(&world).await;
        quota_of_deployments(&world).await;
        pod_security(&world).await;
        quota_of_jobs(&world).await;
    };
    let bounded = tokio::time::timeout(std::time::Duration::from_mins(4), story);
    world.operate_while(always(), bounded).await.unwrap();
}

/// Rolls v1 out while gcp refuses something: aws serves, and gcp's row says why and what
/// to do.
async fn told_and_others_go_on(world: &World, ns: &str, why: &str, next: &str) {
    world.rollout(ns, ns, "v1", &BOTH, None).await;
    let told = |status: &ModelDeploymentStatus| {
        let mut rows = status.clusters.iter();
        let serves = rows.any(|row| row.cluster == "aws" && row.version.is_some());
        serves && row(status, "gcp").reason == "ApplyRefused"
    };
    let status = world.until(ns, ns, "told, and served by aws", told).await;
    let message = &row(&status, "gcp").message;
    assert!(message.contains(why) && message.contains(next), "{message}");
    assert_eq!(condition(&status.conditions, "Complete"), "False");
    assert_eq!(row(&status, "aws").reason, "Serving");
    let gateway = &world.clouds["gcp"].gateway;
    eventually("requests of gcp go to aws", async || {
        gateway.routes(ns, ns).1 == ["aws".to_owned()]
    })
    .await;
}

async fn pushed_to_both(world: &World, ns: &str) {
    prepare(world, ns).await;
    for store in BOTH {
        world.push(ns, ns, "v1", store).await;
        let client = &world.clouds[store].client;
        client.ensure_namespace(ns).await.unwrap();
    }
}

async fn quota_of_pods(world: &World) {
    let ns = "quota-pods";
    pushed_to_both(world, ns).await;
    let gcp = &world.clouds["gcp"].client;
    set_quota(gcp, ns, "pods").await;
    told_and_others_go_on(world, ns, "exceeded quota", "raise that ResourceQuota").await;
    lift_quota(gcp, ns).await;
    world.until_complete(ns, ns, 1).await;
}

async fn quota_of_deployments(world: &World) {
    let ns = "quota-deployments";
    pushed_to_both(world, ns).await;
    let gcp = &world.clouds["gcp"].client;
    set_quota(gcp, ns, "count/deployments.apps").await;
    told_and_others_go_on(world, ns, "exceeded quota", "raise that ResourceQuota").await;
    lift_quota(gcp, ns).await;
    world.until_complete(ns, ns, 1).await;
}

/// In aws pods are taken as they are rendered; in gcp something changes them on the way.
async fn pod_security(world: &World) {
    let ns = "pod-security";
    pushed_to_both(world, ns).await;
    for cloud in world.clouds.values() {
        let label = "pod-security.kubernetes.io/enforce";
        let enforced = json!({ "metadata": { "name": ns, "labels": { label: "restricted" } } });
        let enforced: Namespace = serde_json::from_value(enforced).unwrap();
        cloud
            .client
            .apply(&enforced, "us", Force::Yes)
            .await
            .unwrap();
    }
    let gateway = &world.clouds["gcp"].gateway;
    gateway.let_pods_be_injected(true);
    let why = r#"violates PodSecurity "restricted"#;
    told_and_others_go_on(world, ns, why, "a mutating webhook").await;
    gateway.let_pods_be_injected(false);
    world.until_complete(ns, ns, 1).await;
}

/// The transfer for gcp runs in aws, which refuses it: aws itself serves all the same.
async fn quota_of_jobs(world: &World) {
    let ns = "quota-jobs";
    prepare(world, ns).await;
    world.push(ns, ns, "v1", "aws").await;
    let aws = &world.clouds["aws"].client;
    set_quota(aws, names::SYSTEM_NAMESPACE, "count/jobs.batch").await;
    told_and_others_go_on(world, ns, "exceeded quota", "raise that ResourceQuota").await;
    let secrets = aws.list::<Secret>(Some(names::SYSTEM_NAMESPACE), "");
    let left = secrets.await.unwrap();
    let left = left
        .iter()
        .filter_map(|secret| secret.metadata.name.as_deref());
    let left: Vec<_> = left.filter(|name| name.starts_with("transfer-")).collect();
    assert_eq!(
        left,
        [] as [&str; 0],
        "credentials of a Job that was refused"
    );
    lift_quota(aws, names::SYSTEM_NAMESPACE).await;
    world.until_complete(ns, ns, 1).await;
}

/// None of a resource may be made any more. No controller counts here: the status is
/// written by hand. Answers once it is in force.
async fn set_quota(client: &ClusterClient, namespace: &str, resource: &str) {
    let hard = json!({ resource: "0", "count/configmaps": "0" });
    let quota = json!({ "metadata": { "name": "none", "namespace": namespace },
        "spec": { "hard": hard } });
    let quota: ResourceQuota = serde_json::from_value(quota).unwrap();
    client.apply(&quota, "us", Force::Yes).await.unwrap();
    let status = json!({ "hard": hard, "used": hard });
    let patched =
        client.patch_status::<ResourceQuota>(Some(namespace), "none", &status, "us", None);
    patched.await.unwrap();
    let api = Api::<ConfigMap>::namespaced(client.kube().clone(), namespace);
    eventually("the quota is in force", async || {
        let mut probe = ConfigMap::default();
        probe.metadata.generate_name = Some("probe-".to_owned());
        let only_asked = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let asked = api.create(&only_asked, &probe).await;
        asked.is_err_and(|error| error.to_string().contains("exceeded quota"))
    })
    .await;
}

async fn lift_quota(client: &ClusterClient, namespace: &str) {
    let gone = client.delete::<ResourceQuota>(Some(namespace), "none", Delete::default());
    assert!(gone.await.unwrap());
}
