//! The invariants, asserted at the moment of each effect.

use mcdeploy_api::{Reason, ReplicaState};
use mcdeploy_plan::{Action, ApplyRevision, World, input_hash};

use super::{Sim, image};

impl Sim {
    /// `action` was carried out on what `before` showed.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm an action, one assertion an invariant"
    )]
    pub(super) fn check(&self, before: &World, action: &Action) {
        if let Some(cluster) = action.cluster() {
            assert!(
                !self.faults[cluster].lost,
                "{action:?} in a cluster not seen"
            );
        }
        match action {
            Action::Stage(stage) => {
                let running = &self.truth[&stage.cluster].revisions;
                for digest in running.keys().map(|id| before.records[id].manifest_digest) {
                    let mut kept = stage.versions.iter();
                    assert!(kept.any(|v| v.digest == digest), "{stage:?} of what runs");
                }
            }
            Action::PublishSnapshot { cluster, spec } => {
                let member = &before.members[cluster];
                let sum: i32 = spec.revisions.iter().map(|route| route.weight).sum();
                assert!(sum == 100 || sum == 0, "weights of {cluster} sum to {sum}");
                let old = self.truth[cluster].snapshot.as_ref();
                let had = |revision: &str| {
                    let mut routes = old.iter().flat_map(|old| &old.spec.revisions);
                    let route = routes.find(|route| route.revision == revision);
                    route.map_or(0, |route| route.weight)
                };
                for route in &spec.revisions {
                    if route.weight <= had(&route.revision) {
                        continue;
                    }
                    let rows = &before.deployment.status.clusters;
                    let row = rows.iter().find(|row| row.cluster == *cluster);
                    let served = row.and_then(|row| row.revision.as_ref());
                    if old.is_none() && served == Some(&route.revision) {
                        // The snapshot of what had been probed was deleted.
                        continue;
                    }
                    let probe = member.probe.as_ref().expect("raised without a probe");
                    assert!(probe.ok && probe.revision == route.revision);
                    let copy = (member.store.clone(), route.version.clone());
                    assert_eq!(self.copies.get(&copy), Some(&ReplicaState::Verified));
                }
                let took = old.is_some_and(|s| s.spec.revisions.iter().any(|r| r.weight > 0));
                assert!(
                    !took || sum == 100 || (!self.is_placed(cluster) && self.others_serve(cluster)),
                    "{cluster} loses all of its weight"
                );
                for (other, faults) in &self.faults {
                    let region = |spec: &mcdeploy_api::RoutingSnapshotSpec| {
                        let mut regions = spec.regions.iter();
                        regions.find(|region| region.cluster == *other).cloned()
                    };
                    let (was, is) = (old.and_then(|old| region(&old.spec)), region(spec));
                    if faults.lost && other != cluster {
                        assert_eq!(was.is_some(), is.is_some(), "{other} is not seen");
                        let raised = is.map(|r| r.weight) > was.map(|r| r.weight);
                        assert!(!raised, "{other} is not seen and its weight rises");
                    }
                }
                let told = self.world.policy.as_ref().unwrap().status.epoch;
                assert_eq!(told, Some(spec.epoch), "stored before it is published");
            }
            Action::ApplyRevision(apply) => {
                let member = &before.members[&apply.cluster];
                assert_eq!(apply.record.id(), apply.revision);
                let (registry, cache) = (member.registry.as_ref(), member.cache.as_ref());
                let hash = input_hash(&apply.revision, apply.replicas, "key1", registry, cache);
                assert_eq!(apply.hash, hash);
                self.check_start(before, apply);
                let copy = (member.store.clone(), self.names[&apply.revision].clone());
                assert_eq!(self.copies.get(&copy), Some(&ReplicaState::Verified));
                if let Some(registry) = registry {
                    let mirrored = registry.mirror(&image());
                    assert!(self.images.contains(&mirrored), "{mirrored} is not there");
                }
            }
            Action::DeleteRecord { revision } => {
                let mut views = self.truth.values();
                assert!(!views.any(|view| view.revisions.contains_key(revision)));
            }
            Action::DeleteRevision { cluster, revision } => {
                let view = &self.truth[cluster];
                let mut routes = view.snapshot.iter().flat_map(|s| &s.spec.revisions);
                assert!(!routes.any(|route| route.revision == *revision));
            }
            Action::DeleteSnapshot { cluster } => {
                let deleting = before.deployment.deleting;
                assert!(deleting || !self.is_placed(cluster), "{cluster} is placed");
                assert!(deleting || self.truth[cluster].revisions.is_empty());
            }
            Action::ReleaseDeployment => {
                assert!(before.deployment.deleting);
                for (name, view) in &self.truth {
                    let is_clean = view.snapshot.is_none() && view.revisions.is_empty();
                    let abandoned = before.deployment.abandoned.contains(name);
                    assert!(is_clean || abandoned, "{name} is not clean");
                }
            }
            Action::HoldDeployment
            | Action::RecordRevision { .. }
            | Action::CreateRollout { .. }
            | Action::CreatePolicy { .. }
            | Action::DeleteRollout { .. }
            | Action::StartTransfer(_)
            | Action::StartImageCopy(_)
            | Action::DeleteTransfer { .. }
            | Action::DecideTraffic(_) => {}
        }
        let held = before.deployment.held || *action == Action::HoldDeployment;
        let first = matches!(
            action,
            Action::ApplyRevision(_) | Action::PublishSnapshot { .. }
        );
        assert!(
            !first || held || self.world.deployment.held,
            "not held: {action:?}"
        );
    }

    /// Nothing of a revision is started in a cluster while it crashes in another one.
    fn check_start(&self, before: &World, apply: &ApplyRevision) {
        let is_new = !self.truth[&apply.cluster]
            .revisions
            .contains_key(&apply.revision);
        let waves = mcdeploy_plan::waves(&before.deployment.spec, &before.members);
        let scope: Vec<_> = waves.into_iter().flatten().collect();
        if !is_new || !scope.contains(&apply.cluster) {
            return;
        }
        for other in scope.iter().filter(|other| **other != apply.cluster) {
            let seen = before.members[other].seen();
            let objects = seen.and_then(|view| view.revisions.get(&apply.revision));
            let problem = objects.and_then(|objects| objects.problem.as_ref());
            let crashes = problem.is_some_and(|problem| problem.reason == Reason::CrashLoop);
            let routes = seen.iter().flat_map(|view| &view.snapshot);
            let mut routes = routes.flat_map(|snapshot| &snapshot.spec.revisions);
            let serves = routes.any(|r| r.revision == *apply.revision && r.weight > 0);
            assert!(!crashes || serves, "{apply:?} while it crashes in {other}");
        }
    }

    /// Whether another placed cluster takes traffic, ready.
    fn others_serve(&self, cluster: &str) -> bool {
        self.truth.iter().any(|(name, view)| {
            let mut routes = view.snapshot.iter().flat_map(|s| &s.spec.revisions);
            let ready = |id: &String| view.revisions.get(id).is_some_and(|o| o.ready > 0);
            name != cluster
                && self.is_placed(name)
                && routes.any(|route| route.weight > 0 && ready(&route.revision))
        })
    }
}
