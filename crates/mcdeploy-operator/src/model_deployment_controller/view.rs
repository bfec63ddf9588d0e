//! What is in one member cluster, read now. All of it or nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Secret, Service},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mcdeploy_api::{MemberCluster, PinnedImage, Reason, RoutingSnapshot, Sha256Digest, names};
use mcdeploy_cluster::{ClusterClient, first_problem, termination_message, with_next_step};
use mcdeploy_exec::ANNOTATION_INPUT_HASH;
use mcdeploy_manifests::transfer_name;
use mcdeploy_plan::{
    MemberView, ObjectFacts, Problem, SnapshotFacts, StoreName, TransferFacts, TransferState,
};

use super::{images, observe::Looked, staging};

/// What is looked for.
pub(super) struct What<'a> {
    pub(super) namespace: &'a str,
    pub(super) deployment: &'a str,
    pub(super) versions: Vec<WantedVersion>,
    /// Images in registries of which copies may be wanted.
    pub(super) images: Vec<PinnedImage>,
}

/// A version of which transfers may be wanted.
#[derive(PartialEq)]
pub(super) struct WantedVersion {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) digest: Sha256Digest,
}

pub(super) async fn view(
    client: &ClusterClient,
    what: &What<'_>,
    member: &MemberCluster,
) -> Looked<MemberView> {
    let namespace = Some(what.namespace);
    let ours = format!("{}={}", names::LABEL_DEPLOYMENT, what.deployment);
    let (snapshot, deployments, services, gateways, transfers, image_copies, staging) = tokio::try_join!(
        client.get::<RoutingSnapshot>(namespace, what.deployment),
        client.list::<Deployment>(namespace, &ours),
        client.list::<Service>(namespace, &ours),
        client.gateway_pods(),
        transfers(client, what),
        images::copies(client, what),
        staging::look(client, what, member),
    )?;
    let mut revisions: BTreeMap<String, Parts> = BTreeMap::new();
    for deployment in deployments {
        if let Some(revision) = revision(&deployment.metadata) {
            revisions.entry(revision).or_default().deployment = Some(deployment);
        }
    }
    for service in services {
        if let Some(revision) = revision(&service.metadata) {
            revisions.entry(revision).or_default().service = Some(service);
        }
    }
    let mut view = MemberView {
        snapshot: snapshot.map(|snapshot| SnapshotFacts {
            spec: snapshot.spec,
            applied: snapshot.status.unwrap_or_default().applied,
        }),
        gateways: gateways
            .into_iter()
            .filter(|pod| pod.ready)
            .map(|pod| pod.name)
            .collect(),
        transfers,
        image_copies,
        staging,
        revisions: BTreeMap::new(),
    };
    for (revision, parts) in revisions {
        let facts = objects(client, what, &revision, parts).await?;
        view.revisions.insert(revision.into(), facts);
    }
    Ok(view)
}

#[derive(Default)]
struct Parts {
    deployment: Option<Deployment>,
    service: Option<Service>,
}

fn revision(metadata: &ObjectMeta) -> Option<String> {
    let labels = metadata.labels.as_ref()?;
    labels.get(names::LABEL_REVISION).cloned()
}

async fn objects(
    client: &ClusterClient,
    what: &What<'_>,
    revision: &str,
    parts: Parts,
) -> Looked<ObjectFacts> {
    let Parts {
        deployment: Some(deployment),
        service,
    } = parts
    else {
        return Ok(ObjectFacts::default());
    };
    let name = names::revision_object_name(what.deployment, revision);
    let secret: Option<Secret> = client.get(Some(what.namespace), &name).await?;
    let hashes = [
        hash(&deployment.metadata),
        service.as_ref().and_then(|service| hash(&service.metadata)),
        secret.as_ref().and_then(|secret| hash(&secret.metadata)),
    ];
    let whole = hashes.iter().all(|hash| *hash == hashes[0]);
    let replicas = deployment.spec.replicas.unwrap_or(1);
    let ready = ready(&deployment);
    let problem = if ready < replicas {
        let selector = format!(
            "{}={},{}={revision}",
            names::LABEL_DEPLOYMENT,
            what.deployment,
            names::LABEL_REVISION
        );
        let pods: Vec<Pod> = client.list(Some(what.namespace), &selector).await?;
        first_problem(&pods)
            .map(|problem| Problem {
                reason: problem.reason,
                message: problem.to_string(),
            })
            .or_else(|| failed(&deployment))
    } else {
        None
    };
    Ok(ObjectFacts {
        input_hash: hashes[0].map(str::to_owned).filter(|_| whole),
        replicas,
        ready,
        problem,
    })
}

