//! A world that carries out plans: clusters, stores and gateways that do at once, or a
//! moment later, what real ones do, and that check the invariants while they do it.

mod invariants;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use mcdeploy_api::{
    AppliedEpoch, BackendRef, ClusterSelection, ClusterWeight, Container, Epoch, ImageRegistry,
    ModelDeploymentSpec, ModelDeploymentStatus, ModelVersionSpec, NodeCache, ObjectName,
    PinnedImage, Provider, Reason, ReplicaState, Sha256Digest, StagedState, TrafficPolicySpec,
    TrafficPolicyStatus,
};
use mcdeploy_plan::{
    Action, ApplyRevision, Ask, ClusterName, CopyAsk, DeploymentFacts, ImageCopyFacts, ImageState,
    MemberFacts, MemberView, Memory, ObjectFacts, Plan, PolicyFacts, ProbeFacts, Problem,
    ReplicaFacts, RevisionId, RolloutFacts, Sight, SnapshotFacts, Stage, StoreFacts, StoreName,
    Timings, TransferFacts, TransferState, World, asks, last_complete_revision, plan, status,
};

/// What can be wrong in one cluster.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct Faults {
    pub(crate) lost: bool,
    pub(crate) pods: Option<Reason>,
    pub(crate) probe: bool,
    pub(crate) gateway_deaf: bool,
    pub(crate) no_gateway: bool,
    pub(crate) store_silent: bool,
    pub(crate) transfers: bool,
    /// Its store takes no copy.
    pub(crate) store_refuses: bool,
    /// Its registry does not answer.
    pub(crate) registry_silent: bool,
    /// Deletes are refused.
    pub(crate) keeps: bool,
    /// Nothing comes into the caches of its nodes.
    pub(crate) nodes_slow: bool,
    pub(crate) nodes_fail: bool,
}

pub(crate) struct Sim {
    pub(crate) world: World,
    pub(crate) memory: Memory,
    pub(crate) faults: BTreeMap<ClusterName, Faults>,
    /// What is in each cluster, seen or not.
    pub(crate) truth: BTreeMap<ClusterName, MemberView>,
    /// Copies by (store, version).
    pub(crate) copies: BTreeMap<(StoreName, String), ReplicaState>,
    /// Images in registries. The one that the deployment names is at `r.test`.
    pub(crate) images: BTreeSet<PinnedImage>,
    pub(crate) versions: BTreeMap<String, ModelVersionSpec>,
    pub(crate) log: Vec<String>,
    /// The hub's kinds are older than the operator: what they do not know is pruned.
    pub(crate) old_kinds: bool,
    /// The deployment is gone.
    pub(crate) released: bool,
    /// Names of revisions, for readable logs.
    names: BTreeMap<RevisionId, String>,
    resource_version: i64,
    published: BTreeMap<ClusterName, Epoch>,
}

pub(crate) fn version(version: &str, store: &str) -> ModelVersionSpec {
    ModelVersionSpec {
        model: "digits".into(),
        version: version.into(),
        manifest_digest: Sha256Digest::of(version),
        size_bytes: 1000,
        store_ref: ObjectName::new(store),
    }
}

/// The image that every deployment names.
pub(crate) fn image() -> PinnedImage {
    PinnedImage {
        registry: "r.test".into(),
        name: "mcserve".into(),
        digest: Sha256Digest::of("mcserve"),
    }
}

/// A member without anything in it.
fn member(name: &str, provider: Provider) -> MemberFacts {
    MemberFacts {
        provider,
        store: provider.to_string().into(),
        registry: None,
        cache: None,
        gateway: Some(format!("{name}.gateway:80")),
        sight: Sight::Seen(Box::default()),
        applied_since: None,
        running_since: None,
        staging_since: None,
        refused: None,
        probe: None,
    }
}

