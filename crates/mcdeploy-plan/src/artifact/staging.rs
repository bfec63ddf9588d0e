//! Versions in the caches of a cluster's nodes: brought there before pods start, and kept
//! there as long as something runs of them or they may be returned to.

use mcdeploy_api::{NodeCache, Sha256Digest, StagedState};

use crate::{
    action::{Action, Stage, StageFetch, StageVersion},
    names::{ClusterName, RevisionId},
    placement::Placement,
    validate::Goal,
    world::{MemberFacts, MemberView, World},
};

/// Revisions that were complete and may be returned to, the present one included.
const RETURNED_TO: usize = 2;

/// What every key of a deployment has in its middle.
pub fn staging_owner(namespace: &str, deployment: &str) -> String {
    Sha256Digest::of(format!("{namespace}/{deployment}")).short(16)
}

fn key(world: &World, digest: &Sha256Digest, how: &str) -> String {
    let deployment = &world.deployment;
    let owner = staging_owner(&deployment.namespace, &deployment.name);
    format!("{}.{owner}.{how}", digest.hex())
}

/// Tells nodes what changed. Nothing waits for that: see [`waits`].
pub(crate) fn actions(world: &World, placement: &Placement) -> Vec<Action> {
    let members = world.members.keys();
    let stages = members.filter_map(|name| {
        let (member, view) = world.seen(name)?;
        let versions = wanted(world, placement, name, member, view);
        stage(name, view, versions)
    });
    stages.collect()
}

/// Takes back all that nodes were told.
pub(crate) fn release(cluster: &ClusterName, view: &MemberView) -> Option<Action> {
    stage(cluster, view, vec![])
}

fn stage(cluster: &ClusterName, view: &MemberView, versions: Vec<StageVersion>) -> Option<Action> {
    let keys = versions.iter().map(|version| &version.key);
    let same = keys.eq(&view.staging.keys);
    (!same).then(|| {
        Action::Stage(Stage {
            cluster: cluster.clone(),
            versions,
        })
    })
}

fn wanted(
    world: &World,
    placement: &Placement,
    name: &ClusterName,
    member: &MemberFacts,
    view: &MemberView,
) -> Vec<StageVersion> {
    let Some(cache) = &member.cache else {
        return vec![];
    };
    let mut kept: Vec<&str> = view.revisions.keys().map(RevisionId::as_str).collect();
    if placement.is_placed(name) {
        kept.extend(returned_to(world));
    }
    let records = kept.iter().filter_map(|id| world.records.get(*id));
    let kept = records.map(|record| record.manifest_digest);
    let mut versions: Vec<_> = kept
        .map(|digest| StageVersion {
            key: key(world, &digest, "keep"),
            digest,
            fetch: None,
        })
        .collect();
    let fetched = placement.goal(name);
    versions.extend(fetched.and_then(|goal| fetch(world, goal, member, cache, view)));
    versions.sort_by(|a, b| a.key.cmp(&b.key));
    versions.dedup();
    versions
}

/// The newest revisions that were complete.
fn returned_to(world: &World) -> Vec<&str> {
    let complete = world.rollouts.iter();
    let mut complete: Vec<_> = complete.filter(|r| r.is_complete()).collect();
    complete.sort_by_key(|rollout| std::cmp::Reverse(rollout.spec.deployment_generation));
    let mut newest: Vec<&str> = Vec::new();
    for rollout in complete {
        let id = rollout.spec.to_revision.as_str();
        if !newest.contains(&id) && newest.len() < RETURNED_TO {
            newest.push(id);
        }
    }
    newest
}

/// What a cluster is brought to, once its own store has it. A store that gives no answer
/// takes nothing back.
fn fetch(
    world: &World,
    goal: &Goal,
    member: &MemberFacts,
    cache: &NodeCache,
    view: &MemberView,
) -> Option<StageVersion> {
    let version = world.usable_store(member).ok()?;
    let digest = goal.digest();
    let how = Sha256Digest::of(format!("{version}/{}", cache.size_bytes)).short(16);
    let key = key(world, &digest, &how);
    let verified = world.is_verified(&member.store, digest);
    (verified || view.staging.keys.contains(&key)).then(|| StageVersion {
        key,
        digest,
        fetch: Some(StageFetch {
            revision: goal.revision.clone(),
            record: goal.record.clone(),
            store: member.store.clone(),
            cache: cache.clone(),
        }),
    })
}

/// What pods of the goal, of which there is none yet, still wait for: nodes that are at
/// it, for a while. Nodes that could not, or cannot be told, are not waited for: pods fetch
/// by themselves.
pub(crate) fn waits(
    world: &World,
    goal: &Goal,
    cluster: &ClusterName,
    member: &MemberFacts,
    view: &MemberView,
) -> Option<String> {
    member.cache.as_ref()?;
    let told = Action::Stage(Stage {
        cluster: cluster.clone(),
        versions: vec![],
    });
    if told
        .upkeep()
        .is_some_and(|key| world.upkeep.contains_key(&key))
    {
        return None;
    }
    let since = member.staging_since.as_ref();
    let since = since.filter(|(revision, _)| *revision == goal.revision);
    let patience = world.timings.staging;
    if since.is_some_and(|(_, since)| world.now.duration_since(*since) >= patience) {
        return None;
    }
    let (digest, nodes) = (goal.digest(), &view.staging.nodes);
    let at = nodes.values().map(|versions| versions.get(&digest));
    let open = at.clone().filter(|state| match state {
        None | Some(StagedState::Fetching) => true,
        Some(StagedState::Staged | StagedState::Failed) => false,
    });
    let staged = at.filter(|state| *state == Some(&StagedState::Staged));
    (open.count() > 0).then(|| {
        let (staged, all) = (staged.count(), nodes.len());
        let version = &goal.record.version;
        format!("{version} is in the caches of {staged} of {all} nodes")
    })
}
