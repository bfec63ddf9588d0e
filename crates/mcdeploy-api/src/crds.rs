//! The CRDs of all kinds; `cargo xtask gen` writes them into the chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{
    ArtifactStore, MemberCluster, ModelDeployment, ModelRollout, ModelVersion, RoutingSnapshot,
    TrafficPolicy,
};

/// Every CRD, sorted by name.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    vec![
        ArtifactStore::crd(),
        MemberCluster::crd(),
        ModelDeployment::crd(),
        ModelRollout::crd(),
        ModelVersion::crd(),
        RoutingSnapshot::crd(),
        TrafficPolicy::crd(),
    ]
}
