//! The one place for errors of the user. Pure.

use mcdeploy_api::{Reason, Sha256Digest};

use crate::{RevisionRecord, World, placement};

/// Why a deployment cannot be acted on. Nothing is changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The model version does not exist.
    #[error("ModelVersion {name:?} does not exist in namespace {namespace:?}: push it first")]
    ModelVersionNotFound {
        /// What the deployment names.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// No member cluster is placed.
    #[error("no member cluster matches the placement ({wanted}): add one or change it")]
    NoClusterPlaced {
        /// What matched nothing.
        wanted: String,
    },
    /// The scope leaves nothing.
    #[error("no placed cluster is in the rollout's scope ({wanted})")]
    NothingInScope {
        /// What the scope says.
        wanted: String,
    },
}

impl Invalid {
    /// The same in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::ModelVersionNotFound { .. } => Reason::ModelVersionNotFound,
            Self::NoClusterPlaced { .. } | Self::NothingInScope { .. } => Reason::NoClusterMatches,
        }
    }
}

/// A deployment that can be acted on.
pub(crate) struct Valid {
    /// Id of the revision that the spec asks for.
    pub(crate) target: String,
    /// Its input.
    pub(crate) record: RevisionRecord,
    /// Digest of the target's manifest.
    pub(crate) digest: Sha256Digest,
    /// Store that the version was pushed to.
    pub(crate) origin: String,
    /// Placed clusters.
    pub(crate) placed: Vec<String>,
    /// Waves of the rollout.
    pub(crate) waves: Vec<Vec<String>>,
}

impl Valid {
    pub(crate) fn in_scope(&self, cluster: &str) -> bool {
        self.waves.iter().flatten().any(|name| name == cluster)
    }
}

/// Checks what the user gave against what there is.
pub(crate) fn validate(world: &World) -> Result<Valid, Invalid> {
    let spec = &world.deployment.spec;
    let Some(version) = &world.model_version else {
        return Err(Invalid::ModelVersionNotFound {
            name: spec.model_version_ref.name.clone(),
            namespace: world.deployment.namespace.clone(),
        });
    };
    let placed = placement::placed(spec, &world.members);
    if placed.is_empty() {
        return Err(Invalid::NoClusterPlaced {
            wanted: placement::unmatched(&spec.placement, &world.members).join(", "),
        });
    }
    let waves = placement::waves(spec, &world.members);
    if waves.is_empty() {
        let scope = spec.scope.clone().unwrap_or_default();
        let providers = scope.providers.iter().map(ToString::to_string);
        let wanted: Vec<_> = providers.chain(scope.clusters).collect();
        return Err(Invalid::NothingInScope {
            wanted: wanted.join(", "),
        });
    }
    let record = RevisionRecord::of(spec, version);
    Ok(Valid {
        target: record.id(),
        digest: record.manifest_digest,
        record,
        origin: version.store_ref.name.clone(),
        placed,
        waves,
    })
}
