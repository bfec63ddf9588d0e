//! How far each cluster is, and what it needs next.

use mcdeploy_api::{Reason, RolloutStep, RolloutStepState, Sha256Digest};

use crate::{
    Action, MemberFacts, MemberView, Sight, Step, World, images,
    replication::{self, Artifact},
    revision::input_hash,
    staging, traffic,
    validate::{Goal, Valid, validate},
};

/// A copy that the planner wants looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaWanted {
    /// Name of the `ArtifactStore`.
    pub store: String,
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Digest that the manifest should have.
    pub digest: Sha256Digest,
}

/// A probe that the planner wants taken, now, after this very observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeWanted {
    /// Member cluster.
    pub cluster: String,
    /// `host:port` of its gateway.
    pub address: String,
    /// Model name.
    pub model: String,
    /// Model version that the answer must name.
    pub version: String,
    /// Revision to ask for.
    pub revision: String,
}

/// What one cluster's part of the rollout comes to.
pub(crate) struct Judged {
    pub(crate) step: Step,
    pub(crate) actions: Vec<Action>,
    /// Weight may go to the target here: everything was seen that has to be.
    pub(crate) raise: bool,
    /// All that is missing is a probe.
    pub(crate) probe: Option<ProbeWanted>,
}

/// Judges every cluster in scope, in wave order.
pub(crate) fn judge_all(world: &World, valid: &Valid) -> Vec<Judged> {
    let mut open = true;
    let mut all = Vec::new();
    for wave in &valid.waves {
        let judged: Vec<_> = wave
            .iter()
            .filter_map(|name| Some((name, world.members.get(name)?)))
            .map(|(name, member)| judge(world, valid.target_goal(), name, member, open))
            .collect();
        open = open && judged.iter().all(|judged| lets_pass(judged.step.state));
        all.extend(judged);
    }
    all
}

/// Judges every cluster that joins, sorted by name: none waits for another.
pub(crate) fn judge_joining(world: &World, valid: &Valid) -> Vec<Judged> {
    let Some(goal) = valid.base_goal() else {
        return vec![];
    };
    let joining = valid.joining.iter();
    let members = joining.filter_map(|name| Some((name, world.members.get(name)?)));
    members
        .map(|(name, member)| judge(world, goal, name, member, true))
        .collect()
}

/// A cluster that is merely under way holds the waves behind it; one that cannot go on
/// does not: the other clouds finish.
fn lets_pass(state: RolloutStepState) -> bool {
    match state {
        RolloutStepState::Waiting | RolloutStepState::Running => false,
        RolloutStepState::Done | RolloutStepState::Blocked | RolloutStepState::Unknown => true,
    }
}

