//! `TrafficPolicy`: how requests for a deployment are spread over regions.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Epoch};

/// How requests for a deployment are spread over regions.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "TrafficPolicy",
    plural = "trafficpolicies",
    namespaced,
    shortname = "tp",
    category = "mcdeploy",
    status = "TrafficPolicyStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Deployment",
        type_ = "string",
        json_path = ".spec.deploymentRef.name"
    ),
    printcolumn(name = "Term", type_ = "integer", json_path = ".status.epoch.term"),
    printcolumn(name = "Seq", type_ = "integer", json_path = ".status.epoch.seq"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficPolicySpec {
    /// The `ModelDeployment`, in the same namespace.
    #[x_kube(validation = Rule::new("self == oldSelf").message("deploymentRef is immutable"))]
    pub deployment_ref: BackendRef,
    /// Weights of member clusters. Left out or empty: every gateway serves its own
    /// region, and goes to others only when its own cannot answer. A cluster that is
    /// placed and not listed has weight 0 then: it gets requests only when no listed
    /// one can answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["cluster"]))]
    pub weights: Vec<ClusterWeight>,
    /// Whether a request that was not answered may be sent again elsewhere. Inference
    /// is, as a rule; set false for a model with side effects.
    #[serde(default = "yes")]
    pub repeatable: bool,
}

fn yes() -> bool {
    true
}

/// What traffic goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
    /// Name of the `ModelDeployment`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One cluster's weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterWeight {
    /// Member cluster.
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// Its share is this over the sum of all, 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
}

/// The decision in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicyStatus {
    /// Generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: every reachable gateway's snapshot is the decision in force.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Epoch of the decision. It is stored here before it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// SHA-256, in hex, of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Weights in force, one entry per placed cluster, sorted by name.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["cluster"]))]
    pub weights: Vec<ClusterWeight>,
}
