//! Statuses, written where they differ from what stands there.

use mcdeploy_api::{ErrorClass, ModelDeployment, ModelRollout, TrafficPolicy, names};
use mcdeploy_plan::{Statuses, World};

use super::Error;
use crate::context::Context;

const MANAGER: &str = names::FIELD_MANAGER_OPERATOR;

pub(super) async fn write(ctx: &Context, world: &World, statuses: Statuses) -> Result<(), Error> {
    let Statuses {
        deployment,
        rollouts,
        policy,
    } = statuses;
    let hub = &ctx.hub;
    let namespace = Some(world.deployment.namespace.as_str());
    for (name, status) in rollouts {
        hub.patch_status::<ModelRollout>(namespace, &name, &status, MANAGER, None)
            .await?;
    }
    if let (Some(facts), Some(status)) = (&world.policy, policy) {
        let version = Some(facts.resource_version.as_str());
        let differs = status != facts.status;
        let hub = hub.clone();
        let name = &facts.name;
        if differs {
            let patch =
                hub.patch_status::<TrafficPolicy>(namespace, name, &status, MANAGER, version);
            match patch.await {
                Ok(_) => {}
                // It was edited meanwhile: the next look sees that.
                Err(error) if error.class() == ErrorClass::Precondition => {
                    tracing::debug!(error = %error, "the policy changed meanwhile");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if deployment != world.deployment.status {
        let name = &world.deployment.name;
        hub.patch_status::<ModelDeployment>(namespace, name, &deployment, MANAGER, None)
            .await?;
    }
    Ok(())
}