fn judge(world: &World, goal: Goal<'_>, name: &str, member: &MemberFacts, open: bool) -> Judged {
    let mut judged = Judged {
        step: Step {
            cluster: name.to_owned(),
            revision: goal.revision.to_owned(),
            state: RolloutStepState::Running,
            reason: Reason::Pending,
            message: String::new(),
        },
        actions: vec![],
        raise: false,
        probe: None,
    };
    let view = match &member.sight {
        Sight::Unknown { reason, message } => {
            judged.set(RolloutStepState::Unknown, *reason, message.clone());
            return judged;
        }
        Sight::Seen(view) => view,
    };
    if serves_only(world, name, goal.revision) {
        already_serving(world, goal, member, view, &mut judged);
    } else {
        bring_up(world, goal, name, member, view, open, &mut judged);
    }
    let stuck = member
        .running_since
        .is_some_and(|since| world.now.duration_since(since) >= world.timings.progress_deadline);
    if stuck && judged.step.state == RolloutStepState::Running {
        judged.step.state = RolloutStepState::Blocked;
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

fn serves_only(world: &World, cluster: &str, target: &str) -> bool {
    let serving = traffic::serving(world, cluster);
    serving.len() == 1 && serving.iter().all(|(revision, _)| revision == target)
}

/// The target takes the region's traffic: keep its objects as wanted.
fn already_serving(
    world: &World,
    goal: Goal<'_>,
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
    let Some(version) = store_version(world, member) else {
        return;
    };
    let (artifact, actions) = replication::artifact(world, goal, &member.store);
    judged.actions.extend(actions);
    let (image, actions) = images::image(world, goal.record, &judged.step.cluster, member);
    judged.actions.extend(actions);
    let replicas = world.deployment.spec.replicas;
    let wanted = wanted_hash(member, goal.revision, replicas, version);
    let have = view.revisions.get(goal.revision);
    let differs = have.is_none_or(|have| have.input_hash.as_ref() != Some(&wanted));
    let whole = matches!((artifact, image), (Artifact::Verified, Artifact::Verified));
    if differs && whole {
        judged.actions.push(Action::ApplyRevision {
            cluster: judged.step.cluster.clone(),
            revision: goal.revision.to_owned(),
            replicas,
        });
    }
}

/// Whether the present rollout has this cluster behind it: a later snapshot that only tidies
/// up takes nothing of that back while gateways take it over.
fn was_done(world: &World, goal: Goal<'_>, cluster: &str) -> bool {
    let is_done =
        |step: &RolloutStep| step.cluster == cluster && step.state == RolloutStepState::Done;
    world.rollouts.iter().any(|rollout| {
        rollout.spec.deployment_generation == world.deployment.generation
            && rollout.spec.to_revision == goal.revision
            && rollout.status.steps.iter().any(is_done)
    })
}

/// The target does not take traffic yet: artifact, objects, pods, gateway, probe.
fn bring_up(
    world: &World,
    goal: Goal<'_>,
    name: &str,
    member: &MemberFacts,
    view: &MemberView,
    open: bool,
    judged: &mut Judged,
) {
    let version = match usable_store(world, member) {
        Ok(version) => version,
        Err((reason, message)) => return judged.blocked(reason, message),
    };
    let (artifact, actions) = replication::artifact(world, goal, &member.store);
    judged.actions.extend(actions);
    let (image, actions) = images::image(world, goal.record, name, member);
    judged.actions.extend(actions);
    if !open {
        // Bytes may travel ahead of their wave; pods and traffic may not.
        let message = "an earlier wave is not finished";
        return judged.set(RolloutStepState::Waiting, Reason::WaitingForWave, message);
    }
    for needed in [artifact, image] {
        match needed {
            Artifact::Verified => {}
            Artifact::Coming(reason, message) => return judged.running(reason, message),
            Artifact::Stopped(reason, message) => return judged.blocked(reason, message),
        }
    }
    let replicas = world.deployment.spec.replicas;
    let wanted = wanted_hash(member, goal.revision, replicas, version);
    let have = view.revisions.get(goal.revision);
    let have = have.filter(|have| have.input_hash.as_ref() == Some(&wanted));
    let Some(have) = have else {
        let starts = !view.revisions.contains_key(goal.revision);
        if let Some(message) = staging::waits(world, goal, name, member, view).filter(|_| starts) {
            return judged.running(Reason::Staging, message);
        }
        judged.actions.push(Action::ApplyRevision {
            cluster: name.to_owned(),
            revision: goal.revision.to_owned(),
            replicas,
        });
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
    goal: Goal<'_>,
    name: &str,
    member: &MemberFacts,
    view: &MemberView,
    judged: &mut Judged,
) {
    let Some(address) = &member.gateway else {
        let message = "the region's gateway has no address";
        return judged.blocked(Reason::GatewayNotFound, message);
    };
    let listed = view.snapshot.as_ref().is_some_and(|snapshot| {
        let mut revisions = snapshot.spec.revisions.iter();
        revisions.any(|route| route.revision == goal.revision)
    });
    if !listed || !view.applied() {
        let message = view.refusal().unwrap_or_else(|| {
            "the gateway has not taken the snapshot that lists the revision yet".to_owned()
        });
        return judged.running(Reason::GatewayBehind, message);
    }
    judged.probe = Some(ProbeWanted {
        cluster: name.to_owned(),
        address: address.clone(),
        model: goal.record.model.clone(),
        version: goal.record.version.clone(),
        revision: goal.revision.to_owned(),
    });
    match member
        .probe
        .as_ref()
        .filter(|p| p.revision == goal.revision)
    {
        None => judged.running(Reason::Pending, "the revision was not probed yet"),
        Some(probe) if probe.ok => {
            judged.raise = true;
            judged.running(Reason::RollingOut, "probed well, traffic moves");
        }
        Some(probe) => judged.running(Reason::ProbeFailed, probe.message.clone()),
    }
}

fn store_version<'a>(world: &'a World, member: &MemberFacts) -> Option<&'a str> {
    usable_store(world, member).ok()
}

fn wanted_hash(member: &MemberFacts, revision: &str, replicas: i32, store: &str) -> String {
    let (registry, cache) = (member.registry.as_ref(), member.cache.as_ref());
    input_hash(revision, replicas, store, registry, cache)
}

/// The version of a member's store, or why it cannot be used.
pub(crate) fn usable_store<'a>(
    world: &'a World,
    member: &MemberFacts,
) -> Result<&'a str, (Reason, String)> {
    let name = &member.store;
    let Some(store) = world.stores.get(name) else {
        let message = format!("ArtifactStore {name:?} does not exist");
        return Err((Reason::StoreNotFound, message));
    };
    if store.provider != member.provider {
        let message = format!(
            "ArtifactStore {name:?} belongs to {}, the cluster to {}",
            store.provider, member.provider
        );
        return Err((Reason::Invalid, message));
    }
    match &store.usable {
        Ok(version) => Ok(version),
        Err(message) => Err((Reason::StoreNotFound, message.clone())),
    }
}

