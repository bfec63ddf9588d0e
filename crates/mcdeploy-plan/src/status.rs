//! What users are told: rows, conditions, the record of each rollout.

mod conditions;
mod deleted;
mod lag;
mod policy;
mod rollouts;
mod rows;
mod version;

use mcdeploy_api::{ModelDeploymentStatus, ModelRolloutStatus, TrafficPolicyStatus};

use conditions::deployment;
pub use lag::{Lag, Lags, SLO_SECONDS, copies_lacking};
use policy::policy;
use rollouts::rollouts;
use rows::rows;
pub use version::version_status;

use crate::{
    action::Plan,
    world::{World, placed},
};

/// Statuses to be written where they differ from what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Statuses {
    /// Of the deployment.
    pub deployment: ModelDeploymentStatus,
    /// Of rollouts whose status changes, by name.
    pub rollouts: Vec<(String, ModelRolloutStatus)>,
    /// Of the traffic policy, if there is one and no new decision was planned.
    pub policy: Option<TrafficPolicyStatus>,
}

/// Computes every status from what was seen and what is planned.
pub fn status(world: &World, plan: &Plan) -> Statuses {
    if world.deployment.deleting {
        // The records go with it.
        return Statuses {
            deployment: deleted::status(world, plan),
            rollouts: vec![],
            policy: None,
        };
    }
    let placed = placed(&world.deployment.spec, &world.members);
    let rows = rows(world, plan, &placed);
    Statuses {
        rollouts: rollouts(world, plan),
        policy: policy(world, plan, &placed),
        deployment: deployment(world, plan, rows, &placed),
    }
}