fn hash(metadata: &ObjectMeta) -> Option<&str> {
    let annotations = metadata.annotations.as_ref()?;
    annotations.get(ANNOTATION_INPUT_HASH).map(String::as_str)
}

/// Ready pods of the newest template; none while the status is about an older one.
fn ready(deployment: &Deployment) -> i32 {
    let Some(status) = &deployment.status else {
        return 0;
    };
    if status.observed_generation < deployment.metadata.generation {
        return 0;
    }
    let updated = status.updated_replicas.unwrap_or(0);
    status.ready_replicas.unwrap_or(0).min(updated)
}

/// What the Deployment itself says: pods that cannot be made, or no progress for long.
fn failed(deployment: &Deployment) -> Option<Problem> {
    let status = deployment.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let stuck = conditions.find(|condition| {
        let no_pods = is_replica_failure(condition.type_.as_deref())
            && condition.status.as_deref() == Some("True");
        let too_late = condition.reason.as_deref() == Some("ProgressDeadlineExceeded");
        no_pods || too_late
    })?;
    let reason = if is_replica_failure(stuck.type_.as_deref()) {
        Reason::ApplyRefused
    } else {
        Reason::PodsNotReady
    };
    Some(Problem {
        reason,
        message: with_next_step(stuck.message.as_deref().unwrap_or_default()),
    })
}

fn is_replica_failure(kind: Option<&str>) -> bool {
    kind == Some("ReplicaFailure")
}

/// Transfer Jobs of the versions that run here.
async fn transfers(client: &ClusterClient, what: &What<'_>) -> Looked<Vec<TransferFacts>> {
    if what.versions.is_empty() {
        return Ok(vec![]);
    }
    let system = Some(names::SYSTEM_NAMESPACE);
    let any = |label, word: fn(&WantedVersion) -> &str| {
        let words: Vec<_> = what.versions.iter().map(word).collect();
        format!("{label} in ({})", words.join(","))
    };
    let models = any(names::LABEL_MODEL, |version| &version.model);
    let versions = any(names::LABEL_VERSION, |version| &version.version);
    let jobs: Vec<Job> = client.list(system, &format!("{models},{versions}")).await?;
    let mut found = Vec::new();
    for job in jobs {
        if job.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let Some((targets, digest)) = copied(what, &job) else {
            continue;
        };
        found.push(TransferFacts {
            name: job.metadata.name.clone().unwrap_or_default(),
            targets: targets.into_iter().map(StoreName::from).collect(),
            digest,
            state: state(client, &job, names::TRANSFER_CONTAINER).await?,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// How far a Job of the system namespace is; of one that failed, with its last words.
pub(super) async fn state(
    client: &ClusterClient,
    job: &Job,
    container: &str,
) -> Looked<TransferState> {
    let mut state = job_state(job);
    if let TransferState::Failed { message, .. } = &mut state {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let selector = format!("batch.kubernetes.io/job-name={name}");
        let system = Some(names::SYSTEM_NAMESPACE);
        let pods: Vec<Pod> = client.list(system, &selector).await?;
        let mut said = pods
            .iter()
            .filter_map(|pod| termination_message(pod, container));
        if let Some((_, last)) = said.next() {
            *message = last;
        }
    }
    Ok(state)
}

/// The stores that a Job copies to, and what it copies.
fn copied(what: &What<'_>, job: &Job) -> Option<(Vec<String>, Sha256Digest)> {
    let metadata = &job.metadata;
    let (name, annotations) = (metadata.name.as_deref()?, metadata.annotations.as_ref()?);
    let targets = annotations.get(names::ANNOTATION_TARGETS)?.split(',');
    let targets: Vec<_> = targets.map(str::to_owned).collect();
    let mut versions = what.versions.iter();
    let version = versions
        .find(|version| transfer_name(&version.model, &version.version, &targets) == name)?;
    Some((targets, version.digest))
}

fn job_state(job: &Job) -> TransferState {
    let conditions = job.status.iter().flat_map(|status| &status.conditions);
    for condition in conditions.flatten() {
        let at: Option<Timestamp> = condition.last_transition_time.as_ref().map(|time| time.0);
        match (condition.type_.as_str(), condition.status.as_str()) {
            ("Complete", "True") => return TransferState::Succeeded { at },
            ("Failed", "True") => {
                let message = condition.message.clone().unwrap_or_default();
                return TransferState::Failed { at, message };
            }
            _ => {}
        }
    }
    TransferState::Running
}
