//! Who is told to send requests where, and in which order decisions stand.
//!
//! | room | role |
//! |---|---|
//! | `weights` | how much of the requests is to go where |
//! | `leave` | clusters that are to take none |
//! | `safety` | what of that is permitted now |
//! | `snapshots` | what gateways are told: what is permitted, and nothing else |
//! | `epoch` | the decision, and its place among others |

mod epoch;
mod leave;
mod safety;
mod snapshots;
mod weights;

pub(crate) use leave::leaving;
pub(crate) use safety::Held;
use weights::Shares;

use crate::{action::Action, names::ClusterName, placement::Placement, world::World};

/// The traffic part of a plan.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) actions: Vec<Action>,
    /// What is wanted and not permitted yet.
    pub(crate) held: Vec<Held>,
    /// Something is listed only until it has drained.
    pub(crate) draining: bool,
}

/// Compares what gateways are told with what they should be told, and plans the
/// difference: the decision first, then one snapshot per cluster that changes.
pub(crate) fn plan(world: &World, placement: &Placement, raises: &[ClusterName]) -> Told {
    let Some(policy) = &world.policy else {
        return Told::default();
    };
    let mut wanted = weights::wanted(world, placement, policy, raises);
    leave::take_off(world, placement, &mut wanted.shares);
    let (permit, held) = safety::permit(world, &Shares::now(world), wanted);
    let snapshots = snapshots::snapshots(world, placement, policy, &permit);
    Told {
        draining: snapshots.draining,
        actions: epoch::publish(world, placement, policy, &permit, snapshots),
        held,
    }
}
