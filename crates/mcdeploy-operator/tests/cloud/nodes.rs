//! In place of kubelets and the controllers of Deployments and Jobs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Secret},
};
use kube::api::{Api, Patch, PatchParams, PostParams};
use mcdeploy_api::{CopyImagePlan, RepositoryAccess, TransferPlan, names};
use mcdeploy_cluster::ClusterClient;
use mcdeploy_registry::{Credentials, Repository, RepositoryAddress, copy_image};
use mcdeploy_store::{copy_version, open_directory};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Gateway, Logs};

/// Makes every Deployment ready, and carries out every transfer, until dropped.
pub(crate) async fn run(
    client: ClusterClient,
    gateway: Arc<Gateway>,
    stores: PathBuf,
    logs: Arc<Logs>,
) {
    let ours = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(deployments) = client.list::<Deployment>(None, &ours).await else {
            continue;
        };
        let ready = deployments.iter().filter(|d| is_ready(d)).filter_map(|d| {
            let labels = d.metadata.labels.as_ref()?;
            Some((
                d.metadata.namespace.clone()?,
                labels.get(names::LABEL_REVISION)?.clone(),
            ))
        });
        gateway.set_ready(ready.collect());
        for deployment in &deployments {
            if !is_ready(deployment) && !gateway.pods_fail() {
                let _ = match may_be_made(&client, deployment, gateway.injects()).await {
                    Ok(()) => make_ready(&client, deployment).await,
                    Err(why) => tell_refused(&client, deployment, &why).await,
                };
            }
        }
        let Ok(jobs) = client
            .list::<Job>(Some(names::SYSTEM_NAMESPACE), &ours)
            .await
        else {
            continue;
        };
        for job in &jobs {
            if !has_ended(job) {
                carry_out(&client, job, &stores, &logs).await;
            }
        }
    }
}

fn is_ready(deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation == deployment.metadata.generation
            && status.ready_replicas == deployment.spec.replicas
    })
}

/// Asks the API server, quota and Pod Security included, to take a pod of the template; a
/// webhook that injects adds what `restricted` refuses.
async fn may_be_made(
    client: &ClusterClient,
    deployment: &Deployment,
    injects: bool,
) -> Result<(), String> {
    let template = &deployment.spec.template;
    let mut pod = Pod {
        metadata: template.metadata.clone().unwrap_or_default(),
        spec: template.spec.clone(),
        status: None,
    };
    pod.metadata.generate_name = Some("pod-".to_owned());
    if let Some(spec) = pod.spec.as_mut() {
        spec.host_network = injects.then_some(true);
    }
    let namespace = deployment.metadata.namespace.clone().unwrap();
    let api = Api::<Pod>::namespaced(client.kube().clone(), &namespace);
    let only_asked = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&only_asked, &pod).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Err(status.message.clone()),
        _ => Ok(()),
    }
}

/// As the controller of Deployments does.
async fn tell_refused(
    client: &ClusterClient,
    deployment: &Deployment,
    why: &str,
) -> kube::Result<()> {
    let status = json!({ "status": {
        "observedGeneration": deployment.metadata.generation,
        "conditions": [{ "type": "ReplicaFailure", "status": "True",
                         "reason": "FailedCreate", "message": why }],
    }});
    patch_status(client, deployment, &status).await
}

async fn make_ready(client: &ClusterClient, deployment: &Deployment) -> kube::Result<()> {
    let replicas = deployment.spec.replicas;
    let status = json!({ "status": {
        "observedGeneration": deployment.metadata.generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": null,
    }});
    patch_status(client, deployment, &status).await
}

async fn patch_status(
    client: &ClusterClient,
    deployment: &Deployment,
    status: &serde_json::Value,
) -> kube::Result<()> {
    let namespace = deployment.metadata.namespace.clone().unwrap();
    let name = deployment.metadata.name.clone().unwrap();
    let api = Api::<Deployment>::namespaced(client.kube().clone(), &namespace);
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

fn has_ended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|s| s.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|c| c.type_ == "Complete" || c.type_ == "Failed")
}

async fn carry_out(client: &ClusterClient, job: &Job, stores: &std::path::Path, logs: &Logs) {
    let name = job.metadata.name.clone().unwrap();
    let system = names::SYSTEM_NAMESPACE;
    let Ok(Some(secret)) = client.get::<Secret>(Some(system), &name).await else {
        return;
    };
    let data = secret.data.unwrap();
    let outcome = match (data.get("transfer.json"), data.get("copy-image.json")) {
        (Some(plan), _) => {
            let plan: TransferPlan = serde_json::from_slice(&plan.0).unwrap();
            logs.while_slow(&name, &plan).await;
            transfer(plan, stores).await;
            Ok(())
        }
        (_, Some(plan)) => image(serde_json::from_slice(&plan.0).unwrap()).await,
        (None, None) => panic!("{name} has no plan"),
    };
    end(client, &name, outcome).await;
}

async fn transfer(plan: TransferPlan, stores: &std::path::Path) {
    let source = open_directory(stores.join(&plan.source.name)).unwrap();
    let cancel = CancellationToken::new();
    let digest = &plan.manifest_digest;
    for target in &plan.targets {
        let target = open_directory(stores.join(&target.name)).unwrap();
        let pair = (&*source, &*target);
        let copied = copy_version(pair, &plan.model, &plan.version, digest, &|_| {}, &cancel);
        copied.await.unwrap();
    }
}

/// As `mcdeployd copy-image` does; an error as it leaves it behind.
async fn image(plan: CopyImagePlan) -> Result<(), String> {
    let repository = |access: RepositoryAccess| {
        let address = RepositoryAddress {
            registry: access.registry,
            name: access.name,
            plain_http: access.plain_http,
        };
        Repository::new(address, Credentials::from_secret(&access.secret))
    };
    let (from, to) = (repository(plan.source), repository(plan.target));
    let cancel = CancellationToken::new();
    let copied = copy_image(&from, &to, &plan.digest, &cancel).await;
    let copied = copied.map_err(|error| format!("{}: {error}", error.reason()))?;
    tracing::debug!(?copied, "an image was copied");
    Ok(())
}

async fn end(client: &ClusterClient, name: &str, outcome: Result<(), String>) {
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let condition = |kind: &str, message: &str| {
        json!({ "type": kind, "status": "True", "lastTransitionTime": now,
                "lastProbeTime": now, "reason": "Ended", "message": message })
    };
    let status = match outcome {
        Ok(()) => json!({ "status": {
            "startTime": now, "completionTime": now, "succeeded": 1,
            "conditions": [condition("SuccessCriteriaMet", ""), condition("Complete", "")],
        }}),
        Err(why) => json!({ "status": {
            "startTime": now, "failed": 1,
            "conditions": [condition("FailureTarget", &why), condition("Failed", &why)],
        }}),
    };
    let api = Api::<Job>::namespaced(client.kube().clone(), names::SYSTEM_NAMESPACE);
    let patched = api
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await;
    match patched {
        Ok(_) | Err(kube::Error::Api(_)) => {}
        Err(error) => panic!("{error}"),
    }
}
