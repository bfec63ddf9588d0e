//! Kinds, newtypes with their units, condition and reason constants.
//!
//! This crate holds what is written to and read from Kubernetes API servers, and
//! nothing that talks to one. Every other crate may depend on it; it depends on
//! none of ours.
//!
//! **API boundary:** everything in [`kinds`](crate) that is `Serialize` is a promise
//! to users (CRDs in `charts/mcdeploy-crds`), changed by addition only.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn names its own type_ and json_path"
)]
#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function to derive its schema"
)]

mod artifact_store;
mod cluster_access;
mod condition;
mod crds;
mod digest;
mod error_class;
mod image_registry;
mod jobs;
mod jurisdiction;
mod member_cluster;
mod model_deployment;
mod model_rollout;
mod model_version;
pub mod names;
mod recorded;
mod routing_snapshot;
mod staging;
mod traffic_policy;

/// A moment, as Kubernetes writes it: in seconds.
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use artifact_store::{
    ArtifactStore, ArtifactStoreSpec, ArtifactStoreStatus, AzureBlobLocation, Empty, GcsLocation,
    S3Checksums, S3Location, StoreAuth, StoreLocation,
};
pub use cluster_access::{AksAccess, ClusterAccess, EksAccess, GkeAccess, SecretKeyRef};
pub use condition::{Condition, ConditionStatus, ConditionType, Reason, set_condition};
pub use crds::all_crds;
pub use digest::{ParseDigestError, Sha256Digest};
pub use error_class::ErrorClass;
pub use image_registry::{ImageRegistry, ParsePinnedImageError, PinnedImage};
pub use jobs::{
    CachePlan, CopyImagePlan, FetchPlan, RepositoryAccess, SecretValues, StoreAccess, TransferPlan,
    TransferProgress,
};
pub use jurisdiction::{WrongJurisdiction, check_jurisdiction, jurisdictions};
pub use member_cluster::{
    ClusterIngress, MemberCluster, MemberClusterSpec, MemberClusterStatus, NodeCache, Provider,
    UnknownProvider,
};
pub use model_deployment::{
    ClusterSelection, ClusterStatus, Container, EnvVar, ModelDeployment, ModelDeploymentSpec,
    ModelDeploymentStatus, ObjectName, ResourceRequirements, Ternary,
};
pub use model_rollout::{
    ModelRollout, ModelRolloutSpec, ModelRolloutStatus, RolloutStep, RolloutStepState, RolloutWave,
};
pub use model_version::{
    CopyProgress, ModelVersion, ModelVersionSpec, ModelVersionStatus, ReplicaState,
    StoreReplicaStatus,
};
pub use recorded::recorded_container;
pub use routing_snapshot::{
    AppliedEpoch, Epoch, RegionRoute, RevisionRoute, RoutingSnapshot, RoutingSnapshotSpec,
    RoutingSnapshotStatus, SNAPSHOT_FEATURES,
};
pub use staging::{NodeCacheReport, StagedState, StagedVersion, StagingEntry};
pub use traffic_policy::{
    BackendRef, ClusterWeight, TrafficPolicy, TrafficPolicySpec, TrafficPolicyStatus,
};

/// API group of every kind.
pub const API_GROUP: &str = "mcdeploy.dev";
/// API version of every kind.
pub const API_VERSION: &str = "mcdeploy.dev/v1alpha1";