/// How a Job ends, and the copies that it made by store and version.
fn end_transfer(
    job: &TransferFacts,
    refusing: &BTreeSet<StoreName>,
    at: Option<Timestamp>,
) -> (TransferState, Vec<(StoreName, String)>) {
    let version = job.name.rsplit('-').next().unwrap_or_default();
    let (lost, taken): (Vec<_>, Vec<_>) = job.targets.iter().partition(|s| refusing.contains(*s));
    let taken = taken
        .into_iter()
        .map(|store| (store.clone(), version.to_owned()));
    let words = lost.iter().map(|store| format!("{store}: StoreDenied: no"));
    let message = words.collect::<Vec<_>>().join("\n");
    let state = if lost.is_empty() {
        TransferState::Succeeded { at }
    } else {
        TransferState::Failed { at, message }
    };
    (state, taken.collect())
}

pub(crate) fn selection(words: &[String]) -> ClusterSelection {
    let providers = words.iter().filter_map(|word| word.parse().ok()).collect();
    let clusters = words.iter().filter(|w| w.parse::<Provider>().is_err());
    ClusterSelection {
        providers,
        clusters: clusters.cloned().collect(),
    }
}

impl Sim {
    /// Members are named; a name begins with its provider.
    pub(crate) fn new(members: &[&str]) -> Self {
        let mut world = World {
            now: Timestamp::from_second(1_000_000).unwrap(),
            term: 1,
            timings: Timings::default(),
            deployment: DeploymentFacts {
                name: "digits".into(),
                namespace: "default".into(),
                generation: 0,
                spec: ModelDeploymentSpec {
                    model_version_ref: ObjectName::new("digits-v0"),
                    container: Container {
                        image: image().to_string(),
                        args: vec![],
                        env: vec![],
                        resources: None,
                    },
                    replicas: 1,
                    placement: ClusterSelection::default(),
                    scope: None,
                },
                status: ModelDeploymentStatus::default(),
                requested_by: None,
                held: false,
                deleting: false,
                abandoned: BTreeSet::new(),
            },
            model_version: None,
            records: BTreeMap::new(),
            rollouts: vec![],
            policy: None,
            members: BTreeMap::new(),
            stores: BTreeMap::new(),
            replicas: BTreeMap::new(),
            images: BTreeMap::new(),
            upkeep: BTreeMap::new(),
            refused_copies: BTreeMap::new(),
        };
        for name in members {
            let provider: Provider = name.split('-').next().unwrap().parse().unwrap();
            let store = provider.to_string();
            let usable = Ok("key1".to_owned());
            let facts = StoreFacts { provider, usable };
            world.stores.insert(store.into(), facts);
            let facts = member(name, provider);
            world.members.insert((*name).into(), facts);
        }
        let names = || members.iter().map(|name| ClusterName::from(*name));
        Self {
            world,
            memory: Memory::default(),
            faults: names().map(|name| (name, Faults::default())).collect(),
            truth: names().map(|name| (name, MemberView::default())).collect(),
            copies: BTreeMap::new(),
            images: BTreeSet::from([image()]),
            versions: BTreeMap::new(),
            log: vec![],
            old_kinds: false,
            released: false,
            names: BTreeMap::new(),
            resource_version: 1,
            published: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, name: &str, store: &str) {
        self.versions.insert(name.to_owned(), version(name, store));
        let key = (store.into(), name.to_owned());
        self.copies.insert(key, ReplicaState::Verified);
    }

    /// A user gives a cluster a registry of its own.
    pub(crate) fn set_registry(&mut self, cluster: &str) {
        let member = self.world.members.get_mut(cluster).unwrap();
        member.registry = Some(ImageRegistry {
            prefix: format!("{cluster}.test"),
            plain_http: false,
            secret_ref: None,
        });
    }

    /// A user gives the nodes of a cluster, of which there are two, a cache.
    pub(crate) fn set_cache(&mut self, cluster: &str) {
        let member = self.world.members.get_mut(cluster).unwrap();
        member.cache = Some(NodeCache::of(1 << 30));
        let nodes = ["n1", "n2"].map(|node| (node.to_owned(), BTreeMap::new()));
        self.truth.get_mut(cluster).unwrap().staging.nodes = nodes.into();
    }

    /// What a registry answers, which is beside the cluster that it is named after.
    fn image_state(&self, image: &PinnedImage) -> ImageState {
        let beside = image.registry.trim_end_matches(".test");
        let faults = self.faults.get(beside);
        if faults.is_some_and(|faults| faults.registry_silent || faults.lost) {
            ImageState::Unknown {
                reason: Reason::RegistryUnreachable,
                message: format!("{} did not answer", image.location()),
            }
        } else if self.images.contains(image) {
            ImageState::Whole
        } else {
            ImageState::Missing
        }
    }

    /// A user asks for a version, with a placement if there is none, and a scope.
    pub(crate) fn rollout(&mut self, version: &str, clouds: Option<&[String]>) {
        let deployment = &mut self.world.deployment;
        deployment.generation += 1;
        deployment.requested_by = Some(format!("user{}", deployment.generation));
        deployment.spec.model_version_ref = ObjectName::new(format!("digits-{version}"));
        let placement = &mut deployment.spec.placement;
        if *placement == ClusterSelection::default() {
            let all: Vec<_> = self.truth.keys().map(ToString::to_string).collect();
            *placement = clouds.map_or_else(|| selection(&all), selection);
        }
        deployment.spec.scope = clouds.map(selection);
    }

    /// A user changes the placement; without `keep_scope` the whole of it is in scope.
    pub(crate) fn place(&mut self, clouds: &[String], keep_scope: bool) {
        let deployment = &mut self.world.deployment;
        deployment.generation += 1;
        deployment.spec.placement = selection(clouds);
        if !keep_scope {
            deployment.spec.scope = None;
        }
    }

    fn is_placed(&self, cluster: &str) -> bool {
        let world = &self.world;
        let placed = mcdeploy_plan::placed(&world.deployment.spec, &world.members);
        placed.iter().any(|name| name == cluster)
    }

    pub(crate) fn weights(&mut self, weights: &[(String, i32)]) {
        if let Some(policy) = &mut self.world.policy {
            policy.generation += 1;
            let entry = |(cluster, weight): &(String, i32)| ClusterWeight {
                cluster: cluster.clone(),
                weight: *weight,
            };
            policy.spec.weights = weights.iter().map(entry).collect();
        }
    }

    /// A new leader, who remembers nothing.
    pub(crate) fn restart(&mut self) {
        self.memory = Memory::default();
        self.world.term += 1;
    }

    /// Observe, plan, execute, status, then let the world go on by a second. Returns
    /// the plan.
    pub(crate) fn pass(&mut self) -> Plan {
        self.pass_until(usize::MAX)
    }

    /// The same, with a crash after `effects` effects: what follows is not done, and no
    /// status is written.
    pub(crate) fn pass_until(&mut self, effects: usize) -> Plan {
        self.observe();
        let plan = plan(&self.world);
        let before = self.world.clone();
        for action in plan.actions.iter().take(effects) {
            self.execute(&before, action);
        }
        if effects >= plan.actions.len() {
            self.memory.note(&plan, self.world.now);
            self.write_status(&before, &plan);
        }
        self.tick();
        plan
    }

    /// Passes until nothing changes, at most `limit`.
    pub(crate) fn settle(&mut self, limit: usize) -> Plan {
        for _ in 0..limit {
            let plan = self.pass();
            if self.released {
                return plan;
            }
            if !plan.is_moving() && plan.resting.is_empty() {
                // What is seen now may need one more look at what was just written.
                let again = self.pass();
                if !again.is_moving() {
                    return again;
                }
            }
        }
        self.observe();
        plan(&self.world)
    }

    fn observe(&mut self) {
        let name = self.world.deployment.spec.model_version_ref.name.clone();
        let version = name.strip_prefix("digits-").unwrap_or_default();
        self.world.model_version = self.versions.get(version).cloned();
        let target = self.world.model_version.as_ref().map(|v| v.manifest_digest);
        let base = last_complete_revision(&self.world.rollouts);
        let base = base.and_then(|id| self.world.records.get(id));
        let wanted = [target, base.map(|record| record.manifest_digest)];
        for (name, member) in &mut self.world.members {
            let faults = &self.faults[name];
            member.gateway = (!faults.no_gateway).then(|| format!("{name}.gateway:80"));
            member.probe = None;
            member.sight = if faults.lost {
                Sight::Unknown {
                    reason: Reason::Unreachable,
                    message: "no answer in 5 s".into(),
                }
            } else {
                let mut view = self.truth[name].clone();
                let is_wanted = |job: &TransferFacts| wanted.contains(&Some(job.digest));
                view.transfers.retain(is_wanted);
                Sight::Seen(Box::new(view))
            };
        }
        self.memory.recall(&mut self.world);
        self.world.replicas.clear();
        self.world.images.clear();
        for _ in 0..2 {
            for ask in asks(&self.world) {
                self.answer(ask);
            }
        }
        assert_eq!(asks(&self.world), [], "copies and images, then probes");
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Copy(ask) => {
                let facts = self.replica(&ask);
                let key = (ask.store, ask.digest);
                self.world.replicas.insert(key, facts);
            }
            Ask::Image(ask) => {
                let state = self.image_state(&ask.image);
                self.world.images.insert(ask.image, state);
            }
            Ask::Probe(ask) => {
                let ok = !self.faults[&ask.cluster].probe;
                let message = if ok { "ok" } else { "answered 500" };
                let member = self.world.members.get_mut(&ask.cluster).unwrap();
                member.probe = Some(ProbeFacts {
                    revision: ask.revision,
                    ok,
                    message: message.into(),
                });
            }
        }
    }

