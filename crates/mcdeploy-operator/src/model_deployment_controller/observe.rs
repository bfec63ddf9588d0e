//! Observe: everything that the planner is told, from the hub, the members, the stores
//! and the gateways. A member that does not answer is `Unknown` and slows down no other.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use k8s_openapi::{
    api::apps::v1::ControllerRevision, apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::Resource as _;
use mcdeploy_api::{
    ConditionStatus, ConditionType, MemberCluster, ModelDeployment, ModelRollout, ModelVersion,
    ModelVersionSpec, ReplicaState, TrafficPolicy, names,
};
use mcdeploy_cluster::ClusterError;
use mcdeploy_exec::{Recorded, RevisionStore};
use mcdeploy_plan::{
    Ask, ClusterName, CopyAsk, DeploymentFacts, MemberFacts, PolicyFacts, ProbeAsk, ProbeFacts,
    ReplicaFacts, RevisionId, RevisionRecord, RolloutFacts, Sight, StoreName, World, asks,
    last_complete_revision,
};
use mcdeploy_probe::ProbeTarget;

use super::{Error, Observed, copies as shown, images, lost_contact, view};
use crate::{
    clock,
    context::{Context, Key},
    registries,
    stores::{self, Loaded},
};

/// A look at a copy is good for this long while a rollout is under way, and otherwise.
const COPY_AGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// `None`: the first look at a member cluster is not finished.
pub(super) async fn observe(
    ctx: &Arc<Context>,
    key: &Key,
    deployment: &ModelDeployment,
) -> Result<Option<Observed>, Error> {
    let (namespace, name) = key;
    let hub = &ctx.hub;
    let ns = Some(namespace.as_str());
    let ours = format!("{}={name}", names::LABEL_DEPLOYMENT);
    let version = &deployment.spec.model_version_ref.name;
    let (version, revisions, rollouts, policies, members, stores) = tokio::try_join!(
        hub.get::<ModelVersion>(ns, version),
        hub.list::<ControllerRevision>(ns, &ours),
        hub.list::<ModelRollout>(ns, &ours),
        hub.list::<TrafficPolicy>(ns, ""),
        hub.list::<MemberCluster>(None, ""),
        stores::load(hub, &ctx.settings.namespace),
    )?;
    let mut names_of = members.iter().filter_map(|m| m.metadata.name.as_deref());
    if names_of.any(|name| ctx.members.is_pending(name)) {
        return Ok(None);
    }
    let copied = shown::copied(version.as_ref());
    let model_version = version.map(|version| version.spec);
    let (records, revision_store) = records(revisions)?;
    let asked = shown::asked_at(&rollouts);
    let rollouts: Vec<_> = rollouts.into_iter().map(rollout_facts).collect();
    let registries = registries::load(hub, &ctx.settings.namespace, &members).await?;
    let what = view::What {
        namespace,
        deployment: name,
        versions: versions(model_version.as_ref(), &records, &rollouts),
        images: images::targets(&deployment.spec.container.image, records.values(), &members),
    };
    let (facts, clients) = look_at_all(ctx, &members, &what).await;
    let mut world = World {
        now: clock::now(),
        term: ctx.term,
        timings: ctx.settings.timings,
        deployment: deployment_facts(key, deployment),
        model_version,
        records,
        rollouts,
        policy: policy(name, policies),
        members: facts,
        stores: stores.facts.clone(),
        replicas: BTreeMap::new(),
        images: BTreeMap::new(),
        upkeep: BTreeMap::new(),
        refused_copies: BTreeMap::new(),
    };
    ctx.memories()
        .entry(key.clone())
        .or_default()
        .recall(&mut world);
    shown::listen(ctx, &world, &clients, &members, &stores);
    answer(ctx, &mut world, &stores, &registries).await;
    shown::fill_in(&mut world, &copied);
    Ok(Some(Observed {
        world,
        owner: owner(deployment),
        clients,
        stores,
        registries,
        revision_store,
        asked,
    }))
}

/// Versions of which transfers may be wanted: the target's, and that of the revision that
/// a new cluster gets.
fn versions(
    target: Option<&ModelVersionSpec>,
    records: &BTreeMap<RevisionId, RevisionRecord>,
    rollouts: &[RolloutFacts],
) -> Vec<view::WantedVersion> {
    let target = target.map(|target| view::WantedVersion {
        model: target.model.clone(),
        version: target.version.clone(),
        digest: target.manifest_digest,
    });
    let base = last_complete_revision(rollouts).and_then(|id| records.get(id));
    let base = base.map(|record| view::WantedVersion {
        model: record.model.clone(),
        version: record.version.clone(),
        digest: record.manifest_digest,
    });
    let mut versions: Vec<_> = target.into_iter().chain(base).collect();
    versions.dedup();
    versions
}

