//! `ModelRollout`: the record of one change of a deployment.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, ObjectName};

/// One change of a `ModelDeployment`, made by the operator and never edited. Named
/// `<deployment>-<generation>`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "ModelRollout",
    plural = "modelrollouts",
    namespaced,
    shortname = "mr",
    category = "mcdeploy",
    status = "ModelRolloutStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Deployment",
        type_ = "string",
        json_path = ".spec.deploymentRef.name"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.toVersion"),
    printcolumn(
        name = "Complete",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Complete\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Complete\")].reason"
    ),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a ModelRollout is immutable"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelRolloutSpec {
    /// The deployment that changes.
    pub deployment_ref: ObjectName,
    /// Generation of the deployment that asked for it.
    pub deployment_generation: i64,
    /// Revision id that it leads to.
    pub to_revision: String,
    /// Model version that it leads to.
    pub to_version: String,
    /// Waves, in order; each is finished before the next begins.
    #[schemars(length(max = 500))]
    pub waves: Vec<RolloutWave>,
    /// Who asked, as far as the request says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// Clusters that change together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutWave {
    /// Names of member clusters.
    #[schemars(length(max = 500))]
    pub clusters: Vec<String>,
}

/// How far the change is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelRolloutStatus {
    /// `Complete` (with `Superseded` as its reason when a later one took over).
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// One entry per cluster of the waves, in wave order.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["cluster"]))]
    pub steps: Vec<RolloutStep>,
}

/// One cluster's part of the change, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStep {
    /// Member cluster.
    pub cluster: String,
    /// How far.
    pub state: RolloutStepState,
    /// Why, one word of [`Reason`](crate::Reason).
    pub reason: String,
    /// The evidence, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when it is blocked or not seen, whatever the reason; absent: it is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Time>,
}

/// How far one cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutStepState {
    /// An earlier wave is not finished, or the revision fails in another cluster.
    Waiting,
    /// Under way.
    Running,
    /// The target takes this region's traffic.
    Done,
    /// Stopped by a fault of this cluster, its store or its pods, or of the revision in another
    /// cluster; it goes on when the fault is mended.
    Blocked,
    /// The cluster cannot be seen.
    Unknown,
}

impl RolloutStepState {
    /// Blocked, or not seen.
    pub fn is_held(self) -> bool {
        match self {
            Self::Blocked | Self::Unknown => true,
            Self::Waiting | Self::Running | Self::Done => false,
        }
    }
}
