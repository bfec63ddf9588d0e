//! The one place for errors of the user. Pure.

use mcdeploy_api::Sha256Digest;

use crate::{
    action::Invalid,
    names::{RevisionId, StoreName},
    revision::RevisionRecord,
    world::{World, placed, unmatched, waves},
};

/// What a cluster is to be brought to.
#[derive(Clone)]
pub(crate) struct Goal {
    /// Id of the revision.
    pub(crate) revision: RevisionId,
    /// Its input.
    pub(crate) record: RevisionRecord,
    /// Store that its version was pushed to; `None`: not known.
    pub(crate) origin: Option<StoreName>,
}

impl Goal {
    /// Digest of the version's manifest.
    pub(crate) fn digest(&self) -> Sha256Digest {
        self.record.manifest_digest
    }
}

/// Checks what the user gave against what there is. Answers what it asks for.
pub(crate) fn validate(world: &World) -> Result<Goal, Invalid> {
    let spec = &world.deployment.spec;
    let Some(version) = &world.model_version else {
        return Err(Invalid::ModelVersionNotFound {
            name: spec.model_version_ref.name.clone(),
            namespace: world.deployment.namespace.clone(),
        });
    };
    if placed(spec, &world.members).is_empty() {
        return Err(Invalid::NoClusterPlaced {
            wanted: unmatched(&spec.placement, &world.members).join(", "),
        });
    }
    if waves(spec, &world.members).is_empty() {
        let scope = spec.scope.clone().unwrap_or_default();
        let providers = scope.providers.iter().map(ToString::to_string);
        let wanted: Vec<_> = providers.chain(scope.clusters).collect();
        return Err(Invalid::NothingInScope {
            wanted: wanted.join(", "),
        });
    }
    let record = RevisionRecord::of(spec, version);
    Ok(Goal {
        revision: record.id(),
        record,
        origin: Some(StoreName::from(&version.store_ref.name)),
    })
}
