//! Clusters that keep the revision that they serve: its objects are put back.

use super::wanted_hash;
use crate::{
    action::Action,
    artifact::{self, Artifact},
    revision::RevisionRecord,
    validate::Valid,
    world::{MemberFacts, World},
};

/// Puts back objects of a revision that serves and is not the target here: they were
/// deleted, the store's credentials are new, or pods are to pull from elsewhere.
pub(crate) fn keep(world: &World, valid: &Valid) -> Vec<Action> {
    let members = valid.placed.iter();
    let members = members.filter_map(|name| Some((name, world.members.get(name)?)));
    members
        .flat_map(|(name, member)| keep_one(world, valid, name, member))
        .collect()
}

fn keep_one(world: &World, valid: &Valid, name: &str, member: &MemberFacts) -> Vec<Action> {
    let Some((revision, record)) = kept_revision(world, valid, name, member) else {
        return vec![];
    };
    let verified = world.is_verified(&member.store, record.manifest_digest);
    let (image, mut actions) = artifact::image(world, record, name, member);
    if verified && matches!(image, Artifact::Verified) {
        actions.push(Action::ApplyRevision {
            cluster: name.to_owned(),
            replicas: kept_replicas(world, name, member, &revision),
            revision,
        });
    }
    actions
}

/// The revision whose objects are to be put back in a cluster, if one is.
pub(crate) fn kept_revision<'a>(
    world: &'a World,
    valid: &Valid,
    name: &str,
    member: &MemberFacts,
) -> Option<(String, &'a RevisionRecord)> {
    let view = member.seen()?;
    let version = world.usable_store(member).ok()?;
    let (revision, _) = world.serving(name).into_iter().next()?;
    if revision == valid.target && valid.in_scope(name) {
        return None;
    }
    let record = world.records.get(&revision)?;
    let replicas = kept_replicas(world, name, member, &revision);
    let wanted = wanted_hash(member, &revision, replicas, version);
    let have = view.revisions.get(&revision);
    let same = have.is_some_and(|have| have.input_hash.as_ref() == Some(&wanted));
    (!same).then_some((revision, record))
}

/// A cluster that keeps its revision keeps its number of pods.
fn kept_replicas(world: &World, name: &str, member: &MemberFacts, revision: &str) -> i32 {
    let have = member.seen().and_then(|view| view.revisions.get(revision));
    let row = world.row(name);
    let known = have.map(|have| have.replicas).filter(|n| *n > 0);
    known
        .or(row.map(|row| row.desired_replicas).filter(|n| *n > 0))
        .unwrap_or(world.deployment.spec.replicas)
}
