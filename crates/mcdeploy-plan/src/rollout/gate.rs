//! Who may begin: whose fault it is that a cluster cannot go on, and what that means for the
//! others.
//!
//! A fault of the *place* holds that cluster alone: once it lasted, the waves behind it begin,
//! and the cluster catches up later. A fault of the *revision* would repeat everywhere: nothing
//! that does not serve it yet goes on, until it is gone or another revision is asked for.

use std::collections::BTreeMap;

use mcdeploy_api::{Reason, RolloutStepState};

use super::Judged;
use crate::{
    names::{ClusterName, RevisionId},
    placement::Placement,
    world::World,
};

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Of the cluster, its store, its registry, or of the way there.
    Place,
    /// Of what is rolled out.
    Revision,
}

/// Whether a cluster that does not serve the target yet may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Not yet, and why.
    Behind(String),
    /// The revision failed elsewhere, and how.
    Stopped(String),
}

/// Whose fault `reason` is. `stuck`: nothing changed for as long as may be. What is also seen
/// where only the place is at fault tells of the revision while that has `served` nowhere.
pub(super) fn fault(reason: Reason, stuck: bool, served: bool) -> Fault {
    let of_revision = match reason {
        Reason::CrashLoop | Reason::ProbeFailed => true,
        Reason::ImagePullFailed | Reason::ImageMissing => !served,
        // Pods that run and never get ready: the model does not load.
        Reason::PodsNotReady => stuck && !served,
        Reason::AccessNotSupported
        | Reason::ApplyRefused
        | Reason::ArtifactCopying
        | Reason::ArtifactMissing
        | Reason::AsDesired
        | Reason::AuthFailed
        | Reason::ChecksumMismatch
        | Reason::Deleting
        | Reason::GatewayBehind
        | Reason::GatewayNotFound
        | Reason::ImageCopyFailed
        | Reason::ImageCopying
        | Reason::Incomplete
        | Reason::Invalid
        | Reason::KubeconfigRefused
        | Reason::LastServing
        | Reason::Leaving
        | Reason::ModelVersionNotFound
        | Reason::NoClusterMatches
        | Reason::OutOfScope
        | Reason::Pending
        | Reason::RegistryDenied
        | Reason::RegistryUnreachable
        | Reason::RevisionFailed
        | Reason::RollingOut
        | Reason::Serving
        | Reason::SharedCredential
        | Reason::Staging
        | Reason::StoreDenied
        | Reason::StoreNotFound
        | Reason::StoreUnreachable
        | Reason::Superseded
        | Reason::TransferFailed
        | Reason::Unreachable
        | Reason::Unschedulable
        | Reason::UpkeepRefused
        | Reason::WaitingForWave => false,
    };
    if of_revision {
        Fault::Revision
    } else {
        Fault::Place
    }
}

/// How the revision fails in clusters of the scope, and whether that lasted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    clusters: Vec<(ClusterName, Reason)>,
    lasted: bool,
}

impl Failures {
    /// `freely`: how every cluster is judged if all may go on.
    pub(super) fn of(
        world: &World,
        placement: &Placement,
        freely: &BTreeMap<&ClusterName, Judged>,
    ) -> Self {
        let scope = placement.waves.iter().flatten();
        let judged = scope.filter_map(|name| Some((name, freely.get(name)?)));
        let mut failures = Self::default();
        for (name, judged) in judged {
            let reason = if judged.fault == Some(Fault::Revision) {
                Some(judged.step.reason)
            } else {
                // Something else may stand before it.
                crashes(world, placement, name)
            };
            if let Some(reason) = reason {
                failures.clusters.push((name.clone(), reason));
                failures.lasted |= has_lasted(world, judged);
            }
        }
        failures
    }

