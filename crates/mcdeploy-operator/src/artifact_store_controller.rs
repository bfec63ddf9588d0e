//! `ArtifactStore`: can it be used. Observe > status.

use std::time::Duration;

use mcdeploy_api::{
    ArtifactStore, ArtifactStoreSpec, ConditionStatus, ConditionType, ErrorClass, Reason,
    check_jurisdiction, names, set_condition,
};
use mcdeploy_cluster::ClusterError;
use mcdeploy_store::{StoreError, check_reader, check_store};

use crate::{classified::Classified, clock, context::Context, stores};

/// Longest time for a check: open, list, put once, look, read.
const CHECK: Duration = Duration::from_secs(10);
/// Next check of a store that is well, and of one that is not.
const AGAIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(5));

/// Why a look at an `ArtifactStore` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Hub(#[from] ClusterError),
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Hub(error) => error.class(),
        }
    }
}

type Verdict = (ConditionStatus, Reason, String);

pub(crate) async fn reconcile(ctx: &Context, name: &str) -> Result<Option<Duration>, Error> {
    let hub = &ctx.hub;
    let Some(store) = hub.get::<ArtifactStore>(None, name).await? else {
        return Ok(None);
    };
    let ArtifactStoreSpec {
        provider,
        region,
        jurisdiction,
        ..
    } = &store.spec;
    let wrong = jurisdiction
        .as_ref()
        .and_then(|given| check_jurisdiction(*provider, region, given).err());
    let (state, reason, message) = match wrong {
        Some(why) => {
            let message = format!("spec.jurisdiction: {why}");
            (ConditionStatus::False, Reason::Invalid, message)
        }
        None => observe(ctx, name).await?,
    };
    let ready = state == ConditionStatus::True;
    let before = store.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let generation = store.metadata.generation;
    status.observed_generation = generation;
    let (list, kind) = (&mut status.conditions, ConditionType::Ready);
    set_condition(list, kind, state, reason, message, generation, clock::now());
    if status != before {
        let manager = names::FIELD_MANAGER_OPERATOR;
        hub.patch_status::<ArtifactStore>(None, name, &status, manager, None)
            .await?;
        ctx.wake_deployments();
    }
    Ok(Some(if ready { AGAIN.0 } else { AGAIN.1 }))
}

async fn observe(ctx: &Context, name: &str) -> Result<Verdict, Error> {
    let loaded = stores::load(&ctx.hub, &ctx.settings.namespace).await?;
    let Some(known) = loaded.known.get(name) else {
        let facts = loaded.facts.get(name);
        let why = facts.and_then(|facts| facts.usable.clone().err());
        let why = why.unwrap_or_else(|| "it was deleted".to_owned());
        return Ok((ConditionStatus::False, Reason::StoreNotFound, why));
    };
    let check = async {
        let store = ctx.stores.opened(&known.access, &known.version).await?;
        check_store(&*store, &ctx.cancel).await?;
        if known.has_reader() {
            let reader = (ctx.settings.open_store)(known.for_readers()).await?;
            check_reader(&*reader, &ctx.cancel).await?;
        }
        Ok::<_, StoreError>(())
    };
    Ok(match tokio::time::timeout(CHECK, check).await {
        Ok(Ok(())) if known.is_shared() => {
            let message = "it can be listed, written and read; pods that read from it hold the \
                           credential that writes: set spec.auth.readSecretRef, or use ambient";
            (
                ConditionStatus::True,
                Reason::SharedCredential,
                message.to_owned(),
            )
        }
        Ok(Ok(())) => {
            let message = "it can be listed, written and read".to_owned();
            (ConditionStatus::True, Reason::AsDesired, message)
        }
        Ok(Err(error)) if error.reason() == Reason::StoreUnreachable => {
            (ConditionStatus::Unknown, error.reason(), error.to_string())
        }
        Ok(Err(error)) => (ConditionStatus::False, error.reason(), error.to_string()),
        Err(_) => {
            let message = format!("no answer within {} s", CHECK.as_secs());
            (ConditionStatus::Unknown, Reason::StoreUnreachable, message)
        }
    })
}