/// What is known of every cluster, and a client of each that can be seen.
async fn look_at_all(
    ctx: &Context,
    members: &[MemberCluster],
    what: &view::What<'_>,
) -> (
    BTreeMap<ClusterName, MemberFacts>,
    BTreeMap<ClusterName, mcdeploy_cluster::ClusterClient>,
) {
    let looks = members.iter().map(|member| look(ctx, member, what));
    let (mut facts, mut clients) = (BTreeMap::new(), BTreeMap::new());
    for (name, member, client) in join_all(looks).await {
        clients.extend(client.map(|client| (name.clone(), client)));
        facts.insert(name, member);
    }
    (facts, clients)
}

async fn look(
    ctx: &Context,
    member: &MemberCluster,
    what: &view::What<'_>,
) -> (
    ClusterName,
    MemberFacts,
    Option<mcdeploy_cluster::ClusterClient>,
) {
    let name = member.metadata.name.clone().unwrap_or_default();
    let unseen = |unseen: mcdeploy_cluster::Unseen| Sight::Unknown {
        reason: unseen.reason,
        message: unseen.message,
    };
    let (sight, client) = match ctx.members.client(&name) {
        Err(why) => (unseen(why), None),
        Ok(client) => match Box::pin(view::view(&client, what, member)).await {
            Ok(view) => (Sight::Seen(Box::new(view)), Some(client)),
            Err(error) => {
                lost_contact(ctx, &name, &error);
                (unseen(not_seen(&error, what.namespace)), None)
            }
        },
    };
    let status = member.status.as_ref();
    let facts = MemberFacts {
        provider: member.spec.provider,
        store: StoreName::from(&member.spec.artifact_store_ref.name),
        registry: member.spec.image_registry.clone(),
        cache: member.spec.node_cache.clone(),
        gateway: status.and_then(|status| status.gateway_address.clone()),
        sight,
        applied_since: None,
        running_since: None,
        staging_since: None,
        refused: None,
        probe: None,
    };
    (name.into(), facts, client)
}

/// Why a cluster was not seen, and, where the hub has no rights, who gives them.
fn not_seen(error: &ClusterError, namespace: &str) -> mcdeploy_cluster::Unseen {
    let mut unseen = mcdeploy_cluster::Unseen::from(error);
    if matches!(error, ClusterError::AuthRefused { code: 403, .. }) {
        let next = format!(
            "; the chart mcdeploy there gives the hub rights in member.namespaces only: is {namespace:?} one of them?"
        );
        unseen.message.push_str(&next);
    }
    unseen
}

fn deployment_facts((namespace, name): &Key, deployment: &ModelDeployment) -> DeploymentFacts {
    let metadata = &deployment.metadata;
    let annotations = metadata.annotations.as_ref();
    let by = annotations.and_then(|all| all.get(names::ANNOTATION_REQUESTED_BY));
    let abandoned = annotations.and_then(|all| all.get(names::ANNOTATION_ABANDON_CLUSTERS));
    let abandoned = abandoned.map_or("", String::as_str).split(',');
    let mut finalizers = metadata.finalizers.iter().flatten();
    DeploymentFacts {
        name: name.clone(),
        namespace: namespace.clone(),
        generation: deployment.metadata.generation.unwrap_or_default(),
        spec: deployment.spec.clone(),
        status: deployment.status.clone().unwrap_or_default(),
        requested_by: by.cloned(),
        held: finalizers.any(|finalizer| finalizer == names::FINALIZER_CLUSTERS),
        deleting: metadata.deletion_timestamp.is_some(),
        abandoned: abandoned.map(|name| name.trim().into()).collect(),
    }
}

type Records = BTreeMap<RevisionId, RevisionRecord>;

fn records(found: Vec<ControllerRevision>) -> Result<(Records, RevisionStore), Error> {
    let (mut records, store) = (BTreeMap::new(), RevisionStore::default());
    for object in found {
        let labels = object.metadata.labels.unwrap_or_default();
        let Some(id) = labels.get(names::LABEL_REVISION) else {
            continue;
        };
        let read = serde_json::from_value::<Recorded>(object.data.0);
        let Recorded { record, rendered } = read.map_err(|source| Error::ReadRecord {
            name: object.metadata.name.unwrap_or_default(),
            source,
        })?;
        store.put(id, rendered);
        records.insert(id.into(), record);
    }
    Ok((records, store))
}

fn rollout_facts(rollout: ModelRollout) -> RolloutFacts {
    RolloutFacts {
        name: rollout.metadata.name.unwrap_or_default(),
        spec: rollout.spec,
        status: rollout.status.unwrap_or_default(),
    }
}

