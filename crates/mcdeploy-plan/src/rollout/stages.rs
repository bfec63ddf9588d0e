//! One cluster on its way to a revision: copy, image, objects, pods, gateway, probe.

use mcdeploy_api::{Reason, RolloutStep, RolloutStepState};

use super::{
    Judged,
    gate::{Fault, Gate, fault, serves_anywhere},
    wanted_objects,
};
use crate::{
    action::{Action, Step},
    artifact::{self, Artifact},
    asks::ProbeAsk,
    names::{ClusterName, RevisionId},
    validate::Goal,
    world::{MemberFacts, MemberView, Sight, World},
};

pub(super) fn judge(
    world: &World,
    goal: &Goal,
    name: &ClusterName,
    member: &MemberFacts,
    gate: &Gate,
) -> Judged {
    let mut judged = Judged {
        step: Step {
            cluster: name.clone(),
            revision: goal.revision.clone(),
            state: RolloutStepState::Running,
            reason: Reason::Pending,
            message: String::new(),
        },
        actions: vec![],
        fault: None,
        dwells: false,
        raise: false,
        probe: None,
    };
    let view = match &member.sight {
        Sight::Unknown { reason, message } => {
            judged.set(RolloutStepState::Unknown, *reason, message.clone());
            judged.fault = Some(Fault::Place);
            return judged;
        }
        Sight::Seen(view) => view,
    };
    if serves_only(world, name, &goal.revision) {
        already_serving(world, goal, member, view, &mut judged);
    } else {
        bring_up(world, goal, name, member, view, gate, &mut judged);
    }
    let stuck = member
        .running_since
        .is_some_and(|since| world.now.duration_since(since) >= world.timings.progress_deadline);
    if stuck && judged.step.state == RolloutStepState::Running {
        judged.step.state = RolloutStepState::Blocked;
    }
    let Step { state, reason, .. } = judged.step;
    if state == RolloutStepState::Blocked && reason != Reason::RevisionFailed {
        judged.fault = Some(fault(reason, stuck, serves_anywhere(world, &goal.revision)));
    }
    judged
}

impl Judged {
    fn set(&mut self, state: RolloutStepState, reason: Reason, message: impl Into<String>) {
        self.step.state = state;
        self.step.reason = reason;
        self.step.message = message.into();
    }

    fn running(&mut self, reason: Reason, message: impl Into<String>) {
        self.set(RolloutStepState::Running, reason, message);
    }

    fn blocked(&mut self, reason: Reason, message: impl Into<String>) {
        self.set(RolloutStepState::Blocked, reason, message);
    }
}

fn serves_only(world: &World, cluster: &ClusterName, target: &RevisionId) -> bool {
    let serving = world.serving(cluster);
    serving.len() == 1 && serving.iter().all(|(revision, _)| revision == target)
}

/// The target takes the region's traffic: keep its objects as wanted.
fn already_serving(
    world: &World,
    goal: &Goal,
    member: &MemberFacts,
    view: &MemberView,
    judged: &mut Judged,
) {
    let is_settled = view.refusal().is_none() && was_done(world, goal, &judged.step.cluster);
    if view.applied() || is_settled {
        let message = format!("{} takes this region's traffic", goal.record.version);
        judged.set(RolloutStepState::Done, Reason::Serving, message);
    } else {
        let message = view.refusal().unwrap_or_else(|| {
            "the gateway has not taken the snapshot that moves traffic yet".to_owned()
        });
        judged.running(Reason::GatewayBehind, message);
    }
    let Some(version) = world.usable_store(member).ok() else {
        return;
    };
    let (artifact, actions) = artifact::artifact(world, goal, &member.store);
    judged.actions.extend(actions);
    let (image, actions) = artifact::image(world, &goal.record, &judged.step.cluster, member);
    judged.actions.extend(actions);
    let replicas = world.deployment.spec.replicas;
    let place = (&judged.step.cluster, member);
    let wanted = wanted_objects(place, (&goal.revision, &goal.record), replicas, version);
    let have = view.revisions.get(&goal.revision);
    let differs = have.is_none_or(|have| have.input_hash.as_ref() != Some(&wanted.hash));
    let whole = matches!((artifact, image), (Artifact::Verified, Artifact::Verified));
    if differs && whole {
        judged.actions.push(Action::ApplyRevision(wanted));
    }
}

