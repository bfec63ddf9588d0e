//! Getting an image, by digest, into the registry that a cluster pulls from.

use mcdeploy_api::{PinnedImage, Reason};

use super::Artifact;
use crate::{
    action::{Action, StartImageCopy},
    names::ClusterName,
    revision::RevisionRecord,
    world::{ImageCopyFacts, ImageState, MemberFacts, TransferState, World},
};

/// Looks at the image of a revision in a cluster's registry and says what to do about it.
/// A cluster without a registry of its own needs nothing.
pub(crate) fn image(
    world: &World,
    record: &RevisionRecord,
    cluster: &ClusterName,
    member: &MemberFacts,
) -> (Artifact, Vec<Action>) {
    let Some(registry) = &member.registry else {
        return (Artifact::Verified, vec![]);
    };
    let image: PinnedImage = match record.container.image.parse() {
        Ok(image) => image,
        Err(error) => {
            let stopped = Artifact::Stopped(Reason::Invalid, format!("{error}"));
            return (stopped, vec![]);
        }
    };
    let target = registry.mirror(&image);
    match world.images.get(&target) {
        None => {
            let message = format!("{} was not asked for the image yet", target.location());
            (Artifact::Coming(Reason::Pending, message), vec![])
        }
        Some(ImageState::Whole) => {
            let ended = jobs(world, &target).filter(|(_, job)| job.state.is_ended());
            (Artifact::Verified, ended.map(delete).collect())
        }
        Some(ImageState::Unknown { reason, message }) => {
            (Artifact::Stopped(*reason, message.clone()), vec![])
        }
        Some(ImageState::Missing) => missing(world, &image, target, cluster),
    }
}

fn missing(
    world: &World,
    image: &PinnedImage,
    target: PinnedImage,
    cluster: &ClusterName,
) -> (Artifact, Vec<Action>) {
    let coming = |message| Artifact::Coming(Reason::ImageCopying, message);
    let all: Vec<_> = jobs(world, &target).collect();
    if let Some((runs_in, job)) = all.iter().find(|(_, job)| !job.state.is_ended()) {
        let message = format!("{} runs in {runs_in}", job.name);
        return (coming(message), vec![]);
    }
    if let Some((runs_in, job)) = all.first() {
        let (at, verdict) = match &job.state {
            TransferState::Running => return (coming(String::new()), vec![]),
            TransferState::Succeeded { at } => {
                let message = format!("{} ended, the registry is being asked", job.name);
                (at, coming(message))
            }
            TransferState::Failed { at, message } => {
                let stopped = Artifact::Stopped(
                    failure(message),
                    format!("{} in {runs_in}: {message}", job.name),
                );
                (at, stopped)
            }
        };
        let retry = world.timings.transfer_retry;
        if at.is_some_and(|at| world.now.duration_since(at) < retry) {
            return (verdict, vec![]);
        }
        let message = format!("{} in {runs_in} starts again", job.name);
        return (coming(message), all.iter().copied().map(delete).collect());
    }
    match source(world, image, &target, cluster) {
        Ok((source, cluster)) => {
            let (from, to) = (source.location(), target.location());
            let message = format!("copies the image from {from} to {to}, in {cluster}");
            let start = StartImageCopy {
                cluster,
                source,
                target,
            };
            (coming(message), vec![Action::StartImageCopy(start)])
        }
        Err((reason, message)) => (Artifact::Stopped(reason, message), vec![]),
    }
}

/// The word that the Job left, where it is one that users can do something about.
fn failure(message: &str) -> Reason {
    let word = message.split(':').next().and_then(Reason::parse);
    word.filter(|word| *word == Reason::ImageMissing)
        .unwrap_or(Reason::ImageCopyFailed)
}

/// A mirror that has it, with the cluster beside it, of the same provider if there is
/// one: those bytes cost nothing. Else the registry that the image names, from the
/// cluster that lacks it.
fn source(
    world: &World,
    image: &PinnedImage,
    target: &PinnedImage,
    cluster: &ClusterName,
) -> Result<(PinnedImage, ClusterName), (Reason, String)> {
    let provider = world.members.get(cluster).map(|member| member.provider);
    let seen = world.members.iter().filter(|(_, m)| m.seen().is_some());
    let mirrors = seen.filter_map(|(name, member)| {
        let mirror = member.registry.as_ref()?.mirror(image);
        let has = world.images.get(&mirror) == Some(&ImageState::Whole);
        (has && mirror != *target).then_some((Some(member.provider) != provider, name, mirror))
    });
    if let Some((_, beside, mirror)) = mirrors.min() {
        return Ok((mirror, beside.clone()));
    }
    match world.images.get(image) {
        None | Some(ImageState::Whole) => Ok((image.clone(), cluster.clone())),
        Some(ImageState::Unknown { reason, message }) => {
            let message = format!("{image} is to be copied from where it is named: {message}");
            Err((*reason, message))
        }
        Some(ImageState::Missing) => {
            let message = format!(
                "no registry that can be asked has {image}, also not the one that it names: push it again"
            );
            Err((Reason::ImageMissing, message))
        }
    }
}

fn jobs<'a>(
    world: &'a World,
    target: &'a PinnedImage,
) -> impl Iterator<Item = (&'a ClusterName, &'a ImageCopyFacts)> {
    world.members.iter().flat_map(move |(cluster, member)| {
        let jobs = member
            .seen()
            .into_iter()
            .flat_map(|view| &view.image_copies);
        jobs.filter(move |job| job.target == *target)
            .map(move |job| (cluster, job))
    })
}

fn delete((cluster, job): (&ClusterName, &ImageCopyFacts)) -> Action {
    Action::DeleteTransfer {
        cluster: cluster.clone(),
        name: job.name.clone(),
    }
}
