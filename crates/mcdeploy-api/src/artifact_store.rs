//! `ArtifactStore`: a bucket or container that holds model versions.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, ObjectName, Provider};

/// A bucket or container, in one provider, that holds model versions.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "ArtifactStore",
    plural = "artifactstores",
    shortname = "as",
    category = "mcdeploy",
    status = "ArtifactStoreStatus",
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
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactStoreSpec {
    /// Provider that holds the bytes. Model pods of this provider's clusters only read
    /// from it; see `auth.secretRef` for where its credentials go.
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider is immutable"))]
    pub provider: Provider,
    /// Region, in the provider's own spelling.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Country of the region (ISO 3166), or `EU` where that is part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub jurisdiction: Option<String>,
    /// Which protocol, and where.
    pub location: StoreLocation,
    /// How requests are authorised.
    pub auth: StoreAuth,
}

/// Exactly one of the protocols.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(
    "[has(self.s3), has(self.azureBlob), has(self.gcs)].filter(x, x).size() == 1"
).message("set exactly one of s3, azureBlob, gcs"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreLocation {
    /// Amazon S3, or a server that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Location>,
    /// Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_blob: Option<AzureBlobLocation>,
    /// Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsLocation>,
}

/// A bucket behind the S3 protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Location {
    /// Bucket name.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Base URL of a server that is not Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub endpoint: Option<String>,
    /// Bucket in the path instead of in the host name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub path_style: bool,
    /// When the SDK adds checksums of its own beside ours.
    #[serde(default)]
    pub checksums: S3Checksums,
}

/// When the SDK adds and expects checksums of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum S3Checksums {
    /// Amazon's default since 2025.
    #[default]
    WhenSupported,
    /// For servers that do not know trailing checksums.
    WhenRequired,
}

/// A container in an Azure storage account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AzureBlobLocation {
    /// Base URL of the account, such as `https://ACCOUNT.blob.core.windows.net`.
    #[schemars(length(min = 8, max = 253))]
    pub endpoint: String,
    /// Container name.
    #[schemars(length(min = 3, max = 63))]
    pub container: String,
}

/// A bucket in Google Cloud Storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GcsLocation {
    /// Bucket name.
    #[schemars(length(min = 3, max = 222))]
    pub bucket: String,
    /// Base URL of a server that is not Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub endpoint: Option<String>,
}

/// Exactly one way to authorise requests.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(
    "[has(self.secretRef), has(self.anonymous), has(self.ambient)].filter(x, x).size() == 1"
).message("set exactly one of secretRef, anonymous, ambient"))]
#[x_kube(validation = Rule::new(
    "!has(self.readSecretRef) || has(self.secretRef)"
).message("readSecretRef goes with secretRef: with ambient or anonymous no credential is handed out"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAuth {
    /// A Secret in the operator's namespace. Keys by protocol: S3 `accessKeyId`,
    /// `secretAccessKey`, optional `sessionToken`; Azure `sasToken`; GCS
    /// `serviceAccountKey` (JSON). It lists, reads and writes. Its values go, for as long
    /// as a transfer Job from or to the store runs, into that Job's Secret in
    /// `mcdeploy-system` of the cluster that it runs in, which may be another provider's.
    /// Without `readSecretRef` they also go to the namespaces of models in this provider's
    /// own clusters, for as long as a revision reads from the store: `Ready` then says
    /// `SharedCredential`. With `ambient` no credential goes anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectName>,
    /// A Secret in the operator's namespace with the same keys as that of `secretRef`, of a
    /// credential that can only list and read. Pods that fetch models get this one, and
    /// never the one that writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_secret_ref: Option<ObjectName>,
    /// No credentials at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Empty>,
    /// What the process finds around it: workload identity, instance role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambient: Option<Empty>,
}

/// An object without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// What the operator last saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArtifactStoreStatus {
    /// Generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the operator can list it.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
