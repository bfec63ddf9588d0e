//! mcdeploy itself, in all four clusters: what a user does by hand, done the same way.
//! Real helm, the code of `mcdeploy clusters add`, and an `ArtifactStore` per provider.

use std::{path::Path, time::Duration};

use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::Deployment,
        core::v1::{Pod, Secret, Service},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, LogParams},
};
use mcdeploy_api::{ArtifactStore, ImageRegistry, StoreAccess, names};
use mcdeploy_cluster::{ClusterClient, Force, MemberRegistration, register_member};

use crate::{
    Cloud, SandboxError, Say, api, clock, host,
    images::Image,
    node,
    tools::{self, Tool},
};

mod charts;

const READY_WITHIN: Duration = Duration::from_mins(2);

/// Whether the charts are there, before anything is changed.
pub(crate) fn check(directory: &Path) -> Result<(), SandboxError> {
    for chart in [charts::CRDS, charts::CHART] {
        let file = directory.join(chart).join("Chart.yaml");
        if !file.exists() {
            return Err(SandboxError::Unfit(format!(
                "{} is missing: run this in the repository, or say --charts DIR",
                file.display()
            )));
        }
    }
    Ok(())
}

/// Installs and registers everything; what is there already is brought up to date.
pub(crate) async fn install(
    directory: &Path,
    images: &[Image],
    clouds: &[Cloud],
    say: &Say,
) -> Result<(), SandboxError> {
    let start = clock::now();
    let helm = tools::ensure(Tool::Helm, say).await?;
    let daemon = images.iter().find(|image| image.name == "mcdeployd");
    let digest = daemon.map(|image| image.digest.clone()).unwrap_or_default();
    let charts_in = clouds
        .iter()
        .map(|&cloud| charts::install(cloud, &helm, directory, &digest));
    futures::future::try_join_all(charts_in).await?;
    let hub = client(Cloud::Hub)?;
    let members = || clouds.iter().copied().filter(|cloud| *cloud != Cloud::Hub);
    futures::future::try_join_all(members().map(|cloud| add_store(&hub, cloud))).await?;
    futures::future::try_join_all(members().map(|cloud| add_member(&hub, cloud))).await?;
    let ready = clouds.iter().map(|&cloud| wait_ready(cloud));
    futures::future::try_join_all(ready).await?;
    let seconds = start.elapsed().as_secs();
    say.line(format!("mcdeploy is installed after {seconds} s"));
    Ok(())
}

fn client(cloud: Cloud) -> Result<ClusterClient, SandboxError> {
    let kubeconfig = api::kubeconfig(cloud)?;
    let client = ClusterClient::from_kubeconfig(cloud.name(), &kubeconfig);
    client.map_err(|source| SandboxError::Cluster {
        cloud,
        what: "make a client".into(),
        source: Box::new(source),
    })
}

