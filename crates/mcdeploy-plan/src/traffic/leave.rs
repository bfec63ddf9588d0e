//! Clusters that are no longer placed: other clusters stop sending requests there, then their
//! own gateways send theirs elsewhere, then what nobody asks any more is removed.

use crate::{
    placement::Placement,
    world::{MemberView, World},
};

/// Clusters that are seen, are no longer placed and still have something, sorted.
pub(crate) fn leaving(world: &World, placement: &Placement) -> Vec<String> {
    let members = world.members.iter().filter(|(name, member)| {
        let holds = member.seen().is_some_and(MemberView::holds_objects);
        holds && !placement.is_placed(name)
    });
    members.map(|(name, _)| name.clone()).collect()
}
