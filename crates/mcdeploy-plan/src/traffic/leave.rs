//! Clusters that are no longer placed: other clusters stop sending requests there, then their
//! own gateways send theirs elsewhere, then what nothing asks for any more is removed.

use super::weights::{Share, Shares};
use crate::{
    names::ClusterName,
    placement::Placement,
    world::{MemberView, World},
};

/// Clusters that are seen, are no longer placed and still have something, sorted.
pub(crate) fn leaving(world: &World, placement: &Placement) -> Vec<ClusterName> {
    let members = world.members.iter().filter(|(name, member)| {
        let holds = member.seen().is_some_and(MemberView::holds_objects);
        holds && !placement.is_placed(name)
    });
    members.map(|(name, _)| name.clone()).collect()
}

/// They are to take nothing.
pub(super) fn take_off(world: &World, placement: &Placement, shares: &mut Shares) {
    for cluster in leaving(world, placement) {
        shares.set(&cluster, Share::new());
    }
}
