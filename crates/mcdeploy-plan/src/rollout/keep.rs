//! Clusters that keep the revision that they serve: its objects are put back.

use super::wanted_objects;
use crate::{
    action::{Action, ApplyRevision},
    artifact::{self, Artifact},
    names::ClusterName,
    placement::Placement,
    revision::RevisionRecord,
    world::{MemberFacts, World},
};

/// A revision that serves in a placed cluster, is not the target there, and whose objects
/// are to be put back.
pub(super) struct Kept<'a> {
    pub(super) member: &'a MemberFacts,
    pub(super) record: &'a RevisionRecord,
    objects: ApplyRevision,
}

/// Puts back objects: they were deleted, the store's credentials are new, or pods are to
/// pull from elsewhere.
pub(crate) fn keep(world: &World, placement: &Placement) -> Vec<Action> {
    let mut all = Vec::new();
    for kept in kept(world, placement) {
        let Kept {
            member,
            record,
            objects,
        } = kept;
        let verified = world.is_verified(&member.store, record.manifest_digest);
        let (image, actions) = artifact::image(world, record, &objects.cluster, member);
        all.extend(actions);
        if verified && matches!(image, Artifact::Verified) {
            all.push(Action::ApplyRevision(objects));
        }
    }
    all
}

/// In the order of the placement.
pub(super) fn kept<'a>(
    world: &'a World,
    placement: &'a Placement,
) -> impl Iterator<Item = Kept<'a>> {
    let placed = placement.placed.iter();
    placed.filter_map(|cluster| kept_in(world, placement, cluster))
}

fn kept_in<'a>(
    world: &'a World,
    placement: &Placement,
    cluster: &'a ClusterName,
) -> Option<Kept<'a>> {
    let (member, view) = world.seen(cluster)?;
    let version = world.usable_store(member).ok()?;
    let (revision, _) = world.serving(cluster).into_iter().next()?;
    if revision == placement.target.revision && placement.in_scope(cluster) {
        return None;
    }
    let record = world.records.get(&revision)?;
    let have = view.revisions.get(&revision);
    let known = have.map(|have| have.replicas).filter(|n| *n > 0);
    let told = world.row(cluster).map(|row| row.desired_replicas);
    // A cluster that keeps its revision keeps its number of pods.
    let replicas = known
        .or(told.filter(|n| *n > 0))
        .unwrap_or(world.deployment.spec.replicas);
    let objects = wanted_objects((cluster, member), (&revision, record), replicas, version);
    let is_same = have.is_some_and(|have| have.input_hash.as_ref() == Some(&objects.hash));
    (!is_same).then_some(Kept {
        member,
        record,
        objects,
    })
}
