//! Which clusters serve, and what each of them is to be brought to.

use crate::{
    names::{ClusterName, RevisionId},
    validate::Goal,
    world::{World, last_complete_revision, placed, waves},
};

/// Who gets what.
pub(crate) struct Placement {
    /// What the spec asks for.
    pub(crate) target: Goal,
    /// The last revision that was complete.
    pub(crate) base: Option<Goal>,
    /// Placed clusters.
    pub(crate) placed: Vec<ClusterName>,
    /// Waves of the rollout.
    pub(crate) waves: Vec<Vec<ClusterName>>,
    /// Placed clusters outside the scope that serve nothing: they are new, and get the
    /// last revision that was complete. Sorted.
    pub(crate) joining: Vec<ClusterName>,
}

impl Placement {
    pub(crate) fn is_placed(&self, cluster: &str) -> bool {
        self.placed.iter().any(|name| name == cluster)
    }

    pub(crate) fn in_scope(&self, cluster: &str) -> bool {
        self.waves.iter().flatten().any(|name| name == cluster)
    }

    /// What a cluster is to be brought to; `None`: it keeps what it has.
    pub(crate) fn goal(&self, cluster: &str) -> Option<&Goal> {
        if self.in_scope(cluster) {
            Some(&self.target)
        } else if self.joining.iter().any(|name| name == cluster) {
            self.base.as_ref()
        } else {
            None
        }
    }

    /// What any cluster is to be brought to.
    pub(crate) fn goals(&self) -> impl Iterator<Item = &Goal> {
        let joining = self.base.iter().filter(|_| !self.joining.is_empty());
        [&self.target].into_iter().chain(joining)
    }
}

/// Chooses clusters for what the spec asks for.
pub(crate) fn place(world: &World, target: Goal) -> Placement {
    let spec = &world.deployment.spec;
    let mut placement = Placement {
        base: last_complete(world, &target),
        target,
        placed: placed(spec, &world.members),
        waves: waves(spec, &world.members),
        joining: vec![],
    };
    if placement.base.is_some() {
        let mut joining = placement.placed.clone();
        joining.retain(|name| !placement.in_scope(name) && world.serving(name).is_empty());
        joining.sort();
        placement.joining = joining;
    }
    placement
}

/// Who serves what while the spec asks for something that cannot be: what was asked for last,
/// and no cluster less. `None`: nothing was.
pub(crate) fn standing(world: &World) -> Option<Placement> {
    let status = &world.deployment.status;
    let revision = RevisionId::from(status.target_revision.as_ref()?);
    let record = world.records.get(&revision)?.clone();
    let mut placed = placed(&world.deployment.spec, &world.members);
    let rows = status
        .clusters
        .iter()
        .map(|row| ClusterName::from(&row.cluster));
    let rows = rows.filter(|name| world.members.contains_key(name));
    placed.extend(rows.collect::<Vec<_>>());
    placed.sort();
    placed.dedup();
    Some(Placement {
        base: None,
        target: Goal {
            revision,
            record,
            origin: None,
        },
        placed,
        waves: vec![],
        joining: vec![],
    })
}

fn last_complete(world: &World, target: &Goal) -> Option<Goal> {
    let id = last_complete_revision(&world.rollouts)?;
    if *id == target.revision {
        return Some(target.clone());
    }
    Some(Goal {
        revision: RevisionId::from(id),
        record: world.records.get(id)?.clone(),
        origin: None,
    })
}