    fn replica(&self, ask: &CopyAsk) -> ReplicaFacts {
        let silent = self.faults.iter().any(|(name, faults)| {
            faults.store_silent && self.world.members[name].store == ask.store
        });
        let key = (ask.store.clone(), ask.version.clone());
        let state = self.copies.get(&key).copied();
        let state = if silent {
            ReplicaState::Unknown
        } else {
            state.unwrap_or(ReplicaState::Missing)
        };
        let verified = state == ReplicaState::Verified;
        ReplicaFacts {
            state,
            verified_bytes: if verified { 1000 } else { 0 },
            reason: Reason::StoreUnreachable,
            message: format!("{state:?}"),
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm an action, one assertion an invariant"
    )]
    fn execute(&mut self, before: &World, action: &Action) {
        let line = self.describe(action);
        self.log.push(line);
        self.check(before, action);
        if let Some(key) = action.upkeep() {
            let keeps = |cluster: &ClusterName| self.faults[cluster].keeps;
            if action.cluster().is_some_and(keeps) {
                let why = "the webhook says no".to_owned();
                self.memory.upkeep_refused(&key, why, self.world.now);
                self.log.push("  refused".to_owned());
                return;
            }
            self.memory.upkeep_done(&key);
        }
        match action {
            Action::HoldDeployment => self.world.deployment.held = true,
            Action::ReleaseDeployment => self.released = true,
            Action::RecordRevision { revision, record } => {
                self.names.insert(revision.clone(), record.version.clone());
                self.world.records.insert(revision.clone(), record.clone());
            }
            Action::CreateRollout { name, spec } => self.world.rollouts.push(RolloutFacts {
                name: name.clone(),
                spec: spec.clone(),
                status: mcdeploy_api::ModelRolloutStatus::default(),
            }),
            Action::CreatePolicy { name } => {
                self.world.policy = Some(PolicyFacts {
                    name: name.clone(),
                    generation: 1,
                    resource_version: self.resource_version.to_string(),
                    spec: TrafficPolicySpec {
                        deployment_ref: BackendRef { name: name.clone() },
                        weights: vec![],
                        repeatable: true,
                    },
                    status: TrafficPolicyStatus::default(),
                });
            }
            Action::DeleteRollout { name } => {
                self.world.rollouts.retain(|rollout| rollout.name != *name);
            }
            Action::DeleteRecord { revision } => {
                self.world.records.remove(revision);
            }
            Action::StartTransfer(start) => {
                let view = self.truth.get_mut(&start.cluster).unwrap();
                view.transfers.push(TransferFacts {
                    name: format!("to-{}-{}", start.targets.join("+"), start.record.version),
                    targets: start.targets.clone(),
                    digest: start.record.manifest_digest,
                    state: TransferState::Running,
                });
            }
            Action::StartImageCopy(start) => {
                let view = self.truth.get_mut(&start.cluster).unwrap();
                view.image_copies.push(ImageCopyFacts {
                    name: format!("image-to-{}", start.target.registry),
                    target: start.target.clone(),
                    state: if self.images.contains(&start.source) {
                        TransferState::Running
                    } else {
                        TransferState::Failed {
                            at: Some(self.world.now),
                            message: "ImageMissing: not found".into(),
                        }
                    },
                });
            }
            Action::DeleteTransfer { cluster, name } => {
                let view = self.truth.get_mut(cluster).unwrap();
                view.transfers.retain(|job| job.name != *name);
                view.image_copies.retain(|job| job.name != *name);
            }
            Action::ApplyRevision(apply) => {
                let view = self.truth.get_mut(&apply.cluster).unwrap();
                let objects = view.revisions.entry(apply.revision.clone()).or_default();
                *objects = ObjectFacts {
                    input_hash: Some(apply.hash.clone()),
                    replicas: apply.replicas,
                    ..objects.clone()
                };
            }
            Action::Stage(stage) => {
                let staging = &mut self.truth.get_mut(&stage.cluster).unwrap().staging;
                let keys = stage.versions.iter().map(|version| version.key.clone());
                staging.keys = keys.collect();
                let fetched = stage.versions.iter().filter(|v| v.fetch.is_some());
                let fetched: BTreeSet<_> = fetched.map(|version| version.digest).collect();
                for node in staging.nodes.values_mut() {
                    node.retain(|digest, _| fetched.contains(digest));
                    for digest in &fetched {
                        node.entry(*digest).or_insert(StagedState::Fetching);
                    }
                }
            }
            Action::DeleteRevision { cluster, revision } => {
                let view = self.truth.get_mut(cluster).unwrap();
                view.revisions.remove(revision);
            }
            Action::DecideTraffic(decide) => {
                let policy = self.world.policy.as_mut().unwrap();
                assert_eq!(policy.resource_version, decide.resource_version);
                assert!(decide.status.epoch > policy.status.epoch, "the epoch rises");
                policy.status = decide.status.clone();
                self.resource_version += 1;
                policy.resource_version = self.resource_version.to_string();
            }
            Action::PublishSnapshot { cluster, spec } => {
                let last = self.published.insert(cluster.clone(), spec.epoch);
                let again = self.truth[cluster].snapshot.is_none() && last == Some(spec.epoch);
                assert!(
                    last < Some(spec.epoch) || again,
                    "the epoch rises in {cluster}"
                );
                let view = self.truth.get_mut(cluster).unwrap();
                let applied = view.snapshot.take().map_or(vec![], |old| old.applied);
                let spec = spec.clone();
                view.snapshot = Some(SnapshotFacts { spec, applied });
            }
            Action::DeleteSnapshot { cluster } => {
                self.truth.get_mut(cluster).unwrap().snapshot = None;
            }
        }
    }

