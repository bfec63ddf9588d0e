//! The one place for errors of the user. Pure.

use mcdeploy_api::Sha256Digest;

use crate::{
    action::Invalid,
    revision::RevisionRecord,
    world::{World, last_complete_revision, placed, unmatched, waves},
};

/// A deployment that can be acted on.
pub(crate) struct Valid {
    /// Id of the revision that the spec asks for.
    pub(crate) target: String,
    /// Its input.
    pub(crate) record: RevisionRecord,
    /// Store that the target's version was pushed to.
    pub(crate) origin: String,
    /// Placed clusters.
    pub(crate) placed: Vec<String>,
    /// Waves of the rollout.
    pub(crate) waves: Vec<Vec<String>>,
    /// Id and input of the last revision that was complete.
    pub(crate) base: Option<(String, RevisionRecord)>,
    /// Placed clusters outside the scope that serve nothing: they are new, and get the
    /// last revision that was complete.
    pub(crate) joining: Vec<String>,
}

/// What a cluster is to be brought to.
#[derive(Clone, Copy)]
pub(crate) struct Goal<'a> {
    /// Id of the revision.
    pub(crate) revision: &'a str,
    /// Its input.
    pub(crate) record: &'a RevisionRecord,
    /// Store that its version was pushed to; empty: not known.
    pub(crate) origin: &'a str,
}

impl Goal<'_> {
    /// Digest of the version's manifest.
    pub(crate) fn digest(&self) -> Sha256Digest {
        self.record.manifest_digest
    }
}

impl Valid {
    pub(crate) fn in_scope(&self, cluster: &str) -> bool {
        self.waves.iter().flatten().any(|name| name == cluster)
    }

    pub(crate) fn target_goal(&self) -> Goal<'_> {
        Goal {
            revision: &self.target,
            record: &self.record,
            origin: &self.origin,
        }
    }

    pub(crate) fn base_goal(&self) -> Option<Goal<'_>> {
        let (revision, record) = self.base.as_ref()?;
        let origin = if *revision == self.target {
            &self.origin
        } else {
            ""
        };
        Some(Goal {
            revision,
            record,
            origin,
        })
    }

    /// What a cluster is to be brought to; `None`: it keeps what it has.
    pub(crate) fn goal(&self, cluster: &str) -> Option<Goal<'_>> {
        if self.in_scope(cluster) {
            Some(self.target_goal())
        } else if self.joining.iter().any(|name| name == cluster) {
            self.base_goal()
        } else {
            None
        }
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
    let placed = placed(spec, &world.members);
    if placed.is_empty() {
        return Err(Invalid::NoClusterPlaced {
            wanted: unmatched(&spec.placement, &world.members).join(", "),
        });
    }
    let waves = waves(spec, &world.members);
    if waves.is_empty() {
        let scope = spec.scope.clone().unwrap_or_default();
        let providers = scope.providers.iter().map(ToString::to_string);
        let wanted: Vec<_> = providers.chain(scope.clusters).collect();
        return Err(Invalid::NothingInScope {
            wanted: wanted.join(", "),
        });
    }
    let record = RevisionRecord::of(spec, version);
    let mut valid = Valid {
        target: record.id(),
        record,
        origin: version.store_ref.name.clone(),
        placed,
        waves,
        base: None,
        joining: vec![],
    };
    valid.base = last_complete(world, &valid);
    if valid.base.is_some() {
        let mut placed = valid.placed.clone();
        placed.retain(|name| !valid.in_scope(name) && world.serving(name).is_empty());
        placed.sort();
        valid.joining = placed;
    }
    Ok(valid)
}

fn last_complete(world: &World, valid: &Valid) -> Option<(String, RevisionRecord)> {
    let id = last_complete_revision(&world.rollouts)?;
    let recorded = || world.records.get(id).cloned();
    let is_target = (*id == valid.target).then(|| valid.record.clone());
    Some((id.to_owned(), is_target.or_else(recorded)?))
}
