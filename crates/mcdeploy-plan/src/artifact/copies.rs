//! Getting a verified copy of a version into a provider's own store.

use mcdeploy_api::{Reason, ReplicaState, Sha256Digest};

use super::Artifact;
use crate::{
    action::{Action, StartTransfer},
    names::{ClusterName, StoreName},
    validate::Goal,
    world::{TransferFacts, TransferState, World},
};

/// Looks at the copy in `store` and says what to do about it.
pub(crate) fn artifact(world: &World, goal: &Goal, store: &StoreName) -> (Artifact, Vec<Action>) {
    let Some(replica) = world.replicas.get(&(store.clone(), goal.digest())) else {
        let message = format!("the copy in store {store} was not looked at yet");
        return (Artifact::Coming(Reason::Pending, message), vec![]);
    };
    match replica.state {
        ReplicaState::Verified => {
            let ended = jobs(world, store, goal.digest())
                .filter(|(_, job)| job.state.is_ended() && !is_missed(world, job));
            (Artifact::Verified, ended.map(delete).collect())
        }
        ReplicaState::ChecksumMismatch => {
            let message = format!("store {store}: {}", replica.message);
            let stopped = Artifact::Stopped(Reason::ChecksumMismatch, message);
            (stopped, vec![])
        }
        ReplicaState::Unknown => {
            let message = format!("store {store}: {}", replica.message);
            (Artifact::Stopped(replica.reason, message), vec![])
        }
        ReplicaState::Missing | ReplicaState::Copying => missing(world, goal, store),
    }
}

fn missing(world: &World, goal: &Goal, store: &StoreName) -> (Artifact, Vec<Action>) {
    let coming = |message| Artifact::Coming(Reason::ArtifactCopying, message);
    let all: Vec<_> = jobs(world, store, goal.digest()).collect();
    if let Some((cluster, job)) = all.iter().find(|(_, job)| !job.state.is_ended()) {
        let message = format!("transfer {} runs in {cluster}", job.name);
        return (coming(message), vec![]);
    }
    if let Some((cluster, job)) = all.first() {
        let (at, verdict) = match &job.state {
            TransferState::Running => return (coming(String::new()), vec![]),
            TransferState::Succeeded { at } => {
                let message = format!("transfer {} ended, the copy is being verified", job.name);
                (at, coming(message))
            }
            TransferState::Failed { at, message } => {
                let message = about(store, message);
                let message = format!("transfer {} in {cluster}: {message}", job.name);
                (at, Artifact::Stopped(Reason::TransferFailed, message))
            }
        };
        let retry = world.timings.transfer_retry;
        if at.is_some_and(|at| world.now.duration_since(at) < retry) {
            return (verdict, vec![]);
        }
        let message = format!("transfer {} in {cluster} starts again", job.name);
        return (coming(message), all.iter().copied().map(delete).collect());
    }
    match source(world, goal, store) {
        Ok((source, cluster)) => {
            let refused = world.refused_copies.get(&(store.clone(), goal.digest()));
            let verdict = match refused {
                Some(refused) => Artifact::Stopped(Reason::ApplyRefused, refused.message.clone()),
                None => coming(format!("copies from {source} to {store}, in {cluster}")),
            };
            if refused.is_some_and(|refused| refused.rests_until > world.now) {
                return (verdict, vec![]);
            }
            let start = StartTransfer {
                cluster,
                source,
                targets: vec![store.clone()],
                record: goal.record.clone(),
            };
            (verdict, vec![Action::StartTransfer(start)])
        }
        Err((reason, message)) => (Artifact::Stopped(reason, message), vec![]),
    }
}

/// A verified copy elsewhere, and a visible cluster beside it to run the transfer in.
/// The store that was pushed to comes first, then the others by name.
fn source(
    world: &World,
    goal: &Goal,
    target: &StoreName,
) -> Result<(StoreName, ClusterName), (Reason, String)> {
    let mut verified: Vec<&StoreName> = world
        .replicas
        .iter()
        .filter(|((store, digest), replica)| {
            store != target && *digest == goal.digest() && replica.state == ReplicaState::Verified
        })
        .map(|((store, _), _)| store)
        .collect();
    verified.sort_by_key(|store| (Some(*store) != goal.origin.as_ref(), *store));
    for store in &verified {
        let mut beside = world
            .members
            .iter()
            .filter(|(_, m)| m.store == **store && m.seen().is_some());
        if let Some((cluster, _)) = beside.next() {
            return Ok(((*store).clone(), cluster.clone()));
        }
    }
    if verified.is_empty() {
        let message = format!(
            "store {target} has no copy, and no other store has a verified one to copy from"
        );
        return Err((Reason::ArtifactMissing, message));
    }
    let names: Vec<_> = verified.iter().map(|s| s.as_str()).collect();
    let message = format!(
        "store {target} has no copy; verified ones are in {}, whose clusters cannot be reached",
        names.join(", ")
    );
    Err((Reason::Unreachable, message))
}

fn jobs<'a>(
    world: &'a World,
    store: &'a StoreName,
    digest: Sha256Digest,
) -> impl Iterator<Item = (&'a ClusterName, &'a TransferFacts)> {
    world.members.iter().flat_map(move |(cluster, member)| {
        let jobs = member.seen().into_iter().flat_map(|view| &view.transfers);
        jobs.filter(move |job| job.digest == digest && job.targets.iter().any(|t| t == store))
            .map(move |job| (cluster, job))
    })
}

/// What a Job's last words say about one of its targets; all of them where none is named.
fn about<'m>(store: &StoreName, message: &'m str) -> &'m str {
    let mut lines = message.lines();
    let own = lines.find_map(|line| line.strip_prefix(store.as_str())?.strip_prefix(": "));
    own.unwrap_or(message)
}

/// Whether another target of the Job still wants what it says.
fn is_missed(world: &World, job: &TransferFacts) -> bool {
    job.targets.iter().any(|store| {
        let replica = world.replicas.get(&(store.clone(), job.digest));
        replica.is_some_and(|replica| match replica.state {
            ReplicaState::Missing | ReplicaState::Copying => true,
            ReplicaState::Verified | ReplicaState::ChecksumMismatch | ReplicaState::Unknown => {
                false
            }
        })
    })
}

/// Makes one Job of those that would read the same source in the same place: it is read
/// once, however many targets there are.
pub(crate) fn read_once(actions: Vec<Action>) -> Vec<Action> {
    let mut merged: Vec<Action> = Vec::with_capacity(actions.len());
    for action in actions {
        let Action::StartTransfer(start) = &action else {
            merged.push(action);
            continue;
        };
        let same = merged.iter_mut().find_map(|earlier| {
            let Action::StartTransfer(earlier) = earlier else {
                return None;
            };
            reads_the_same(earlier, start).then_some(earlier)
        });
        match same {
            Some(earlier) => {
                earlier.targets.extend(start.targets.iter().cloned());
                earlier.targets.sort();
                earlier.targets.dedup();
            }
            None => merged.push(action),
        }
    }
    merged
}

fn reads_the_same(a: &StartTransfer, b: &StartTransfer) -> bool {
    a.cluster == b.cluster
        && a.source == b.source
        && a.record.manifest_digest == b.record.manifest_digest
}

fn delete((cluster, job): (&ClusterName, &TransferFacts)) -> Action {
    Action::DeleteTransfer {
        cluster: cluster.clone(),
        name: job.name.clone(),
    }
}
