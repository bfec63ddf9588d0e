//! How the hub reaches the API server of a member cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::OBJECT_NAME_PATTERN;

/// How the hub reaches a member's API server: exactly one way.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(
    "[has(self.kubeconfigSecretRef), has(self.eks), has(self.gke), has(self.aks)].filter(x, x).size() == 1"
).message("set exactly one of kubeconfigSecretRef, eks, gke, aks"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterAccess {
    /// A kubeconfig in a Secret of the operator's own namespace. It holds a bearer
    /// token and a CA; `exec`, file paths, proxies and skipped TLS are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret_ref: Option<SecretKeyRef>,
    /// Amazon EKS, by a role that the hub's `ServiceAccount` may take. Kept, and not used
    /// yet: `Ready` says `AccessNotSupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eks: Option<EksAccess>,
    /// Google GKE, by a service account that the hub's `ServiceAccount` may act as. Kept,
    /// and not used yet: `Ready` says `AccessNotSupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gke: Option<GkeAccess>,
    /// Azure AKS, by a managed identity that the hub's `ServiceAccount` may act as. Kept,
    /// and not used yet: `Ready` says `AccessNotSupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aks: Option<AksAccess>,
}

impl ClusterAccess {
    /// Access by a kubeconfig in a Secret.
    pub fn by_kubeconfig(reference: SecretKeyRef) -> Self {
        Self {
            kubeconfig_secret_ref: Some(reference),
            ..Self::default()
        }
    }

    /// The word of the way that is set, as it stands in the spec.
    pub fn kind(&self) -> &'static str {
        let Self {
            kubeconfig_secret_ref,
            eks,
            gke,
            aks,
        } = self;
        match (kubeconfig_secret_ref, eks, gke, aks) {
            (Some(_), _, _, _) => "kubeconfigSecretRef",
            (None, Some(_), _, _) => "eks",
            (None, None, Some(_), _) => "gke",
            (None, None, None, Some(_)) => "aks",
            (None, None, None, None) => "nothing",
        }
    }
}

/// One key of a Secret in the operator's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME_PATTERN))]
    pub name: String,
    /// Key within the Secret.
    #[serde(default = "kubeconfig_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn kubeconfig_key() -> String {
    "kubeconfig".to_owned()
}

/// An EKS cluster, and the role to reach it with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EksAccess {
    /// Name of the cluster.
    #[schemars(length(min = 1, max = 100))]
    pub cluster_name: String,
    /// Region of the cluster.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Account of the cluster.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account_id: String,
    /// Role that the hub takes with the token of its `ServiceAccount`.
    #[schemars(
        length(max = 2048),
        regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$")
    )]
    pub role_arn: String,
    /// URL of the API server.
    #[schemars(length(max = 253), regex(pattern = r"^https://"))]
    pub endpoint: String,
    /// CA certificate of the API server, PEM in base64.
    #[schemars(length(min = 1, max = 65536))]
    pub ca_data: String,
}

/// A GKE cluster, and the service account to reach it with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GkeAccess {
    /// Project of the cluster.
    #[schemars(length(min = 6, max = 30))]
    pub project_id: String,
    /// Region or zone of the cluster.
    #[schemars(length(min = 1, max = 63))]
    pub location: String,
    /// Name of the cluster.
    #[schemars(length(min = 1, max = 40))]
    pub cluster_name: String,
    /// Service account that the hub acts as.
    #[schemars(length(max = 253), regex(pattern = r"^.+@.+$"))]
    pub service_account: String,
    /// Audience of the hub's token. Left out where the hub is a GKE cluster of the same
    /// project, whose metadata server does the exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 512),
        regex(pattern = r"^//iam\.googleapis\.com/projects/")
    )]
    pub workload_identity_provider: Option<String>,
    /// URL of the API server.
    #[schemars(length(max = 253), regex(pattern = r"^https://"))]
    pub endpoint: String,
    /// CA certificate of the API server, PEM in base64.
    #[schemars(length(min = 1, max = 65536))]
    pub ca_data: String,
}

/// An AKS cluster, and the managed identity to reach it with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AksAccess {
    /// Resource id of the cluster.
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^/subscriptions/.+/managedClusters/.+$")
    )]
    pub resource_id: String,
    /// Entra tenant of the identity.
    #[schemars(length(min = 36, max = 36))]
    pub tenant_id: String,
    /// Managed identity that the hub acts as.
    #[schemars(length(min = 36, max = 36))]
    pub client_id: String,
    /// Host name of the API server.
    #[schemars(length(min = 1, max = 253))]
    pub fqdn: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_of_an_inventory_is_taken_as_it_is() {
        let text = r#"{"aks":{"resourceId":"/subscriptions/s/managedClusters/c","tenantId":"t","clientId":"c","fqdn":"f"}}"#;
        let access: ClusterAccess = serde_json::from_str(text).unwrap();
        assert_eq!(access.kind(), "aks");
        assert_eq!(serde_json::to_string(&access).unwrap(), text);
    }

    #[test]
    fn unknown_kinds_of_access_are_refused() {
        let error = serde_json::from_str::<ClusterAccess>(r#"{"token":"x"}"#).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `token`"),
            "{error}"
        );
    }
}