/// Whether the present rollout has this cluster behind it: a later snapshot that only tidies
/// up takes nothing of that back while gateways take it over.
fn was_done(world: &World, goal: &Goal, cluster: &ClusterName) -> bool {
    let is_done =
        |step: &RolloutStep| step.cluster == *cluster && step.state == RolloutStepState::Done;
    world.rollouts.iter().any(|rollout| {
        rollout.spec.deployment_generation == world.deployment.generation
            && rollout.spec.to_revision == goal.revision
            && rollout.status.steps.iter().any(is_done)
    })
}

/// The target does not take traffic yet: artifact, objects, pods, gateway, probe.
fn bring_up(
    world: &World,
    goal: &Goal,
    name: &ClusterName,
    member: &MemberFacts,
    view: &MemberView,
    gate: &Gate,
    judged: &mut Judged,
) {
    let version = match world.usable_store(member) {
        Ok(version) => version,
        Err((reason, message)) => return judged.blocked(reason, message),
    };
    let (artifact, actions) = artifact::artifact(world, goal, &member.store);
    judged.actions.extend(actions);
    let (image, actions) = artifact::image(world, &goal.record, name, member);
    judged.actions.extend(actions);
    match gate {
        Gate::Open => {}
        // Bytes may travel ahead of their wave; pods and traffic may not.
        Gate::Behind(why) => {
            return judged.set(RolloutStepState::Waiting, Reason::WaitingForWave, why);
        }
        Gate::Stopped(why) => {
            // What does not work is not worth the way.
            judged.actions.retain(|action| {
                !matches!(action, Action::StartTransfer(_) | Action::StartImageCopy(_))
            });
            return judged.blocked(Reason::RevisionFailed, why);
        }
    }
    for needed in [artifact, image] {
        match needed {
            Artifact::Verified => {}
            Artifact::Coming(reason, message) => return judged.running(reason, message),
            Artifact::Stopped(reason, message) => return judged.blocked(reason, message),
        }
    }
    let replicas = world.deployment.spec.replicas;
    let input = (&goal.revision, &goal.record);
    let wanted = wanted_objects((name, member), input, replicas, version);
    let have = view.revisions.get(&goal.revision);
    let have = have.filter(|have| have.input_hash.as_ref() == Some(&wanted.hash));
    let Some(have) = have else {
        let starts = !view.revisions.contains_key(&goal.revision);
        if let Some(message) = artifact::waits(world, goal, name, member, view).filter(|_| starts) {
            return judged.running(Reason::Staging, message);
        }
        judged.actions.push(Action::ApplyRevision(wanted));
        let refused = member.refused.as_ref().filter(|(r, _)| *r == goal.revision);
        return match refused {
            Some((_, message)) => judged.blocked(Reason::ApplyRefused, message.clone()),
            None => judged.running(Reason::PodsNotReady, "the objects are being applied"),
        };
    };
    if have.ready < replicas {
        return match &have.problem {
            Some(problem) => judged.blocked(problem.reason, problem.message.clone()),
            None => judged.running(
                Reason::PodsNotReady,
                format!("{} of {replicas} pods are ready", have.ready),
            ),
        };
    }
    through_gateway(goal, name, member, view, judged);
}

/// Pods are ready; now they have to be seen from where requests come.
fn through_gateway(
    goal: &Goal,
    name: &ClusterName,
    member: &MemberFacts,
    view: &MemberView,
    judged: &mut Judged,
) {
    let Some(address) = &member.gateway else {
        let message = "the region's gateway has no address";
        return judged.blocked(Reason::GatewayNotFound, message);
    };
    if view.route(&goal.revision).is_none() || !view.applied() {
        let message = view.refusal().unwrap_or_else(|| {
            "the gateway has not taken the snapshot that lists the revision yet".to_owned()
        });
        return judged.running(Reason::GatewayBehind, message);
    }
    let taken = member.probe.as_ref();
    match taken.filter(|probe| probe.revision == goal.revision) {
        None => {
            judged.probe = Some(ProbeAsk {
                cluster: name.clone(),
                address: address.clone(),
                model: goal.record.model.clone(),
                version: goal.record.version.clone(),
                revision: goal.revision.clone(),
            });
            judged.running(Reason::Pending, "the revision was not probed yet");
        }
        Some(probe) if probe.ok => {
            judged.raise = true;
            judged.running(Reason::RollingOut, "probed well, traffic moves");
        }
        Some(probe) => judged.running(Reason::ProbeFailed, probe.message.clone()),
    }
}