/// The policy that refers to the deployment; of several the one with its name, else the
/// first by name.
fn policy(deployment: &str, mut policies: Vec<TrafficPolicy>) -> Option<PolicyFacts> {
    policies.retain(|policy| policy.spec.deployment_ref.name == deployment);
    let name = |policy: &TrafficPolicy| policy.metadata.name.clone().unwrap_or_default();
    policies.sort_by_key(|policy| (name(policy) != deployment, name(policy)));
    let policy = policies.into_iter().next()?;
    Some(PolicyFacts {
        name: name(&policy),
        generation: policy.metadata.generation.unwrap_or_default(),
        resource_version: policy.metadata.resource_version.unwrap_or_default(),
        spec: policy.spec,
        status: policy.status.unwrap_or_default(),
    })
}

fn owner(deployment: &ModelDeployment) -> OwnerReference {
    OwnerReference {
        api_version: ModelDeployment::api_version(&()).into_owned(),
        kind: ModelDeployment::kind(&()).into_owned(),
        name: deployment.metadata.name.clone().unwrap_or_default(),
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        ..OwnerReference::default()
    }
}

/// Copies and images are asked for first, then probes where those are there, then nothing.
const ROUNDS: usize = 3;

/// Looks at what the planner asks for, until it asks no more.
async fn answer(
    ctx: &Context,
    world: &mut World,
    stores: &Loaded,
    registries: &registries::Loaded,
) {
    for _ in 0..ROUNDS {
        let (mut of_stores, mut of_registries, mut of_gateways) = (vec![], vec![], vec![]);
        for ask in asks(world) {
            match ask {
                Ask::Copy(ask) => of_stores.push(ask),
                Ask::Image(ask) => of_registries.push(ask),
                Ask::Probe(ask) => of_gateways.push(ask),
            }
        }
        if of_stores.is_empty() && of_registries.is_empty() && of_gateways.is_empty() {
            return;
        }
        copies(ctx, world, stores, of_stores).await;
        images::look(ctx, world, registries, of_registries).await;
        probes(ctx, world, of_gateways).await;
    }
}

/// Looks at copies, those in stores of lost clusters excepted: the store is as far away
/// as its clusters, and nothing is waited for that cannot be used.
async fn copies(ctx: &Context, world: &mut World, stores: &Loaded, asks: Vec<CopyAsk>) {
    let complete = ConditionType::Complete.as_str();
    let settled = world.deployment.status.observed_generation == Some(world.deployment.generation)
        && world.deployment.status.conditions.iter().any(|condition| {
            condition.type_ == complete && condition.status == ConditionStatus::True.as_str()
        });
    let max_age = if settled { COPY_AGE.1 } else { COPY_AGE.0 };
    let seen = |store: &str| {
        let mut beside = world
            .members
            .values()
            .filter(|m| m.store == store)
            .peekable();
        beside.peek().is_none() || beside.any(|member| member.seen().is_some())
    };
    let deadline = ctx.settings.pace.look_deadline;
    let looks = asks.into_iter().map(async |ask| {
        let key = (ask.store.clone(), ask.digest);
        if !seen(&ask.store) {
            let last = ctx.stores.last(&ask.store, ask.digest);
            return (key, last.unwrap_or_else(|| not_looked(&ask.store)), None);
        }
        let Some(entry) = stores.known.get(&ask.store) else {
            return (key, not_looked(&ask.store), None);
        };
        let stores = &ctx.stores;
        let (facts, news) = stores
            .look(entry, &ask, max_age, deadline, &ctx.cancel)
            .await;
        let version = names::model_version_name(&ask.model, &ask.version);
        (key, facts, news.then_some(version))
    });
    let looked = join_all(looks).await;
    let namespace = world.deployment.namespace.clone();
    for (key, facts, news) in looked {
        if let Some(version) = news {
            ctx.queues.versions.add((namespace.clone(), version));
        }
        world.replicas.insert(key, facts);
    }
}

fn not_looked(store: &str) -> ReplicaFacts {
    ReplicaFacts {
        state: ReplicaState::Unknown,
        verified_bytes: 0,
        reason: mcdeploy_api::Reason::StoreUnreachable,
        message: format!("store {store} cannot be asked now"),
    }
}

async fn probes(ctx: &Context, world: &mut World, asks: Vec<ProbeAsk>) {
    let timeout = ctx.settings.pace.look_deadline;
    let looks = asks.into_iter().map(async |ask| {
        let target = ProbeTarget {
            address: ask.address,
            cluster: ask.cluster.to_string(),
            model: ask.model,
            version: ask.version,
            revision: ask.revision.to_string(),
        };
        let sample = ctx.probe.serving(&target, timeout).await;
        let facts = ProbeFacts {
            revision: ask.revision,
            ok: sample.is_serving(),
            message: match &sample.result {
                Ok(()) => "ready, and an inference was answered".to_owned(),
                Err(failure) => failure.to_string(),
            },
        };
        (ask.cluster, facts)
    });
    for (cluster, facts) in join_all(looks).await {
        if let Some(member) = world.members.get_mut(&cluster) {
            member.probe = Some(facts);
        }
    }
}

/// A list or get that failed makes the whole cluster unknown: half a view is none.
pub(super) type Looked<T> = Result<T, ClusterError>;
