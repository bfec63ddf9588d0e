//! `ModelDeployment`: the rollout, with its `ModelRollout`s and `TrafficPolicy`.
//! Observe > validate > plan > execute > status; the second and third are
//! [`mcdeploy_plan`], the fourth is [`mcdeploy_exec`].

mod copies;
mod images;
mod observe;
mod staging;
mod view;
mod write;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use mcdeploy_api::{ErrorClass, ModelDeployment, names};
use mcdeploy_cluster::{ClusterClient, ClusterError, with_next_step};
use mcdeploy_exec::{ExecError, Executor, Outcome, RevisionStore};
use mcdeploy_plan::{Action, ClusterName, Plan, World, plan, status};

use crate::{
    classified::Classified,
    clock,
    context::{Context, Key},
    registries,
    stores::Loaded,
};

/// A new leader first looks at every member cluster, before it says anything.
const FIRST_LOOKS: Duration = Duration::from_millis(100);

/// Why a look at a `ModelDeployment` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The hub did not answer, or refused.
    #[error(transparent)]
    Hub(Box<ClusterError>),
    /// A record in the hub is not one of ours.
    #[error("read revision record {name:?}")]
    ReadRecord {
        name: String,
        #[source]
        source: serde_json::Error,
    },
}

impl From<ClusterError> for Error {
    fn from(error: ClusterError) -> Self {
        Self::Hub(Box::new(error))
    }
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Hub(error) => error.class(),
            Self::ReadRecord { .. } => ErrorClass::Permanent,
        }
    }
}

/// What one look found, and what the plan is carried out with.
pub(crate) struct Observed {
    pub(crate) world: World,
    pub(crate) owner: OwnerReference,
    pub(crate) clients: BTreeMap<ClusterName, ClusterClient>,
    pub(crate) stores: Loaded,
    pub(crate) registries: registries::Loaded,
    pub(crate) revision_store: RevisionStore,
    /// When the newest rollout was asked for.
    pub(crate) asked: Option<Timestamp>,
}

pub(crate) async fn reconcile(ctx: &Arc<Context>, key: &Key) -> Result<Option<Duration>, Error> {
    let (namespace, name) = key;
    let found: Option<ModelDeployment> = ctx.hub.get(Some(namespace), name).await?;
    let Some(deployment) = found.filter(|found| !is_going(found)) else {
        ctx.forget_deployment(key);
        return Ok(None);
    };
    let Some(observed) = Box::pin(observe::observe(ctx, key, &deployment)).await? else {
        return Ok(Some(FIRST_LOOKS));
    };
    let world = &observed.world;
    let plan = plan(world);
    copies::measure(ctx, key, world, &plan, observed.asked);
    let outcome = execute(ctx, &observed, key, &plan).await;
    remember(ctx, key, world, &plan, &outcome);
    report(ctx, key, &plan, &outcome);
    let mut executed = outcome.failed.iter();
    if executed.any(|failed| matches!(&failed.error, ExecError::Cluster(e) if is_fenced(e))) {
        return Ok(Some(ctx.settings.pace.settled));
    }
    let released = plan.actions.contains(&Action::ReleaseDeployment);
    if released && outcome.failed.is_empty() {
        // There is nothing left to say something about.
        return Ok(Some(ctx.settings.pace.moving));
    }
    let statuses = status(world, &plan);
    match write::write(ctx, world, statuses).await {
        Err(Error::Hub(error)) if is_fenced(&error) => Ok(Some(ctx.settings.pace.settled)),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(next_look(ctx, &plan, &outcome))),
    }
}

/// Deleted, and nothing of ours holds it: it goes by itself.
fn is_going(deployment: &ModelDeployment) -> bool {
    let metadata = &deployment.metadata;
    let mut finalizers = metadata.finalizers.iter().flatten();
    metadata.deletion_timestamp.is_some()
        && !finalizers.any(|finalizer| finalizer == names::FINALIZER_CLUSTERS)
}

/// This process does not lead any more: it has nothing to say, and will be told so.
fn is_fenced(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Fenced { .. })
}