    fn write_status(&mut self, before: &World, plan: &Plan) {
        let statuses = status(before, plan);
        self.world.deployment.status = statuses.deployment;
        for (name, status) in statuses.rollouts {
            let mut all = self.world.rollouts.iter_mut();
            if let Some(rollout) = all.find(|rollout| rollout.name == name) {
                rollout.status = status;
                for step in &mut rollout.status.steps {
                    step.held_since.take_if(|_| self.old_kinds);
                }
            }
        }
        if let (Some(policy), Some(status)) = (&mut self.world.policy, statuses.policy) {
            policy.status = status;
        }
    }

    /// Pods start, gateways read, transfers end, time passes.
    fn tick(&mut self) {
        self.world.now += SignedDuration::from_secs(1);
        let mut arrived = BTreeSet::new();
        let refusing = self.faults.iter().filter(|(_, f)| f.store_refuses);
        let refusing = refusing.map(|(name, _)| self.world.members[name].store.clone());
        let refusing: BTreeSet<StoreName> = refusing.collect();
        for (name, view) in &mut self.truth {
            let faults = &self.faults[name];
            for objects in view.revisions.values_mut() {
                // Pods that run go on; a fault keeps new ones from starting.
                objects.problem = faults.pods.filter(|_| objects.ready == 0).map(|reason| {
                    let message = format!("pod digits: {reason}");
                    Problem { reason, message }
                });
                if objects.problem.is_none() {
                    objects.ready = objects.replicas;
                }
            }
            if let Some(snapshot) = view.snapshot.as_mut().filter(|_| !faults.gateway_deaf) {
                let entry = AppliedEpoch {
                    gateway: format!("gateway-{name}"),
                    epoch: snapshot.spec.epoch,
                    hash: snapshot.spec.hash.clone(),
                    features: vec![],
                    refused: None,
                    not_kept: None,
                };
                snapshot.applied = vec![entry];
            }
            let nodes = view.staging.nodes.values_mut();
            for state in nodes.flat_map(BTreeMap::values_mut) {
                if *state == StagedState::Fetching && !faults.nodes_slow {
                    *state = if faults.nodes_fail {
                        StagedState::Failed
                    } else {
                        StagedState::Staged
                    };
                }
            }
            for job in &mut view.image_copies {
                if job.state == TransferState::Running {
                    let at = Some(self.world.now);
                    job.state = TransferState::Succeeded { at };
                    self.images.insert(job.target.clone());
                }
            }
            for job in &mut view.transfers {
                if job.state != TransferState::Running {
                    continue;
                }
                let at = Some(self.world.now);
                job.state = if faults.transfers {
                    let message = "connection reset".into();
                    TransferState::Failed { at, message }
                } else {
                    let (state, came) = end_transfer(job, &refusing, at);
                    arrived.extend(came);
                    state
                };
            }
        }
        for (store, version) in arrived {
            let copy = self.copies.entry((store, version));
            let copy = copy.or_insert(ReplicaState::Missing);
            if *copy == ReplicaState::Missing {
                *copy = ReplicaState::Verified;
            }
        }
    }

