//! In place of kubelets and the controllers of Deployments and Jobs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Secret},
};
use kube::api::{Api, Patch, PatchParams, PostParams};
use mcdeploy_api::{TransferPlan, names};
use mcdeploy_cluster::ClusterClient;
use mcdeploy_store::{copy_version, open_directory};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Gateway;

/// Makes every Deployment ready, and carries out every transfer, until dropped.
pub(crate) async fn run(client: ClusterClient, gateway: Arc<Gateway>, stores: PathBuf) {
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
            let ended = job
                .status
                .as_ref()
                .is_some_and(|s| s.completion_time.is_some());
            if !ended {
                transfer(&client, job, &stores).await;
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

async fn transfer(client: &ClusterClient, job: &Job, stores: &std::path::Path) {
    let name = job.metadata.name.clone().unwrap();
    let system = names::SYSTEM_NAMESPACE;
    let Ok(Some(secret)) = client.get::<Secret>(Some(system), &name).await else {
        return;
    };
    let data = secret.data.unwrap();
    let plan: TransferPlan = serde_json::from_slice(&data["transfer.json"].0).unwrap();
    let source = open_directory(stores.join(&plan.source.name)).unwrap();
    let target = open_directory(stores.join(&plan.target.name)).unwrap();
    let pair = (&*source, &*target);
    let cancel = CancellationToken::new();
    let digest = &plan.manifest_digest;
    let copied = copy_version(pair, &plan.model, &plan.version, digest, &|_| {}, &cancel);
    copied.await.unwrap();
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let condition = |kind: &str| {
        json!({ "type": kind, "status": "True", "lastTransitionTime": now,
                "lastProbeTime": now, "reason": "CompletionsReached", "message": "" })
    };
    let status = json!({ "status": {
        "startTime": now, "completionTime": now, "succeeded": 1,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    }});
    let api = Api::<Job>::namespaced(client.kube().clone(), system);
    let patched = api
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await;
    match patched {
        Ok(_) | Err(kube::Error::Api(_)) => {}
        Err(error) => panic!("{error}"),
    }
}
