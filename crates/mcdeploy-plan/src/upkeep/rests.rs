//! Upkeep that was refused rests, longer each time.

use crate::{action::Plan, world::World};

/// Withholds upkeep that rests after it was refused.
pub(crate) fn rest(world: &World, mut plan: Plan) -> Plan {
    let Plan {
        actions, resting, ..
    } = &mut plan;
    actions.retain(|action| {
        let Some(key) = action.upkeep() else {
            return true;
        };
        let facts = world.upkeep.get(&key);
        let rests = facts.is_some_and(|facts| facts.rests_until > world.now);
        if rests {
            resting.insert(key);
        }
        !rests
    });
    plan
}
