//! Carries out a plan step by step, fenced by epoch.
//!
//! Order: what the hub has to remember, then objects in each cluster, then the decision
//! about traffic by compare-and-swap, then the snapshots that carry it. Clusters go side
//! by side, and within one cluster in the plan's order; the first failure in a cluster
//! ends that cluster's part and no other's. Its snapshot is told all the same, unless the
//! cluster gave no answer. Nothing is repeated here: the caller
//! looks again and plans again, which makes every effect safe to lose.
//!
//! **Upkeep**, the removal of something old, ends nothing when it is refused: nothing waits
//! for it ([`Action::upkeep`]). A **transfer** runs in a cluster for another one: where it
//! is refused, only the cluster that lacks the copy waits.

mod effects;
mod error;
mod hub;
mod images;
mod known_store;
mod revision_store;
mod staging;

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use mcdeploy_api::{ModelVersionSpec, Sha256Digest};
use mcdeploy_cluster::ClusterClient;
use mcdeploy_plan::{
    Action, ApplyRevision, ClusterName, Plan, RevisionId, StartTransfer, StoreName,
};

pub use error::ExecError;
pub use images::Registries;
pub use known_store::KnownStore;
pub use revision_store::{Recorded, RevisionStore};

/// Annotation on every object of a revision: hash of what it was rendered from, see
/// [`mcdeploy_plan::input_hash`].
pub const ANNOTATION_INPUT_HASH: &str = "mcdeploy.dev/input-hash";

/// What a plan is carried out with.
#[derive(Debug)]
pub struct Executor<'a> {
    /// The hub. Its fence keeps a process that no longer leads from writing.
    pub hub: &'a ClusterClient,
    /// One entry per member cluster that can be seen.
    pub members: &'a BTreeMap<ClusterName, ClusterClient>,
    /// Name of the deployment.
    pub deployment: &'a str,
    /// Its namespace, in the hub and in members.
    pub namespace: &'a str,
    /// The deployment as owner of what the hub keeps for it.
    pub owner: OwnerReference,
    /// The version that the deployment names.
    pub version: Option<&'a ModelVersionSpec>,
    /// What recorded revisions were rendered to.
    pub revision_store: &'a RevisionStore,
    /// Usable stores by name, each as it was when the plan was made.
    pub stores: &'a BTreeMap<StoreName, KnownStore>,
    /// How to use registries.
    pub registries: &'a Registries,
    /// Image of `mcdeployd`, by digest, for new pods and Jobs.
    pub daemon_image: &'a str,
}

/// What became of a plan.
#[must_use]
#[derive(Debug, Default)]
pub struct Outcome {
    /// Effects that were carried out.
    pub done: Vec<Done>,
    /// Effects that failed; those behind them in the same place were left out.
    pub failed: Vec<Failed>,
    /// Upkeep that was refused; what was behind it went on.
    pub refused: Vec<Failed>,
}

/// One effect that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// [`Action::label`].
    pub action: &'static str,
    /// Member cluster; `None`: the hub.
    pub cluster: Option<ClusterName>,
    /// Revision that it is about, if it is about one.
    pub revision: Option<RevisionId>,
    /// [`Action::upkeep`].
    pub upkeep: Option<String>,
    /// Store and manifest digest of each copy that a transfer is to make.
    pub copies: Vec<(StoreName, Sha256Digest)>,
}

/// One effect that failed.
#[derive(Debug)]
pub struct Failed {
    /// Which.
    pub effect: Done,
    /// Why.
    pub error: ExecError,
}

impl Failed {
    /// Whether what the plan has for the same cluster afterwards is left out.
    fn ends_the_cluster(&self) -> bool {
        self.effect.copies.is_empty() || !self.error.was_answered()
    }
}

