//! What the hub has to hold before anything is done elsewhere.

use mcdeploy_api::{ModelRolloutSpec, ObjectName, RolloutWave};

use crate::{action::Action, placement::Placement, world::World};

/// What the hub lacks, in the order in which it is needed.
pub(crate) fn records(world: &World, placement: &Placement) -> Vec<Action> {
    let mut actions = Vec::new();
    let deployment = &world.deployment;
    if !deployment.held {
        actions.push(Action::HoldDeployment);
    }
    if !world.records.contains_key(&placement.target.revision) {
        actions.push(Action::RecordRevision {
            revision: placement.target.revision.clone(),
            record: placement.target.record.clone(),
        });
    }
    let name = world.deployment.rollout_name();
    if !world.rollouts.iter().any(|rollout| rollout.name == name) {
        let waves = placement.waves.iter().map(|clusters| RolloutWave {
            clusters: clusters.iter().cloned().map(String::from).collect(),
        });
        let spec = ModelRolloutSpec {
            deployment_ref: ObjectName::new(deployment.name.clone()),
            deployment_generation: deployment.generation,
            to_revision: placement.target.revision.to_string(),
            to_version: placement.target.record.version.clone(),
            waves: waves.collect(),
            requested_by: deployment.requested_by.clone(),
        };
        actions.push(Action::CreateRollout { name, spec });
    }
    if world.policy.is_none() {
        let name = deployment.name.clone();
        actions.push(Action::CreatePolicy { name });
    }
    actions
}
