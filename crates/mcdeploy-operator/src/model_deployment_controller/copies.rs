//! What is shown of copies: which transfers are listened to, and for how long copies have
//! been wanted. None of it decides anything.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use mcdeploy_api::{
    MemberCluster, ModelRollout, ModelVersion, ReplicaState, Sha256Digest,
    names::model_version_name,
};
use mcdeploy_cluster::ClusterClient;
use mcdeploy_plan::{
    ClusterName, Plan, StoreName, TransferFacts, TransferState, World, copies_lacking,
    transfer::Location,
};

use crate::{
    context::{Context, Key},
    copies::{Following, follow},
    stores::Loaded,
};

/// Bytes of copies under way, as the `ModelVersion` tells them.
pub(super) type Copied = BTreeMap<(StoreName, Sha256Digest), i64>;

pub(super) fn copied(version: Option<&ModelVersion>) -> Copied {
    let Some((version, status)) = version.and_then(|v| Some((v, v.status.as_ref()?))) else {
        return Copied::new();
    };
    let entries = status.stores.iter().filter_map(|entry| {
        let progress = entry.progress.as_ref()?;
        let copy = (StoreName::from(&entry.store), version.spec.manifest_digest);
        Some((copy, progress.copied_bytes))
    });
    entries.collect()
}

/// What was copied is there, and not yet looked at as a whole.
pub(super) fn fill_in(world: &mut World, copied: &Copied) {
    for (copy, bytes) in copied {
        if let Some(facts) = world.replicas.get_mut(copy)
            && facts.state == ReplicaState::Missing
        {
            facts.state = ReplicaState::Copying;
            facts.verified_bytes = *bytes;
        }
    }
}

/// When the newest rollout was asked for.
pub(super) fn asked_at(rollouts: &[ModelRollout]) -> Option<Timestamp> {
    let newest = rollouts
        .iter()
        .max_by_key(|rollout| rollout.spec.deployment_generation);
    Some(newest?.metadata.creation_timestamp.as_ref()?.0)
}

/// Listens to every transfer that runs.
pub(super) fn listen(
    ctx: &Arc<Context>,
    world: &World,
    clients: &BTreeMap<ClusterName, ClusterClient>,
    members: &[MemberCluster],
    stores: &Loaded,
) {
    for (cluster, member) in &world.members {
        let (Some(view), Some(client)) = (member.seen(), clients.get(cluster)) else {
            continue;
        };
        let named =
            |object: &&MemberCluster| object.metadata.name.as_deref() == Some(cluster.as_str());
        let place = members.iter().find(named).map(|object| Location {
            provider: object.spec.provider,
            region: object.spec.region.clone(),
        });
        // A transfer runs beside the store that it reads.
        let source = location(stores, &member.store);
        for job in view
            .transfers
            .iter()
            .filter(|job| job.state == TransferState::Running)
        {
            let Some(version) = version_of(world, job) else {
                continue;
            };
            let targets = job.targets.iter();
            let targets = targets.map(|store| (store.to_string(), location(stores, store)));
            let following = Following {
                client: client.clone(),
                cluster: cluster.to_string(),
                job: job.name.clone(),
                digest: job.digest,
                version,
                targets: targets.collect(),
                way: source.clone().zip(place.clone()),
            };
            follow(ctx, following);
        }
    }
}

fn location(stores: &Loaded, store: &str) -> Option<Location> {
    let spec = &stores.known.get(store)?.access.spec;
    Some(Location {
        provider: spec.provider,
        region: spec.region.clone(),
    })
}

/// The `ModelVersion` of what a Job copies.
fn version_of(world: &World, job: &TransferFacts) -> Option<Key> {
    let target = world.model_version.iter();
    let target = target.map(|spec| (spec.manifest_digest, &spec.model, &spec.version));
    let records = world.records.values();
    let records = records.map(|r| (r.manifest_digest, &r.model, &r.version));
    let (_, model, version) = target
        .chain(records)
        .find(|(digest, ..)| *digest == job.digest)?;
    let namespace = world.deployment.namespace.clone();
    Some((namespace, model_version_name(model, version)))
}

/// Notes what is wanted and lacking, and counts what arrived.
pub(super) fn measure(
    ctx: &Context,
    key: &Key,
    world: &World,
    plan: &Plan,
    asked: Option<Timestamp>,
) {
    let lacking = copies_lacking(world, plan);
    let is_verified = |copy: &(StoreName, Sha256Digest)| {
        let replica = world.replicas.get(copy);
        replica.is_some_and(|replica| replica.state == ReplicaState::Verified)
    };
    ctx.copies.lags(|lags| {
        for lag in lags.note(key, &lacking, is_verified, asked, world.now) {
            tracing::info!(
                store.name = lag.store.as_str(),
                lag_seconds = lag.seconds,
                "a copy that was wanted is verified"
            );
            ctx.metrics.replicated(&lag);
        }
        ctx.metrics.waiting(&lags.oldest(world.now));
    });
}
