//! What a rollout has to know before it goes on: copies and images first, then probes.

use mcdeploy_api::PinnedImage;

use super::{judge_all, judge_joining, kept};
use crate::{
    asks::{Ask, CopyAsk, ImageAsk, ProbeAsk},
    names::StoreName,
    placement::Placement,
    revision::RevisionRecord,
    world::World,
};

/// What was not looked at yet.
pub(crate) fn asks(world: &World, placement: &Placement) -> Vec<Ask> {
    let copies = copies(world, placement).into_iter().map(Ask::Copy);
    let images = images(world, placement).into_iter().map(Ask::Image);
    let probes = probes(world, placement).map(Ask::Probe);
    copies.chain(images).chain(probes).collect()
}

/// Copies of the target, and of what a new cluster gets, in every member's store and where
/// they were pushed, and that of a revision whose objects have to be put back. Sorted.
fn copies(world: &World, placement: &Placement) -> Vec<CopyAsk> {
    let ask = |store: StoreName, record: &RevisionRecord| CopyAsk {
        store,
        model: record.model.clone(),
        version: record.version.clone(),
        digest: record.manifest_digest,
    };
    let mut asks = Vec::new();
    for goal in placement.goals() {
        let stores = world.members.values().map(|member| member.store.clone());
        let stores = stores.chain(goal.origin.clone());
        let known = stores.filter(|store| world.stores.contains_key(store));
        asks.extend(known.map(|store| ask(store, &goal.record)));
    }
    let kept = kept(world, placement);
    asks.extend(kept.map(|kept| ask(kept.member.store.clone(), kept.record)));
    asks.retain(|ask| {
        !world
            .replicas
            .contains_key(&(ask.store.clone(), ask.digest))
    });
    asks.sort();
    asks.dedup();
    asks
}

/// Images, in every member's registry, of the target, of what a new cluster gets, and of
/// revisions whose objects have to be put back. One entry per image, sorted.
fn images(world: &World, placement: &Placement) -> Vec<ImageAsk> {
    let goals = placement.goals().map(|goal| &goal.record);
    let kept = kept(world, placement).map(|kept| kept.record);
    let mut asks = Vec::new();
    for record in goals.chain(kept) {
        let Ok(image) = record.container.image.parse::<PinnedImage>() else {
            continue;
        };
        let registries = world.members.values();
        let registries = registries.filter_map(|member| member.registry.as_ref());
        asks.extend(registries.map(|registry| ImageAsk {
            image: registry.mirror(&image),
            registry: registry.clone(),
        }));
    }
    asks.retain(|ask| !world.images.contains_key(&ask.image));
    asks.sort_by(|a, b| a.image.cmp(&b.image));
    asks.dedup_by(|a, b| a.image == b.image);
    asks
}

/// Probes of clusters in which all else was seen.
fn probes(world: &World, placement: &Placement) -> impl Iterator<Item = ProbeAsk> {
    let judged = judge_all(world, placement).into_iter();
    let judged = judged.chain(judge_joining(world, placement));
    judged.filter_map(|judged| judged.probe)
}
