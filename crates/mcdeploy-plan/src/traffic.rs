//! Who is told to send requests where, and in which order decisions stand.
//!
//! | room | role |
//! |---|---|
//! | `weights` | how much of the requests is to go where |
//! | `leave` | which clusters are no longer placed |
//! | `safety` | whether traffic may be taken away |
//! | `snapshots` | what gateways are told |
//! | `epoch` | the decision, and its place among others |

mod epoch;
mod leave;
mod safety;
mod snapshots;
mod weights;

use mcdeploy_api::{Epoch, RoutingSnapshotSpec};

pub(crate) use leave::leaving;
pub(crate) use safety::may_leave;
use snapshots::{regions, revisions};

use crate::{action::Action, placement::Placement, world::World};

/// The traffic part of a plan.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) actions: Vec<Action>,
    pub(crate) draining: bool,
}

/// Compares what gateways are told with what they should be told, and plans the
/// difference: the decision first, then one snapshot per cluster that changes.
pub(crate) fn plan(world: &World, placement: &Placement, raises: &[String]) -> Traffic {
    let Some(policy) = &world.policy else {
        return Traffic::default();
    };
    let mut traffic = Traffic::default();
    let mut contents = Vec::new();
    let mut changed = Vec::new();
    let mut told = placement.placed.clone();
    told.extend(leaving(world, placement));
    told.sort();
    for name in &told {
        let Some((member, view)) = world.seen(name) else {
            continue;
        };
        let (revisions, draining) = revisions(world, placement, name, member, view, raises);
        traffic.draining |= draining;
        let spec = RoutingSnapshotSpec {
            model: placement.target.record.model.clone(),
            epoch: Epoch::default(),
            hash: String::new(),
            cluster: name.clone(),
            repeatable: policy.spec.repeatable,
            local_weight: weights::local_weight(policy, name, &revisions),
            revisions,
            regions: regions(world, placement, policy, name, view),
        };
        let is_empty = spec.regions.is_empty() || !placement.is_placed(name);
        if spec.revisions.is_empty() && is_empty && view.snapshot.is_none() {
            continue;
        }
        let hash = spec.content_hash();
        let same = view
            .snapshot
            .as_ref()
            .is_some_and(|now| now.spec.hash == hash && now.spec.content_hash() == hash);
        contents.push((name.clone(), hash.clone()));
        if !same {
            changed.push(RoutingSnapshotSpec { hash, ..spec });
        }
    }
    traffic.actions = epoch::publish(world, placement, policy, raises, &contents, changed);
    traffic
}