async fn execute(ctx: &Context, observed: &Observed, key: &Key, plan: &Plan) -> Outcome {
    let Observed {
        world,
        owner,
        clients,
        stores,
        registries,
        revision_store,
        asked: _,
    } = observed;
    if plan.actions.is_empty() {
        return Outcome::default();
    }
    let (namespace, name) = key;
    let executor = Executor {
        hub: &ctx.hub,
        members: clients,
        deployment: name,
        namespace,
        owner: owner.clone(),
        version: world.model_version.as_ref(),
        revision_store,
        stores: &stores.known,
        registries: &registries.access,
        daemon_image: &ctx.settings.daemon_image,
    };
    Box::pin(executor.execute(plan)).await
}

fn report(ctx: &Context, key: &Key, plan: &Plan, outcome: &Outcome) {
    for done in &outcome.done {
        ctx.metrics.effect(done.action, "ok");
        tracing::info!(
            action = done.action,
            cluster.name = done.cluster.as_deref(),
            revision = done.revision.as_deref(),
            plan.generation = plan.generation,
            "carried out"
        );
    }
    for failed in &outcome.failed {
        let class = failed.error.class();
        ctx.metrics.effect(failed.effect.action, class.label());
        tracing::warn!(
            action = failed.effect.action,
            cluster.name = failed.effect.cluster.as_deref(),
            revision = failed.effect.revision.as_deref(),
            class = class.label(),
            error = %failed.error,
            "not carried out"
        );
    }
    let mut memories = ctx.memories();
    let memory = memories.entry(key.clone()).or_default();
    for failed in &outcome.refused {
        let effect = &failed.effect;
        ctx.metrics.effect(effect.action, "refused");
        let Some(upkeep) = &effect.upkeep else {
            continue;
        };
        let error = failed.error.to_string();
        if memory.upkeep_refused(upkeep, error.clone(), clock::now()) {
            tracing::warn!(
                action = effect.action,
                cluster.name = effect.cluster.as_deref(),
                revision = effect.revision.as_deref(),
                error,
                "something old cannot be removed; nothing waits for it"
            );
        }
    }
}

/// Remembers what lasts from this look to the next.
fn remember(ctx: &Context, key: &Key, world: &World, plan: &Plan, outcome: &Outcome) {
    let mut memories = ctx.memories();
    let memory = memories.entry(key.clone()).or_default();
    memory.note(plan, world.now);
    for done in &outcome.done {
        if let Some(upkeep) = &done.upkeep {
            memory.upkeep_done(upkeep);
        }
        if let (Some(cluster), Some(revision)) = (&done.cluster, &done.revision) {
            memory.refused(cluster, revision, None);
        }
        for (store, digest) in &done.copies {
            memory.copy_begun(store, *digest);
        }
    }
    for failed in &outcome.failed {
        let effect = &failed.effect;
        let refused = failed.error.class() == ErrorClass::Permanent;
        if let (true, Some(cluster), Some(revision)) = (refused, &effect.cluster, &effect.revision)
        {
            let why = with_next_step(&failed.error.to_string());
            memory.refused(cluster, revision, Some(why));
        }
        for (store, digest) in effect.copies.iter().filter(|_| refused) {
            let why = with_next_step(&failed.error.to_string());
            memory.copy_refused(store, *digest, why, clock::now());
        }
        if let (Some(cluster), ExecError::Cluster(error)) = (&effect.cluster, &failed.error) {
            lost_contact(ctx, cluster, error);
        }
    }
}

/// A call that got no answer is a reason for the cluster's own controller to look now.
pub(crate) fn lost_contact(ctx: &Context, cluster: &str, error: &ClusterError) {
    if error.reason() == mcdeploy_api::Reason::Unreachable {
        ctx.queues.members.add(cluster.to_owned());
    }
}

fn next_look(ctx: &Context, plan: &Plan, outcome: &Outcome) -> Duration {
    let pace = &ctx.settings.pace;
    if !outcome.failed.is_empty() {
        pace.blocked.min(pace.moving * 4)
    } else if !outcome.refused.is_empty() {
        // The status is still to say so.
        pace.blocked
    } else if plan.is_moving() {
        pace.moving
    } else if plan.is_settled() {
        pace.settled
    } else {
        pace.blocked
    }
}