    fn name(&self, revision: &str) -> String {
        self.names.get(revision).cloned().unwrap_or("?".into())
    }

    fn describe_stage(&self, stage: &Stage) -> String {
        let named = stage.versions.iter().map(|staged| {
            let mut versions = self.versions.values();
            let version = versions.find(|v| v.manifest_digest == staged.digest);
            let what = match &staged.fetch {
                Some(_) => "fetch",
                None => "keep",
            };
            format!("{what} {}", version.unwrap().version)
        });
        let mut named: Vec<_> = named.collect();
        named.sort();
        format!("{}: nodes [{}]", stage.cluster, named.join(", "))
    }

    fn describe(&self, action: &Action) -> String {
        match action {
            Action::HoldDeployment => "hub: hold".to_owned(),
            Action::ReleaseDeployment => "hub: let go".to_owned(),
            Action::DeleteSnapshot { cluster } => format!("{cluster}: remove snapshot"),
            Action::RecordRevision { record, .. } => format!("hub: record {}", record.version),
            Action::CreateRollout { name, spec } => {
                let waves = spec.waves.iter().map(|wave| wave.clusters.join("+"));
                let waves = waves.collect::<Vec<_>>().join(", ");
                format!("hub: rollout {name} to {} in [{waves}]", spec.to_version)
            }
            Action::CreatePolicy { name } => format!("hub: policy {name}"),
            Action::DeleteRollout { name } => format!("hub: forget rollout {name}"),
            Action::DeleteRecord { revision } => format!("hub: forget {}", self.name(revision)),
            Action::StartTransfer(start) => format!(
                "{}: transfer {} from {} to {}",
                start.cluster,
                start.record.version,
                start.source,
                start.targets.join("+")
            ),
            Action::StartImageCopy(start) => format!(
                "{}: copy the image from {} to {}",
                start.cluster, start.source.registry, start.target.registry
            ),
            Action::DeleteTransfer { cluster, name } => {
                format!("{cluster}: remove transfer {name}")
            }
            Action::ApplyRevision(ApplyRevision {
                cluster,
                revision,
                replicas,
                ..
            }) => format!("{cluster}: apply {} x{replicas}", self.name(revision)),
            Action::Stage(stage) => self.describe_stage(stage),
            Action::DeleteRevision { cluster, revision } => {
                format!("{cluster}: remove {}", self.name(revision))
            }
            Action::DecideTraffic(decide) => {
                let weights = decide.status.weights.iter();
                let weights = weights.map(|w| format!("{}={}", w.cluster, w.weight));
                format!(
                    "hub: decide {} {}",
                    decide.status.epoch.unwrap(),
                    weights.collect::<Vec<_>>().join(" ")
                )
            }
            Action::PublishSnapshot { cluster, spec } => {
                let local = spec.revisions.iter();
                let local = local.map(|r| format!("{}={}", r.version, r.weight));
                let regions = spec.regions.iter().map(|r| {
                    let serves = r.revisions.iter().map(|id| self.name(id));
                    let serves = serves.collect::<Vec<_>>().join("+");
                    format!("{}({serves}):{}", r.cluster, r.weight)
                });
                let weight = spec.local_weight.map(|w| format!(" local {w}"));
                format!(
                    "{cluster}: publish {} [{}] others [{}]{}",
                    spec.epoch,
                    local.collect::<Vec<_>>().join(" "),
                    regions.collect::<Vec<_>>().join(" "),
                    weight.unwrap_or_default()
                )
            }
        }
    }