impl Executor<'_> {
    /// Carries out a plan. Each effect is bounded by the deadlines of the clients.
    ///
    /// Cancel-safe: dropping the future leaves a prefix of the effects done, one of them
    /// perhaps in doubt.
    pub async fn execute(&self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        let mut per_cluster: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
        let mut snapshots: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
        let mut decision = None;
        for action in &plan.actions {
            match action {
                Action::HoldDeployment
                | Action::ReleaseDeployment
                | Action::RecordRevision { .. }
                | Action::CreateRollout { .. }
                | Action::CreatePolicy { .. }
                | Action::DeleteRollout { .. }
                | Action::DeleteRecord { .. } => {
                    if !outcome.add(action, self.carry_out(action).await) {
                        return outcome;
                    }
                }
                Action::StartTransfer(_)
                | Action::StartImageCopy(_)
                | Action::DeleteTransfer { .. }
                | Action::Stage(_)
                | Action::ApplyRevision(_)
                | Action::DeleteRevision { .. }
                | Action::DeleteSnapshot { .. } => {
                    let cluster = action.cluster().map_or("", ClusterName::as_str);
                    per_cluster.entry(cluster).or_default().push(action);
                }
                Action::DecideTraffic(_) => decision = Some(action),
                Action::PublishSnapshot { cluster, .. } => {
                    snapshots.entry(cluster).or_default().push(action);
                }
            }
        }
        outcome.extend(self.in_clusters(per_cluster).await);
        if let Some(decision) = decision {
            let decided = self.carry_out(decision).await;
            if !outcome.add(decision, decided) {
                return outcome;
            }
        }
        // What a cluster refuses says nothing about its gateways: traffic does not wait for it.
        let silent = |cluster: &str| {
            let mut failed = outcome.failed.iter();
            failed.any(|f| f.effect.cluster.as_deref() == Some(cluster) && !f.error.was_answered())
        };
        snapshots.retain(|cluster, _| !silent(cluster));
        outcome.extend(self.in_clusters(snapshots).await);
        outcome
    }

    async fn in_clusters(&self, work: BTreeMap<&str, Vec<&Action>>) -> Vec<Outcome> {
        let one = async |actions: Vec<&Action>| {
            let mut outcome = Outcome::default();
            for action in actions {
                if !outcome.add(action, self.carry_out(action).await) {
                    break;
                }
            }
            outcome
        };
        join_all(work.into_values().map(one)).await
    }

    async fn carry_out(&self, action: &Action) -> Result<(), ExecError> {
        tracing::debug!(
            action = action.label(),
            cluster.name = action.cluster().map(ClusterName::as_str),
            "executing"
        );
        match action {
            Action::HoldDeployment => self.hold_deployment().await,
            Action::ReleaseDeployment => self.release_deployment().await,
            Action::RecordRevision { revision, record } => {
                self.record_revision(revision, record).await
            }
            Action::CreateRollout { name, spec } => self.create_rollout(name, spec).await,
            Action::CreatePolicy { name } => self.create_policy(name).await,
            Action::DeleteRollout { name } => self.delete_rollout(name).await,
            Action::DeleteRecord { revision } => self.delete_record(revision).await,
            Action::StartTransfer(start) => self.start_transfer(start).await,
            Action::StartImageCopy(start) => self.start_image_copy(start).await,
            Action::DeleteTransfer { cluster, name } => self.delete_transfer(cluster, name).await,
            Action::Stage(stage) => self.stage(stage).await,
            Action::ApplyRevision(apply) => self.apply_revision(apply).await,
            Action::DeleteRevision { cluster, revision } => {
                self.delete_revision(cluster, revision).await
            }
            Action::DecideTraffic(decide) => self.decide_traffic(decide).await,
            Action::PublishSnapshot { cluster, spec } => self.publish(cluster, spec).await,
            Action::DeleteSnapshot { cluster } => self.delete_snapshot(cluster).await,
        }
    }
}

fn copies_of(action: &Action) -> Vec<(StoreName, Sha256Digest)> {
    let Action::StartTransfer(StartTransfer {
        targets, record, ..
    }) = action
    else {
        return vec![];
    };
    let digest = record.manifest_digest;
    targets
        .iter()
        .map(|store| (store.clone(), digest))
        .collect()
}

impl Outcome {
    /// Whether what is behind the effect may go on.
    fn add(&mut self, action: &Action, result: Result<(), ExecError>) -> bool {
        let revision = match action {
            Action::ApplyRevision(ApplyRevision { revision, .. })
            | Action::DeleteRevision { revision, .. }
            | Action::DeleteRecord { revision }
            | Action::RecordRevision { revision, .. } => Some(revision.clone()),
            Action::HoldDeployment
            | Action::ReleaseDeployment
            | Action::CreateRollout { .. }
            | Action::CreatePolicy { .. }
            | Action::DeleteRollout { .. }
            | Action::StartTransfer(_)
            | Action::StartImageCopy(_)
            | Action::DeleteTransfer { .. }
            | Action::Stage(_)
            | Action::DecideTraffic(_)
            | Action::PublishSnapshot { .. }
            | Action::DeleteSnapshot { .. } => None,
        };
        let effect = Done {
            action: action.label(),
            cluster: action.cluster().cloned(),
            revision,
            upkeep: action.upkeep(),
            copies: copies_of(action),
        };
        match result {
            Ok(()) => {
                self.done.push(effect);
                true
            }
            Err(error) if effect.upkeep.is_some() && error.was_answered() => {
                self.refused.push(Failed { effect, error });
                true
            }
            Err(error) => {
                let failed = Failed { effect, error };
                let goes_on = !failed.ends_the_cluster();
                self.failed.push(failed);
                goes_on
            }
        }
    }

    fn extend(&mut self, outcomes: Vec<Self>) {
        for Self {
            done,
            failed,
            refused,
        } in outcomes
        {
            self.done.extend(done);
            self.failed.extend(failed);
            self.refused.extend(refused);
        }
    }
}
