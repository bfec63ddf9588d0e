//! `ModelVersion`: one version of a model, by digest.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, ObjectName, Sha256Digest};

/// One version of a model. Its bytes never change: the same name with another digest
/// is refused.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "ModelVersion",
    plural = "modelversions",
    namespaced,
    shortname = "mv",
    category = "mcdeploy",
    status = "ModelVersionStatus",
    derive = "PartialEq",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Bytes", type_ = "integer", json_path = ".spec.sizeBytes"),
    printcolumn(
        name = "Replicated",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Replicated\")].status"
    ),
    printcolumn(name = "Digest", type_ = "string", json_path = ".spec.manifestDigest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name == self.spec.model + '-' + self.spec.version")
        .message("a ModelVersion is named <model>-<version>")
)]
#[x_kube(validation = Rule::new("self.manifestDigest == oldSelf.manifestDigest")
    .message(Message::Expression(
        "'manifestDigest is immutable: this version already has ' + oldSelf.manifestDigest + ', refused ' + self.manifestDigest + '; push the new bytes under a new version'"
            .into()
    )))]
#[x_kube(validation = Rule::new("self.model == oldSelf.model && self.version == oldSelf.version")
    .message("model and version are immutable"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelVersionSpec {
    /// Model name.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub model: String,
    /// Version of the model, such as `v3`.
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub version: String,
    /// SHA-256 of the manifest, and through it of every byte of every file.
    pub manifest_digest: Sha256Digest,
    /// Sum of the files' sizes, in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// The `ArtifactStore` that the version was pushed to.
    pub store_ref: ObjectName,
}

/// Where the version is whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelVersionStatus {
    /// Generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` and `Replicated`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// One entry per store that was looked at, sorted by name.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["store"]))]
    pub stores: Vec<StoreReplicaStatus>,
}

/// One store's copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreReplicaStatus {
    /// Name of the `ArtifactStore`.
    pub store: String,
    /// What is known of the copy.
    pub state: ReplicaState,
    /// Bytes of verified files, in bytes.
    pub verified_bytes: i64,
    /// File, expected and actual where they differ; empty when all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How far a transfer into the store is; absent when none is seen under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<CopyProgress>,
}

/// How far a transfer into one store is, as its Job says. Renewed at most once a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// Bytes that the store has taken, those of an earlier run included, in bytes.
    pub copied_bytes: i64,
    /// Bytes of all files, in bytes.
    pub total_bytes: i64,
    /// Over the last seconds, in bytes per second.
    pub bytes_per_second: i64,
    /// Seconds that are left at this rate; absent while it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<i64>,
    /// Requests that were made again.
    pub repeats: i64,
    /// What these bytes cost by list prices, in US dollars; of the reading that several
    /// stores share, its part. Absent where a price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<String>,
}

/// What is known of one store's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplicaState {
    /// Every file is there and its stored checksum equals the manifest's.
    Verified,
    /// A transfer is under way.
    Copying,
    /// No manifest: the version is not there, or not there yet.
    Missing,
    /// Bytes differ from the manifest. Nothing is served from here.
    ChecksumMismatch,
    /// The store did not answer, so nothing is known.
    Unknown,
}