    /// Rows, conditions and rollouts, for people.
    pub(crate) fn show(&self) -> Vec<String> {
        let status = &self.world.deployment.status;
        let mut lines = vec![format!(
            "serving {}",
            status.serving_clusters.as_deref().unwrap_or("-")
        )];
        for row in &status.clusters {
            lines.push(format!(
                "  {} reachable={} {} next={} {}/{} weight={} bytes={} {}: {}",
                row.cluster,
                row.reachable,
                row.version.as_deref().unwrap_or("-"),
                row.next_revision
                    .as_ref()
                    .map_or("-".into(), |id| self.name(id)),
                row.ready_replicas,
                row.desired_replicas,
                row.weight,
                row.artifact_bytes,
                row.reason,
                row.message
            ));
        }
        let list = |lines: &mut Vec<String>, conditions: &[mcdeploy_api::Condition]| {
            for c in conditions {
                lines.push(format!(
                    "  {}={} {}: {}",
                    c.type_, c.status, c.reason, c.message
                ));
            }
        };
        list(&mut lines, &status.conditions);
        for rollout in &self.world.rollouts {
            lines.push(rollout.name.clone());
            list(&mut lines, &rollout.status.conditions);
        }
        if let Some(policy) = &self.world.policy {
            lines.push(format!("policy {}", policy.name));
            list(&mut lines, &policy.status.conditions);
        }
        lines
    }
}
