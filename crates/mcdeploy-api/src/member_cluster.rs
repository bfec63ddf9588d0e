//! `MemberCluster`: a Kubernetes cluster that can serve models.

use std::{fmt, str::FromStr};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ClusterAccess, Condition, ImageRegistry, ObjectName, names};

/// A Kubernetes cluster that can serve models, in one provider and region.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "MemberCluster",
    plural = "memberclusters",
    shortname = "mc",
    category = "mcdeploy",
    status = "MemberClusterStatus",
    derive = "PartialEq",
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(
        name = "Jurisdiction",
        type_ = "string",
        json_path = ".spec.jurisdiction",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reachable",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Reachable\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Gateway", type_ = "string", json_path = ".status.gatewayAddress"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.kubernetesVersion"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("the name of a member cluster has at most 40 characters"),
    validation = Rule::new("(!has(self.spec.access.eks) || self.spec.provider == 'aws') && (!has(self.spec.access.gke) || self.spec.provider == 'gcp') && (!has(self.spec.access.aks) || self.spec.provider == 'azure')")
        .message("spec.access: eks is for provider aws, gke for gcp, aks for azure")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberClusterSpec {
    /// Provider that the cluster runs at: its failure domain.
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider is immutable"))]
    pub provider: Provider,
    /// Region, in the provider's own spelling, such as `us-east-1`.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Country of the region (ISO 3166), or `EU` where that is part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub jurisdiction: Option<String>,
    /// How the hub reaches the cluster's API server.
    pub access: ClusterAccess,
    /// The `ArtifactStore` that pods of this cluster read models from. It belongs to
    /// the same provider.
    pub artifact_store_ref: ObjectName,
    /// The registry that pods of this cluster pull their model server's image from, by
    /// digest: mcdeploy copies it there first. Left out: pods pull what the deployment
    /// names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_registry: Option<ImageRegistry>,
    /// The cache of model versions on each node. Left out: each pod reads its version
    /// from the store. Setting it, or another claim, replaces pods one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_cache: Option<NodeCache>,
    /// How clients and other regions reach this cluster's gateway. Left out: the
    /// address of the gateway's `LoadBalancer` Service is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<ClusterIngress>,
}

/// A directory on each node that its pods share: a version is read from the store once
/// per node. Pods run on nodes that have it only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCache {
    /// Name of the `PersistentVolumeClaim` in each namespace that models run in. The chart
    /// makes `mcdeploy-cache` where `member.cache.enabled` is set.
    #[serde(default = "default_claim_name")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub claim_name: String,
    /// Sum of the sizes of versions that a node's cache may hold, in bytes. A pod whose
    /// version does not fit reads it from the store.
    #[schemars(range(min = 1))]
    pub size_bytes: i64,
}

impl NodeCache {
    /// The one that the chart makes.
    pub fn of(size_bytes: i64) -> Self {
        Self {
            claim_name: default_claim_name(),
            size_bytes,
        }
    }
}

fn default_claim_name() -> String {
    names::CACHE_CLAIM.to_owned()
}

/// A provider: a failure domain of its own.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
    /// Machines of one's own.
    Onprem,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 4] = [Self::Aws, Self::Azure, Self::Gcp, Self::Onprem];

    /// The word in specs, flags and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Onprem => "onprem",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no provider.
#[derive(Debug, thiserror::Error)]
#[error("unknown cloud {word:?}: expected one of aws, azure, gcp, onprem")]
pub struct UnknownProvider {
    word: String,
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == word);
        known.ok_or_else(|| UnknownProvider {
            word: word.to_owned(),
        })
    }
}

/// Where the cluster's gateway answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterIngress {
    /// `host:port` of the gateway, plain HTTP.
    #[schemars(length(min = 3, max = 253), regex(pattern = r"^[^/\s]+:[0-9]{1,5}$"))]
    pub address: String,
}

/// What the operator last saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberClusterStatus {
    /// Generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` and `Reachable`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Version of the cluster's API server, such as `v1.37.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// `host:port` of the cluster's gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_address: Option<String>,
}
