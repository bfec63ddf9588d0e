//! Reads everything in the hub that refers to versions. What cannot be read is said, and
//! keeps every version.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt as _;
use mcdeploy_api::{ModelDeployment, ModelRollout, ModelVersion, names};
use mcdeploy_plan::gc::{DeploymentRefs, HubRefs, KnownVersion, Looked, RecordRefs, RolloutRefs};

use crate::{
    exit::chain,
    hub::{Hub, HubError},
};

/// Of all namespaces.
pub(super) async fn read(hub: &Hub) -> HubRefs {
    let (deployments, revisions, rollouts, versions) = (
        hub.everywhere::<ModelDeployment>(),
        hub.everywhere::<ControllerRevision>(),
        hub.everywhere::<ModelRollout>(),
        hub.everywhere::<ModelVersion>(),
    );
    let (deployments, revisions, rollouts, versions) = tokio::join!(
        hub.list(&deployments),
        hub.list(&revisions),
        hub.list(&rollouts),
        hub.list(&versions),
    );
    HubRefs {
        deployments: all(deployments, deployment),
        records: all(revisions, record).map(|found| found.into_iter().flatten().collect()),
        rollouts: all(rollouts, rollout),
        versions: all(versions, version),
    }
}

fn all<K, T>(listed: Result<Vec<K>, HubError>, one: fn(K) -> T) -> Looked<Vec<T>> {
    match listed {
        Ok(items) => Ok(items.into_iter().map(one).collect()),
        Err(error) => Err(chain(&error)),
    }
}

fn deployment(object: ModelDeployment) -> DeploymentRefs {
    DeploymentRefs {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        model_version: object.spec.model_version_ref.name,
        status: object.status.unwrap_or_default(),
    }
}

/// None: of somebody else, such as a `StatefulSet`.
fn record(object: ControllerRevision) -> Option<RecordRefs> {
    let label = |name: &str| object.labels().get(name).cloned();
    Some(RecordRefs {
        namespace: object.namespace().unwrap_or_default(),
        revision: label(names::LABEL_REVISION)?,
        deployment: label(names::LABEL_DEPLOYMENT)?,
        record: serde_json::from_value(object.data.0).map_err(|error| chain(&error)),
    })
}

fn rollout(object: ModelRollout) -> RolloutRefs {
    RolloutRefs {
        namespace: object.namespace().unwrap_or_default(),
        deployment: object.spec.deployment_ref.name,
        to_revision: object.spec.to_revision,
        to_version: object.spec.to_version,
    }
}

fn version(object: ModelVersion) -> KnownVersion {
    let namespace = object.namespace().unwrap_or_default();
    KnownVersion {
        name: format!("{namespace}/{}", object.name_any()),
        model: object.spec.model,
        version: object.spec.version,
        digest: object.spec.manifest_digest,
        origin: object.spec.store_ref.name,
    }
}
