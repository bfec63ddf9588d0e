//! `ModelVersion`: which copies are whole, and how far others are. Observe > status.
//!
//! **Invariant:** one `ModelVersion` is written at most once a second, and only on change.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use mcdeploy_api::{CopyProgress, ErrorClass, ModelVersion, Reason, ReplicaState, names};
use mcdeploy_cluster::ClusterError;
use mcdeploy_plan::{CopyAsk, ReplicaFacts, version_status};

use crate::{
    classified::Classified,
    clock,
    context::{Context, Key},
    stores,
};

/// A look at a copy is good for this long, here.
const MAX_AGE: Duration = Duration::from_secs(20);
/// Next look at a version that is whole everywhere, and at one that is not.
const AGAIN: (Duration, Duration) = (Duration::from_mins(5), Duration::from_secs(10));

/// Why a look at a `ModelVersion` failed.
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

pub(crate) async fn reconcile(ctx: &Context, key: &Key) -> Result<Option<Duration>, Error> {
    if let Some(rest) = ctx.copies.rest(key) {
        return Ok(Some(rest));
    }
    let (namespace, name) = key;
    let hub = &ctx.hub;
    let Some(version) = hub.get::<ModelVersion>(Some(namespace), name).await? else {
        return Ok(None);
    };
    let copying = ctx.copies.of(version.spec.manifest_digest);
    let looked = observe(ctx, &version, &copying).await?;
    let before = version.status.clone().unwrap_or_default();
    let generation = version.metadata.generation.unwrap_or_default();
    let origin = &version.spec.store_ref.name;
    let status = version_status(&before, generation, origin, &looked, &copying, clock::now());
    if status != before {
        let manager = names::FIELD_MANAGER_OPERATOR;
        hub.patch_status::<ModelVersion>(Some(namespace), name, &status, manager, None)
            .await?;
        ctx.copies.wrote(key);
    }
    let whole = looked
        .iter()
        .all(|(_, facts)| facts.state == ReplicaState::Verified);
    Ok(Some(if whole { AGAIN.0 } else { AGAIN.1 }))
}

/// Looks at the store that was pushed to and at every store that was ever of interest.
async fn observe(
    ctx: &Context,
    version: &ModelVersion,
    copying: &BTreeMap<String, CopyProgress>,
) -> Result<Vec<(String, ReplicaFacts)>, Error> {
    let loaded = stores::load(&ctx.hub, &ctx.settings.namespace).await?;
    let spec = &version.spec;
    let origin = &spec.store_ref.name;
    let status = version.status.clone().unwrap_or_default();
    let mut names: Vec<String> = status.stores.into_iter().map(|entry| entry.store).collect();
    names.push(origin.clone());
    names.extend(copying.keys().cloned());
    let known = loaded.facts.keys().filter(|name| {
        let last = ctx.stores.last(name, spec.manifest_digest);
        last.is_some_and(|facts| facts.state != ReplicaState::Missing)
    });
    names.extend(known.map(ToString::to_string));
    names.sort();
    names.dedup();
    let look = async |name: String| {
        let Some(entry) = loaded.known.get(name.as_str()) else {
            let facts = ReplicaFacts {
                state: ReplicaState::Unknown,
                verified_bytes: 0,
                reason: Reason::StoreNotFound,
                message: format!("ArtifactStore {name:?} does not exist or has no credentials"),
            };
            return (name, facts);
        };
        let wanted = CopyAsk {
            store: name.as_str().into(),
            model: spec.model.clone(),
            version: spec.version.clone(),
            digest: spec.manifest_digest,
        };
        let deadline = ctx.settings.pace.look_deadline;
        let stores = &ctx.stores;
        let (facts, _) = stores
            .look(entry, &wanted, MAX_AGE, deadline, &ctx.cancel)
            .await;
        (name, facts)
    };
    Ok(join_all(names.into_iter().map(look)).await)
}
