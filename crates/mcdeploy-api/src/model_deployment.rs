//! `ModelDeployment`: a model version served in several clusters.

use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Condition, Provider, names::OBJECT_NAME_PATTERN};

/// A model version, served by a container, in the clusters of its placement.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "ModelDeployment",
    plural = "modeldeployments",
    namespaced,
    shortname = "md",
    category = "mcdeploy",
    status = "ModelDeploymentStatus",
    derive = "PartialEq",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.modelVersionRef.name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Clusters", type_ = "string", json_path = ".status.servingClusters"),
    printcolumn(
        name = "Mixed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"MixedRevisions\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("the name of a model deployment has at most 40 characters"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name of a model deployment begins with a letter and has no dots: Services are named after it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelDeploymentSpec {
    /// The `ModelVersion`, in the same namespace, that should serve.
    pub model_version_ref: ObjectName,
    /// The model server.
    pub container: Container,
    /// Pods per member cluster.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,
    /// Clusters that should serve this deployment.
    pub placement: ClusterSelection,
    /// Clusters that the current rollout may touch, in the order of its waves: one
    /// entry is one wave. Left out: the whole placement. A cluster outside the scope
    /// keeps the revision that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ClusterSelection>,
}

fn one() -> i32 {
    1
}

/// Clusters by provider, by name, or both. Order matters where waves are meant:
/// first the providers as written, then the names as written.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(
    "(has(self.providers) && self.providers.size() > 0) || (has(self.clusters) && self.clusters.size() > 0)"
).message("name at least one provider or cluster"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSelection {
    /// Every member cluster of these providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub providers: Vec<Provider>,
    /// These member clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), inner(length(min = 1, max = 63)))]
    pub clusters: Vec<String>,
}

/// Name of an object in the same scope: for a namespaced kind, the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectName {
    /// The name.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME_PATTERN))]
    pub name: String,
}

impl ObjectName {
    /// Wraps a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// The model server: any container that speaks Open Inference Protocol v2 on port
/// 8080 and reads `/mnt/models/<model>/<version>`. mcdeploy adds the init container
/// that fetches the model, the volume and the probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Image by digest, `registry/name@sha256:…`.
    #[schemars(
        length(min = 1, max = 500),
        regex(pattern = r"^\S+@sha256:[0-9a-f]{64}$")
    )]
    pub image: String,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub args: Vec<String>,
    /// Environment, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvVar>,
    /// Requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Value. Not for secrets: everybody who may read the deployment sees it.
    #[serde(default)]
    pub value: String,
}

/// Requests and limits, as Kubernetes has them.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(
    "['memory', 'ephemeral-storage'].all(r, (!has(self.requests) || !(r in self.requests) || (isQuantity(self.requests[r]) && quantity(self.requests[r]).compareTo(quantity('1Mi')) >= 0)) && (!has(self.limits) || !(r in self.limits) || (isQuantity(self.limits[r]) && quantity(self.limits[r]).compareTo(quantity('1Mi')) >= 0)))"
).message("memory and ephemeral-storage are at least 1Mi: 512Mi and 2Gi are amounts of bytes, 512m is half a byte, 2GB is none"))]
#[x_kube(validation = Rule::new(
    "(!has(self.requests) || !('cpu' in self.requests) || self.requests['cpu'].matches('^[0-9.]+m?$')) && (!has(self.limits) || !('cpu' in self.limits) || self.limits['cpu'].matches('^[0-9.]+m?$'))"
).message("cpu is a number of cores, such as 2, or of thousandths of one, such as 500m"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRequirements {
    /// What the scheduler sets aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the kernel enforces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// What the operator last saw, and what it is doing about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelDeploymentStatus {
    /// Generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Revision id of the current spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_revision: Option<String>,
    /// Name of the `ModelRollout` that is or was the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// Clusters that serve the target, over clusters placed, such as `2/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving_clusters: Option<String>,
    /// `Ready`, `Complete`, `Progressing`, `MixedRevisions`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// One entry per member cluster that is placed or still serves, sorted by name.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["cluster"]))]
    pub clusters: Vec<ClusterStatus>,
}

/// One member cluster's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Name of the `MemberCluster`.
    pub cluster: String,
    /// Its provider.
    pub provider: Provider,
    /// Whether the hub sees the cluster. `Unknown` freezes the rest of the row.
    pub reachable: Ternary,
    /// Revision that takes traffic there, observed serving through the region's
    /// gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Model version of `revision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Revision that is being brought up there, while it is not `revision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_revision: Option<String>,
    /// Pods wanted.
    pub desired_replicas: i32,
    /// Pods ready of the newest revision there.
    pub ready_replicas: i32,
    /// Share of the region's own requests that `revision` takes, 0 to 100.
    pub weight: i32,
    /// Bytes of the version verified in the cluster's store, in bytes.
    pub artifact_bytes: i64,
    /// Why the row is as it is, one word of [`Reason`](crate::Reason).
    pub reason: String,
    /// The same for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// True, False, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the three words of conditions")]
pub enum Ternary {
    True,
    False,
    Unknown,
}

impl fmt::Display for Ternary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