    /// What they mean for a cluster, which may have to wait for an earlier wave, too.
    pub(super) fn gate(&self, version: &str, cluster: &ClusterName, open: bool) -> Gate {
        if self.clusters.iter().any(|(name, _)| name == cluster) {
            // What is wrong there has to be seen, and may mend itself.
            return Gate::Open;
        }
        if !self.clusters.is_empty() {
            let clusters = self.clusters.iter();
            let each = clusters.map(|(name, reason)| format!("{name} ({reason})"));
            let each = each.collect::<Vec<_>>().join(", ");
            let why = format!("{version} fails in {each}, so it goes no further");
            return if self.lasted {
                Gate::Stopped(why)
            } else {
                Gate::Behind(why)
            };
        }
        if open {
            Gate::Open
        } else {
            Gate::Behind("an earlier wave is not finished".to_owned())
        }
    }
}

/// How pods of the target are seen failing where it does not serve yet, whatever else is wrong.
fn crashes(world: &World, placement: &Placement, name: &ClusterName) -> Option<Reason> {
    let target = &placement.target.revision;
    let (_, view) = world.seen(name)?;
    let problem = view.revisions.get(target)?.problem.as_ref()?;
    let serves = world.serving(name).iter().any(|(id, _)| id == target);
    let anywhere = serves_anywhere(world, target);
    let of_revision = fault(problem.reason, false, anywhere) == Fault::Revision;
    (of_revision && !serves).then_some(problem.reason)
}

/// Whether the revision takes requests in any cluster.
pub(super) fn serves_anywhere(world: &World, target: &RevisionId) -> bool {
    let mut clusters = world.members.keys();
    clusters.any(|cluster| world.serving(cluster).iter().any(|(id, _)| id == target))
}

/// Whether a cluster holds the waves behind it no more.
pub(super) fn lets_pass(world: &World, judged: &Judged) -> bool {
    match judged.step.state {
        RolloutStepState::Done => true,
        RolloutStepState::Waiting | RolloutStepState::Running => false,
        RolloutStepState::Blocked | RolloutStepState::Unknown => {
            judged.fault == Some(Fault::Place) && has_lasted(world, judged)
        }
    }
}

/// One failed look tells little, and a container may end once.
pub(super) fn has_lasted(world: &World, judged: &Judged) -> bool {
    let since = world.held_since(&judged.step.cluster, &judged.step.revision);
    since.is_some_and(|at| world.now.duration_since(at) >= world.timings.dwell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_of_the_place_or_of_the_revision() {
        use Fault::{Place, Revision};
        for (reason, stuck, served, whose) in [
            (Reason::CrashLoop, false, false, Revision),
            (Reason::CrashLoop, false, true, Revision),
            (Reason::ProbeFailed, true, true, Revision),
            (Reason::ImagePullFailed, false, false, Revision),
            (Reason::ImagePullFailed, false, true, Place),
            (Reason::ImageMissing, false, false, Revision),
            (Reason::PodsNotReady, false, false, Place),
            (Reason::PodsNotReady, true, false, Revision),
            (Reason::PodsNotReady, true, true, Place),
            (Reason::Unschedulable, true, false, Place),
            (Reason::Unreachable, false, false, Place),
            (Reason::ApplyRefused, false, false, Place),
            (Reason::StoreUnreachable, true, false, Place),
            (Reason::ChecksumMismatch, false, false, Place),
            (Reason::GatewayBehind, true, false, Place),
        ] {
            assert_eq!(
                fault(reason, stuck, served),
                whose,
                "{reason} {stuck} {served}"
            );
        }
    }

    #[test]
    fn what_fails_may_go_on_where_it_fails_and_nowhere_else() {
        let (aws, gcp) = (ClusterName::from("aws"), ClusterName::from("gcp"));
        let none = Failures::default();
        assert_eq!(none.gate("v3", &gcp, true), Gate::Open);
        let behind = Gate::Behind("an earlier wave is not finished".to_owned());
        assert_eq!(none.gate("v3", &gcp, false), behind);
        let mut failures = Failures {
            clusters: vec![(aws.clone(), Reason::CrashLoop)],
            lasted: false,
        };
        assert_eq!(failures.gate("v3", &aws, true), Gate::Open);
        let why = "v3 fails in aws (CrashLoop), so it goes no further";
        assert_eq!(
            failures.gate("v3", &gcp, true),
            Gate::Behind(why.to_owned())
        );
        failures.lasted = true;
        assert_eq!(
            failures.gate("v3", &gcp, true),
            Gate::Stopped(why.to_owned())
        );
    }
}