/// A deployment that is deleted, or wrong, is not brought anywhere.
pub(crate) fn acted_on(world: &World) -> Option<Valid> {
    validate(world).ok().filter(|_| !world.deployment.deleting)
}

/// Copies to look at for this world: those of the target, and of what a new cluster gets,
/// in every member's store and where they were pushed, and that of a revision whose
/// objects have to be put back. Sorted.
pub fn replicas_wanted(world: &World) -> Vec<ReplicaWanted> {
    let Some(valid) = acted_on(world) else {
        return vec![];
    };
    let joining = valid.base_goal().filter(|_| !valid.joining.is_empty());
    let mut wanted = Vec::new();
    for goal in [Some(valid.target_goal()), joining].into_iter().flatten() {
        let stores = world.members.values().map(|member| member.store.clone());
        let stores = stores.chain([goal.origin.to_owned()]);
        let known = stores.filter(|store| world.stores.contains_key(store));
        wanted.extend(known.map(|store| ReplicaWanted {
            store,
            model: goal.record.model.clone(),
            version: goal.record.version.clone(),
            digest: goal.digest(),
        }));
    }
    for name in &valid.placed {
        let Some(member) = world.members.get(name) else {
            continue;
        };
        let Some((_, record)) = kept_revision(world, &valid, name, member) else {
            continue;
        };
        wanted.push(ReplicaWanted {
            store: member.store.clone(),
            model: record.model.clone(),
            version: record.version.clone(),
            digest: record.manifest_digest,
        });
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Probes to take for this world.
pub fn probes_wanted(world: &World) -> Vec<ProbeWanted> {
    let Some(valid) = acted_on(world) else {
        return vec![];
    };
    let judged = judge_all(world, &valid).into_iter();
    let joining = judge_joining(world, &valid);
    let judged = judged.chain(joining);
    judged.filter_map(|judged| judged.probe).collect()
}

/// Puts back objects of a revision that serves and is not the target here: somebody
/// deleted them, the store's credentials are new, or pods are to pull from elsewhere.
pub(crate) fn keep(world: &World, valid: &Valid, name: &str, member: &MemberFacts) -> Vec<Action> {
    let Some((revision, record)) = kept_revision(world, valid, name, member) else {
        return vec![];
    };
    let copy = (member.store.clone(), record.manifest_digest);
    let copy = world.replicas.get(&copy);
    let verified = copy.is_some_and(|c| c.state == mcdeploy_api::ReplicaState::Verified);
    let (image, mut actions) = images::image(world, record, name, member);
    if verified && matches!(image, Artifact::Verified) {
        actions.push(Action::ApplyRevision {
            cluster: name.to_owned(),
            replicas: kept_replicas(world, name, member, &revision),
            revision,
        });
    }
    actions
}

pub(crate) fn kept_revision<'a>(
    world: &'a World,
    valid: &Valid,
    name: &str,
    member: &MemberFacts,
) -> Option<(String, &'a crate::RevisionRecord)> {
    let view = member.seen()?;
    let version = store_version(world, member)?;
    let (revision, _) = traffic::serving(world, name).into_iter().next()?;
    if revision == valid.target && valid.in_scope(name) {
        return None;
    }
    let record = world.records.get(&revision)?;
    let replicas = kept_replicas(world, name, member, &revision);
    let wanted = wanted_hash(member, &revision, replicas, version);
    let have = view.revisions.get(&revision);
    let same = have.is_some_and(|have| have.input_hash.as_ref() == Some(&wanted));
    (!same).then_some((revision, record))
}

/// A cluster that keeps its revision keeps its number of pods.
fn kept_replicas(world: &World, name: &str, member: &MemberFacts, revision: &str) -> i32 {
    let have = member.seen().and_then(|view| view.revisions.get(revision));
    let rows = &world.deployment.status.clusters;
    let row = rows.iter().find(|row| row.cluster == name);
    let known = have.map(|have| have.replicas).filter(|n| *n > 0);
    known
        .or(row.map(|row| row.desired_replicas).filter(|n| *n > 0))
        .unwrap_or(world.deployment.spec.replicas)
}
