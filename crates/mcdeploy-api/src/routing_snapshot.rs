//! `RoutingSnapshot`: what the gateways of one member cluster route by.
//!
//! **Invariant:** a field is added, and none is ever changed or taken away: hub, members,
//! gateways and CRDs are upgraded at different moments. A gateway skips fields that it does
//! not know, takes the hub's hash as it is, and says which ones it knows (`features`); the
//! hub writes a new field only where every gateway and the CRD know it.

use std::{cmp::Ordering, fmt};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Provider, Sha256Digest};

/// What the gateways of one member cluster route one model by. Lives in the member's
/// API server, one per model deployment; written by the operator only.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mcdeploy.dev",
    version = "v1alpha1",
    kind = "RoutingSnapshot",
    plural = "routingsnapshots",
    namespaced,
    shortname = "rs8",
    category = "mcdeploy",
    status = "RoutingSnapshotStatus",
    derive = "PartialEq",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Term", type_ = "integer", json_path = ".spec.epoch.term"),
    printcolumn(name = "Seq", type_ = "integer", json_path = ".spec.epoch.seq"),
    printcolumn(
        name = "Hash",
        type_ = "string",
        json_path = ".spec.hash",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new(
    "self.epoch.term > oldSelf.epoch.term || (self.epoch.term == oldSelf.epoch.term && self.epoch.seq > oldSelf.epoch.seq) || (self.epoch == oldSelf.epoch && self.hash == oldSelf.hash)"
).message("a routing snapshot's epoch only rises"))]
#[serde(rename_all = "camelCase")]
pub struct RoutingSnapshotSpec {
    /// Model name, as in `/v2/models/<model>/…`.
    #[schemars(length(min = 1, max = 40))]
    pub model: String,
    /// Order of decisions. A gateway refuses a lower one, and the same one with
    /// another hash.
    pub epoch: Epoch,
    /// What the hub calls the content: see [`RoutingSnapshotSpec::content_hash`]. Gateways
    /// compare it, and do not compute it: another version of the hub may know more fields.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// Name of the member cluster that this snapshot is for.
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// Whether a request that was not answered may be sent again elsewhere.
    pub repeatable: bool,
    /// Weight of this region against `regions`. `None`: this region first, others only
    /// when it cannot answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub local_weight: Option<i32>,
    /// Revisions in this region, sorted by id. Weight 0: reachable by
    /// `/v2/models/<model>/versions/<id>/…` only.
    // A server-side apply that takes the last entry of a list away leaves none: the
    // default stands in.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["revision"]))]
    pub revisions: Vec<RevisionRoute>,
    /// Other regions, sorted by cluster.
    #[serde(default)]
    #[schemars(length(max = 500))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["cluster"]))]
    pub regions: Vec<RegionRoute>,
}

/// One revision in this region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRoute {
    /// Revision id.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    /// Model version that it serves, as in `/versions/<version>`.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// Service, in the snapshot's namespace, whose `EndpointSlices` are the upstreams.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// Share of this region's requests: this over the sum of all, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
}

/// Another region, reached through its gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegionRoute {
    /// Member cluster.
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// Its provider.
    pub provider: Provider,
    /// `host:port` of its gateway.
    #[schemars(length(min = 3, max = 253))]
    pub address: String,
    /// Weight against the other regions; ignored when `localWeight` is absent.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
    /// Revisions that take traffic there, sorted: a gateway that leaves its region
    /// prefers one that serves the same revision.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub revisions: Vec<String>,
}

/// Order of decisions: first `term`, then `seq`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// Rises with each leader that writes.
    #[schemars(range(min = 0))]
    pub term: i64,
    /// Rises with each decision of one leader.
    #[schemars(range(min = 0))]
    pub seq: i64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.seq)
    }
}

/// What gateways have applied. Each pod writes its own entry, so there is nobody to sum
/// them up in conditions: the operator does, in the `ModelDeployment`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RoutingSnapshotStatus {
    /// One entry per gateway pod.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["gateway"]))]
    pub applied: Vec<AppliedEpoch>,
}

/// One gateway pod's newest snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedEpoch {
    /// Pod name.
    pub gateway: String,
    /// Epoch that it routes by.
    pub epoch: Epoch,
    /// Hash that goes with the epoch.
    pub hash: String,
    /// What the gateway can do with snapshots beside the fields of 2026-11, sorted: see
    /// [`SNAPSHOT_FEATURES`]. None: it is a gateway of before, which refuses snapshots with
    /// a field that it does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub features: Vec<String>,
    /// Set when a newer snapshot was refused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Set while the gateway's copy on disk is older than what it routes by, and why: a
    /// restart of it needs the API server then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// What a gateway of this version reports as `features`, sorted: one word for each field
/// of a snapshot that came after 2026-11, and
///
/// - `UnknownFields`: it skips fields that it does not know, and takes the hub's hash as it
///   is.
pub const SNAPSHOT_FEATURES: &[&str] = &["UnknownFields"];

impl RoutingSnapshotSpec {
    /// SHA-256, in hex, of everything but `epoch` and `hash`. Equal content has equal
    /// hashes, whoever decided it and when; whether that holds between versions of mcdeploy
    /// nobody may rely on.
    pub fn content_hash(&self) -> String {
        let Self {
            model,
            epoch: _,
            hash: _,
            cluster,
            repeatable,
            local_weight,
            revisions,
            regions,
        } = self;
        let content = (model, cluster, repeatable, local_weight, revisions, regions);
        // Plain structs with string keys always serialise.
        let bytes = serde_json::to_vec(&content).unwrap_or_default();
        Sha256Digest::of(bytes).hex()
    }

    /// Whether a gateway that applied `(epoch, hash)` may apply this one.
    ///
    /// # Errors
    /// The reason for a refusal: a lower epoch, or the same epoch with another hash.
    pub fn may_follow(&self, epoch: Epoch, hash: &str) -> Result<(), String> {
        match self.epoch.cmp(&epoch) {
            Ordering::Greater => Ok(()),
            Ordering::Equal if self.hash == hash => Ok(()),
            Ordering::Equal => Err(format!("epoch {epoch} came again with another hash")),
            Ordering::Less => Err(format!("epoch {} is lower than {epoch}", self.epoch)),
        }
    }
}
