//! Faults that a user can make with the clouds' own tools, and their undoing.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use mcdeploy_api::{MemberCluster, TrafficPolicy, names};
use serde_json::{Value, json};

use super::{Sandbox, eventually, expect};

/// Namespace of the example.
pub const NAMESPACE: &str = "default";
const PATIENCE: Duration = Duration::from_mins(1);

/// Takes away every pod of a model in a cloud and lets no new one start. The gateway
/// goes on.
///
/// # Errors
/// The cloud's API server refuses, or a pod does not go.
pub async fn hold_pods_down(sandbox: &Sandbox, cloud: &str, model: &str) -> anyhow::Result<()> {
    hold_new_pods(sandbox, cloud).await?;
    let pods: Api<Pod> = Api::namespaced(sandbox.client(cloud).await?, NAMESPACE);
    let of_model = ListParams::default().labels(&format!("{}={model}", names::LABEL_MODEL));
    let running = pods.list(&of_model).await?;
    expect(!running.items.is_empty(), || {
        format!("no pod of {model} in {cloud}")
    })?;
    let at_once = DeleteParams::default().grace_period(0);
    for pod in &running.items {
        pods.delete(&pod.name_any(), &at_once).await?;
    }
    Ok(())
}

/// Lets no new pod start in a cloud; those that run go on.
///
/// # Errors
/// The cloud's API server refuses.
pub async fn hold_new_pods(sandbox: &Sandbox, cloud: &str) -> anyhow::Result<()> {
    set_schedulable(sandbox, cloud, false).await
}

/// Lets pods start again in a cloud.
///
/// # Errors
/// The cloud's API server refuses.
pub async fn let_pods_up(sandbox: &Sandbox, cloud: &str) -> anyhow::Result<()> {
    set_schedulable(sandbox, cloud, true).await
}

async fn set_schedulable(sandbox: &Sandbox, cloud: &str, schedulable: bool) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(sandbox.client(cloud).await?);
    let patch = Patch::Merge(json!({ "spec": { "unschedulable": !schedulable } }));
    for node in nodes.list(&ListParams::default()).await? {
        nodes
            .patch(&node.name_any(), &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("cordon the node of {cloud}"))?;
    }
    Ok(())
}

/// Sets the weights of clusters for a model; none means every region serves itself.
///
/// # Errors
/// The hub refuses, or the gateways do not follow in time.
pub async fn set_weights(
    sandbox: &Sandbox,
    model: &str,
    weights: &[(&str, i32)],
) -> anyhow::Result<()> {
    let policies: Api<TrafficPolicy> = Api::namespaced(sandbox.client("hub").await?, NAMESPACE);
    let listed: Vec<Value> = weights
        .iter()
        .map(|(cluster, weight)| json!({ "cluster": cluster, "weight": weight }))
        .collect();
    let patch = Patch::Merge(json!({ "spec": { "weights": listed } }));
    let patched = policies
        .patch(model, &PatchParams::default(), &patch)
        .await?;
    let wanted = patched.metadata.generation;
    eventually("the weights are in force", PATIENCE, || async {
        let status = policies.get_status(model).await?.status;
        let status = status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        expect(ready && status.observed_generation >= wanted, || {
            format!("status of the traffic policy: {status:?}")
        })
    })
    .await
}

/// Starts the gateways of these clouds with other arguments and waits until they run.
/// Gives back the arguments before, to be set again.
///
/// # Errors
/// An API server refuses, or a gateway does not come up.
pub async fn set_gateway_args(
    sandbox: &Sandbox,
    cloud: &str,
    change: impl FnOnce(&mut Vec<String>),
) -> anyhow::Result<Vec<String>> {
    let client = sandbox.client(cloud).await?;
    let deployments: Api<Deployment> = Api::namespaced(client, names::SYSTEM_NAMESPACE);
    let name = names::GATEWAY_SERVICE;
    let mut deployment = deployments.get(name).await?;
    let container = deployment
        .spec
        .template
        .spec
        .as_mut()
        .and_then(|pod| pod.containers.first_mut())
        .context("the gateway has no container")?;
    let before = container.args.clone().unwrap_or_default();
    change(container.args.get_or_insert_default());
    let patched = deployments
        .replace(name, &PostParams::default(), &deployment)
        .await?;
    let wanted = patched.metadata.generation;
    eventually("the gateway runs", PATIENCE, || async {
        let status = deployments.get(name).await?.status.unwrap_or_default();
        let updated = status.updated_replicas.unwrap_or(0);
        let done = status.observed_generation >= wanted
            && updated > 0
            && status.replicas == Some(updated)
            && status.available_replicas == Some(updated);
        expect(done, || format!("the gateway of {cloud}: {status:?}"))
    })
    .await?;
    Ok(before)
}

/// Until a model's pods of a cloud are ready again.
///
/// # Errors
/// They are not in time.
pub async fn wait_for_pods(sandbox: &Sandbox, cloud: &str, model: &str) -> anyhow::Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(sandbox.client(cloud).await?, NAMESPACE);
    let of_model = ListParams::default().labels(&format!("{}={model}", names::LABEL_MODEL));
    eventually("the pods are ready", PATIENCE, || async {
        let all = deployments.list(&of_model).await?.items;
        let ready = |deployment: &Deployment| {
            let wanted = deployment.spec.replicas;
            let status = deployment.status.as_ref();
            status.and_then(|status| status.ready_replicas).unwrap_or(0) >= wanted.unwrap_or(1)
        };
        expect(!all.is_empty() && all.iter().all(ready), || {
            format!("pods of {model} in {cloud} are not ready")
        })
    })
    .await
}

/// Until the hub says of every deployment that it sees a cluster.
///
/// # Errors
/// It does not in time.
pub async fn wait_reachable(sandbox: &Sandbox, cluster: &str) -> anyhow::Result<()> {
    let clusters: Api<MemberCluster> = Api::all(sandbox.client("hub").await?);
    eventually("the hub sees the cluster", PATIENCE, || async {
        let status = clusters.get(cluster).await?.status.unwrap_or_default();
        let reachable = status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Reachable" && condition.status == "True");
        expect(reachable, || format!("{cluster}: {:?}", status.conditions))
    })
    .await
}
