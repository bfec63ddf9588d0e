//! Images: which copies run, and what registries have.

use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use mcdeploy_api::{ImageRegistry, MemberCluster, PinnedImage, names};
use mcdeploy_cluster::ClusterClient;
use mcdeploy_manifests::{copy_image_name, image_label};
use mcdeploy_plan::{ImageAsk, ImageCopyFacts, RevisionRecord, World};

use super::{
    observe::Looked,
    view::{What, state},
};
use crate::{context::Context, registries::Loaded};

/// Places in members' registries of every image that may be wanted: the deployment's, and
/// those of recorded revisions.
pub(super) fn targets<'a>(
    image: &'a str,
    records: impl Iterator<Item = &'a RevisionRecord>,
    members: &[MemberCluster],
) -> Vec<PinnedImage> {
    let recorded = records.map(|record| record.container.image.as_str());
    let images = recorded.chain([image]);
    let images: Vec<PinnedImage> = images.filter_map(|image| image.parse().ok()).collect();
    let registries = members.iter();
    let registries = registries.filter_map(|member| member.spec.image_registry.as_ref());
    let mut targets: Vec<_> = registries
        .flat_map(|registry: &ImageRegistry| images.iter().map(|image| registry.mirror(image)))
        .collect();
    targets.sort();
    targets.dedup();
    targets
}

/// Jobs in a member that copy them.
pub(super) async fn copies(client: &ClusterClient, what: &What<'_>) -> Looked<Vec<ImageCopyFacts>> {
    if what.images.is_empty() {
        return Ok(vec![]);
    }
    let mut digests: Vec<_> = what.images.iter().map(|i| image_label(&i.digest)).collect();
    digests.sort();
    digests.dedup();
    let selector = format!("{} in ({})", names::LABEL_IMAGE, digests.join(","));
    let system = Some(names::SYSTEM_NAMESPACE);
    let mut jobs: Vec<Job> = client.list(system, &selector).await?;
    jobs.retain(|job| job.metadata.deletion_timestamp.is_none());
    let mut found = Vec::new();
    for job in jobs {
        let name = job.metadata.name.clone().unwrap_or_default();
        let mut targets = what.images.iter();
        let Some(target) = targets.find(|target| copy_image_name(target) == name) else {
            continue;
        };
        found.push(ImageCopyFacts {
            state: state(client, &job, names::COPY_IMAGE_CONTAINER).await?,
            name,
            target: target.clone(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Asks registries, those beside lost clusters excepted: nothing waits for them.
pub(super) async fn look(ctx: &Context, world: &mut World, loaded: &Loaded, asks: Vec<ImageAsk>) {
    let deadline = ctx.settings.pace.look_deadline;
    let looks = asks.into_iter().map(async |ask| {
        let mut beside = world.members.values();
        let is_seen = beside.any(|member| {
            let uses = |registry: &ImageRegistry| registry.holds(&ask.image);
            member.registry.as_ref().is_some_and(uses) && member.seen().is_some()
        });
        let state = if is_seen {
            let registries = &ctx.registries;
            registries.look(&ask, loaded, deadline, &ctx.cancel).await
        } else {
            ctx.registries.last(&ask.image)
        };
        (ask.image, state)
    });
    let looked = join_all(looks).await;
    world.images.extend(looked);
}