/// Makes the store of a member known to the hub, with its credentials.
async fn add_store(hub: &ClusterClient, cloud: Cloud) -> Result<(), SandboxError> {
    let Some(StoreAccess { name, spec, secret }) = node::store_access(cloud)? else {
        return Ok(());
    };
    let refused = |source| SandboxError::Cluster {
        cloud: Cloud::Hub,
        what: format!("make the store {cloud} known"),
        source: Box::new(source),
    };
    let reader = node::store_reader(cloud)?;
    let secrets = [
        (&spec.auth.secret_ref, Some(secret)),
        (&spec.auth.read_secret_ref, reader),
    ];
    for (secret_name, values) in secrets {
        let (Some(secret_name), Some(values)) = (secret_name, values) else {
            continue;
        };
        let managed = names::LABEL_MANAGED_BY.to_owned();
        let values = values.0.into_iter();
        let credentials = Secret {
            metadata: ObjectMeta {
                name: Some(secret_name.name.clone()),
                namespace: Some(names::SYSTEM_NAMESPACE.to_owned()),
                labels: Some([(managed, "mcdeploy-sandbox".to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some(
                values
                    .map(|(key, value)| (key, ByteString(value.into_bytes())))
                    .collect(),
            ),
            ..Secret::default()
        };
        let applied = hub.apply(&credentials, names::FIELD_MANAGER_CLI, Force::Yes);
        applied.await.map_err(refused)?;
    }
    let store = ArtifactStore::new(&name, spec);
    let applied = hub.apply(&store, names::FIELD_MANAGER_CLI, Force::Yes);
    applied.await.map_err(refused)?;
    Ok(())
}

async fn add_member(hub: &ClusterClient, cloud: Cloud) -> Result<(), SandboxError> {
    let Some(provider) = cloud.provider() else {
        return Ok(());
    };
    let request = MemberRegistration {
        name: cloud.name().to_owned(),
        provider,
        region: cloud.region().to_owned(),
        jurisdiction: None,
        artifact_store: cloud.name().to_owned(),
        image_registry: Some(ImageRegistry {
            prefix: cloud.registry(),
            plain_http: true,
            secret_ref: None,
        }),
        node_cache: None,
        ingress: None,
        server: None,
        token_lifetime: MemberRegistration::TOKEN_LIFETIME,
    };
    let registered = register_member(hub, &client(cloud)?, &request).await;
    registered.map_err(|source| SandboxError::Register {
        cloud,
        source: Box::new(source),
    })?;
    Ok(())
}

/// Waits until every Deployment of the chart is ready and has its address.
async fn wait_ready(cloud: Cloud) -> Result<(), SandboxError> {
    let client = api::client(cloud).await?;
    node::wait(cloud, "mcdeploy", READY_WITHIN, async || {
        deployments_are_ready(&client).await?;
        if cloud == Cloud::Hub {
            return Ok(());
        }
        gateway_has_address(&client).await
    })
    .await
}

async fn deployments_are_ready(client: &Client) -> Result<(), String> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), names::SYSTEM_NAMESPACE);
    let list = deployments.list(&ListParams::default()).await;
    let list = list.map_err(|error| host::chain(&error))?;
    let ready = |found: &Deployment| {
        let wanted = found.spec.replicas;
        let status = found.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation);
        let updated = status
            .and_then(|status| status.updated_replicas)
            .unwrap_or(0);
        let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
        let wanted = wanted.unwrap_or(1);
        observed == found.metadata.generation && updated >= wanted && ready >= wanted
    };
    if !list.items.is_empty() && list.iter().all(ready) {
        return Ok(());
    }
    Err(pod_problems(client).await)
}

/// What each pod that is not ready waits for, and the end of its log if it crashed.
async fn pod_problems(client: &Client) -> String {
    let pods = Api::<Pod>::namespaced(client.clone(), names::SYSTEM_NAMESPACE);
    let pods_found = match pods.list(&ListParams::default()).await {
        Ok(found) => found,
        Err(error) => return host::chain(&error),
    };
    let mut problems = Vec::new();
    for pod in &pods_found {
        let Some((problem, crashed)) = pod_problem(pod) else {
            continue;
        };
        problems.push(problem);
        if crashed {
            let ending = LogParams {
                previous: true,
                tail_lines: Some(3),
                ..LogParams::default()
            };
            let log = pods.logs(&pod.name_any(), &ending).await;
            problems.extend(log.ok().map(|log| log.trim().to_owned()));
        }
    }
    if problems.is_empty() {
        return "no pods yet".into();
    }
    problems.join("; ")
}

/// What the first container that is not ready waits for, and whether it ended before.
fn pod_problem(pod: &Pod) -> Option<(String, bool)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| !status.ready)?;
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.clone());
    let last = status.last_state.as_ref();
    let ended = last.and_then(|last| Some(last.terminated.as_ref()?.exit_code));
    let name = pod.name_any();
    let waiting = waiting.unwrap_or_else(|| "not ready".into());
    let text = ended.map_or_else(
        || format!("{name}: {waiting}"),
        |code| format!("{name}: {waiting}, last exit code {code}"),
    );
    Some((text, ended.is_some()))
}

async fn gateway_has_address(client: &Client) -> Result<(), String> {
    let services = Api::<Service>::namespaced(client.clone(), names::SYSTEM_NAMESPACE);
    let gateway = services.get(names::GATEWAY_SERVICE).await;
    let gateway = gateway.map_err(|error| host::chain(&error))?;
    let balancer = gateway.status.and_then(|status| status.load_balancer);
    let ingress = balancer.and_then(|balancer| balancer.ingress);
    if ingress.is_some_and(|ingress| !ingress.is_empty()) {
        return Ok(());
    }
    Err("the gateway's Service has no address yet".into())
}
