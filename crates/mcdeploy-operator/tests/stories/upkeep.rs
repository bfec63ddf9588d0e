//! Old things that cannot be removed, or that a crash left behind.

use std::sync::Arc;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::Deployment,
        core::v1::Secret,
    },
};
use kube::{
    Resource,
    api::{Api, DeleteParams},
};
use mcdeploy_api::{ModelDeploymentStatus, ModelRollout, names};
use mcdeploy_cluster::{ClusterClient, Delete, Fence, Force};
use serde_json::json;

use super::eventually;
use crate::{
    cloud::{World, always, condition},
    prepare,
};

const NS: &str = "upkeep";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upkeep_that_is_refused_holds_nothing_up_and_is_done_later() {
    let world = World::start(&["aws"]).await;
    prepare(&world, NS).await;
    let aws = &world.clouds["aws"].client;
    world.push(NS, "up", "v1", "aws").await;
    world.push(NS, "up", "v2", "aws").await;
    world.rollout(NS, "up", "v1", &["aws"], None).await;
    let complete = world.until_complete(NS, "up", 1);
    world.operate_while(always(), complete).await;
    old_rollouts(&world.client).await;
    refuse_deletes(&world.client, "mcdeploy.dev", "modelrollouts").await;
    refuse_deletes(aws, "apps", "deployments").await;
    let generation = world.rollout(NS, "up", "v2", &["aws"], None).await;
    let story = async {
        world.until_complete(NS, "up", generation).await;
        let told = |status: &ModelDeploymentStatus| {
            let mut found = status.conditions.iter();
            found.any(|c| {
                let both = ["delete_rollout up-old-", "delete_revision "];
                c.type_ == "UpkeepRefused"
                    && c.status == "True"
                    && both.iter().all(|what| c.message.contains(what))
            })
        };
        let status = world.until(NS, "up", "told what is refused", told).await;
        assert_eq!(condition(&status.conditions, "Ready"), "True");
        assert_eq!(pods(aws).await, 2, "v1's are still there");
        allow_deletes(aws).await;
        allow_deletes(&world.client).await;
        eventually("v1's are gone", async || pods(aws).await == 1).await;
        let settled = |status: &ModelDeploymentStatus| {
            condition(&status.conditions, "UpkeepRefused") == "False"
        };
        world.until(NS, "up", "at rest", settled).await;
    };
    world.operate_while(always(), story).await;
    let rollouts: Vec<ModelRollout> = world.client.list(Some(NS), "").await.unwrap();
    assert_eq!(rollouts.len(), 10);
}

async fn pods(client: &ClusterClient) -> usize {
    let list = client.list::<Deployment>(Some(NS), "").await;
    list.unwrap().len()
}

/// Records of rollouts long ago, more than are kept.
async fn old_rollouts(hub: &ClusterClient) {
    for age in 1..=10 {
        let object = json!({
            "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "ModelRollout",
            "metadata": {
                "name": format!("up-old-{age}"), "namespace": NS,
                "labels": { names::LABEL_DEPLOYMENT: "up" },
            },
            "spec": {
                "deploymentRef": { "name": "up" }, "deploymentGeneration": -age,
                "toRevision": "0000000000", "toVersion": "v0", "waves": [],
            },
        });
        let object: ModelRollout = serde_json::from_value(object).unwrap();
        hub.create(&object, "test").await.unwrap();
        let status = json!({ "conditions": [{
            "type": "Superseded", "status": "True", "reason": "Superseded", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        let name = format!("up-old-{age}");
        let patched = hub.patch_status::<ModelRollout>(Some(NS), &name, &status, "test", None);
        patched.await.unwrap();
    }
}

/// As a webhook would. Answers once it is in force.
async fn refuse_deletes(client: &ClusterClient, group: &str, resource: &str) {
    let policy = json!({
        "metadata": { "name": "keep" },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [group], "apiVersions": ["*"], "operations": ["DELETE"],
                "resources": [resource],
            }]},
            "validations": [{ "expression": "false", "message": "old things are kept here" }],
        },
    });
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(policy).unwrap();
    client.apply(&policy, "test", Force::Yes).await.unwrap();
    let binding = json!({
        "metadata": { "name": "keep" },
        "spec": { "policyName": "keep", "validationActions": ["Deny"] },
    });
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(binding).unwrap();
    client.apply(&binding, "test", Force::Yes).await.unwrap();
    eventually("deletes are refused", async || match group {
        "apps" => is_refused::<Deployment>(client).await,
        _ => is_refused::<ModelRollout>(client).await,
    })
    .await;
}

async fn is_refused<K>(client: &ClusterClient) -> bool
where
    K: mcdeploy_cluster::ApiObject + Resource<Scope = NamespaceResourceScope>,
{
    let all = client.list::<K>(Some(NS), "").await.unwrap();
    let name = all[0].meta().name.clone().unwrap();
    let api = Api::<K>::namespaced(client.kube().clone(), NS);
    let only_asked = DeleteParams::default().dry_run();
    match api.delete(&name, &only_asked).await {
        Ok(_) => false,
        Err(error) => error.to_string().contains("old things are kept here"),
    }
}

async fn allow_deletes(client: &ClusterClient) {
    let any = Delete::default();
    let gone = client.delete::<ValidatingAdmissionPolicyBinding>(None, "keep", any);
    assert!(gone.await.unwrap());
}

/// A process that ends between the Secret and the Deployment of a revision that nobody
/// wants any more afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_crash_left_without_its_deployment_is_removed() {
    let world = World::start(&["aws"]).await;
    let ns = "orphan";
    prepare(&world, ns).await;
    let secrets = async || {
        let aws = &world.clouds["aws"].client;
        aws.list::<Secret>(Some(ns), "").await.unwrap().len()
    };
    world.push(ns, "orphan", "v1", "aws").await;
    world.push(ns, "orphan", "v2", "aws").await;
    world.rollout(ns, "orphan", "v1", &["aws"], None).await;
    let crash: Fence =
        Arc::new(|call| !(call.verb == "apply" && call.object.starts_with("Deployment")));
    let written = eventually("the Secret is there", async || secrets().await == 1);
    world.operate_while(crash, written).await;
    let generation = world.rollout(ns, "orphan", "v2", &["aws"], None).await;
    let story = async {
        world.until_complete(ns, "orphan", generation).await;
        eventually("one Secret is left", async || secrets().await == 1).await;
    };
    world.operate_while(always(), story).await;
}
