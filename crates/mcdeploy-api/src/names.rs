//! Names, labels and paths that more than one program must agree on.

use crate::Sha256Digest;

/// Label and annotation prefix.
pub const PREFIX: &str = "mcdeploy.dev";
/// Label: name of the `ModelDeployment` that an object in a member belongs to.
pub const LABEL_DEPLOYMENT: &str = "mcdeploy.dev/deployment";
/// Label: revision (see [`revision_id`]) that an object in a member belongs to.
pub const LABEL_REVISION: &str = "mcdeploy.dev/revision";
/// Label: model name.
pub const LABEL_MODEL: &str = "mcdeploy.dev/model";
/// Label: model version.
pub const LABEL_VERSION: &str = "mcdeploy.dev/version";
/// Label on everything that mcdeploy made, so that it can be found and pruned.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "mcdeploy";
/// Annotation on a `ModelDeployment`: who asked for the current spec, and when.
pub const ANNOTATION_REQUESTED_BY: &str = "mcdeploy.dev/requested-by";
/// Finalizer on a `ModelDeployment`: it goes only after what it put into clusters.
pub const FINALIZER_CLUSTERS: &str = "mcdeploy.dev/clusters";
/// Annotation on a `ModelDeployment` that was deleted: names of clusters, with commas
/// between them, that it need not wait for. What is there stays there.
pub const ANNOTATION_ABANDON_CLUSTERS: &str = "mcdeploy.dev/abandon-clusters";
/// Field manager of the operator's server-side applies.
pub const FIELD_MANAGER_OPERATOR: &str = "mcdeploy-operator";
/// Field manager of the CLI's server-side applies.
pub const FIELD_MANAGER_CLI: &str = "mcdeploy-cli";
/// Namespace in the hub and in members where mcdeploy itself lives, unless the chart
/// says otherwise.
pub const SYSTEM_NAMESPACE: &str = "mcdeploy-system";
/// Name of the gateway's Service in a member cluster.
pub const GATEWAY_SERVICE: &str = "mcdeploy-gateway";
/// Port of the gateway's Service and of its pods' HTTP listener's Service port.
pub const GATEWAY_PORT: u16 = 80;
/// Port on which a model server container answers protocol v2.
pub const SERVING_PORT: u16 = 8080;
/// Directory in a model server's container that holds `<model>/<version>/…`.
pub const MODELS_DIR: &str = "/mnt/models";
/// `PersistentVolumeClaim` of the node's cache that the chart makes.
pub const CACHE_CLAIM: &str = "mcdeploy-cache";
/// Secret in a member's system namespace with what the caches of its nodes are to hold.
pub const STAGING_SECRET: &str = "mcdeploy-node-cache";
/// Label on the `ConfigMap` in which a node says what its cache holds.
pub const LABEL_NODE_CACHE: &str = "mcdeploy.dev/node-cache";
/// Key of the report in that `ConfigMap`.
pub const NODE_REPORT_KEY: &str = "report.json";
/// Field manager of the agent's server-side applies.
pub const FIELD_MANAGER_AGENT: &str = "mcdeploy-agent";
/// Directory in an init container that holds the node's cache, where there is one.
pub const CACHE_DIR: &str = "/var/cache/mcdeploy";
/// Directory in a model server's container with the slot of its version in the node's
/// cache. `<MODELS_DIR>/<model>/<version>` leads there.
pub const CACHED_DIR: &str = "/mnt/cached";
/// Name, within the slot of a version in a node's cache, of the directory with its files.
pub const CACHED_FILES: &str = "files";
/// Request header: the request already crossed from another region. Its value is the
/// name of the cluster that it came from.
pub const HEADER_HOP: &str = "mcdeploy-hop";
/// Response header: member cluster whose model server answered.
pub const HEADER_CLUSTER: &str = "mcdeploy-cluster";
/// Response header: revision that answered, `<version>.<revision id>`.
pub const HEADER_REVISION: &str = "mcdeploy-revision";

/// Init container that fetches the model version.
pub const FETCH_CONTAINER: &str = "mcdeploy-fetch";
/// Container of the model server.
pub const SERVER_CONTAINER: &str = "server";
/// Container of a transfer Job.
pub const TRANSFER_CONTAINER: &str = "transfer";
/// Container of a Job that copies an image.
pub const COPY_IMAGE_CONTAINER: &str = "copy-image";
/// `ServiceAccount` in a member's system namespace that the hub acts as.
pub const HUB_SERVICE_ACCOUNT: &str = "mcdeploy-hub";
/// Group with the same rights in a member: clouds put the operator's identity into it.
pub const HUB_GROUP: &str = "mcdeploy:hub";
/// `ServiceAccount` of the operator in the hub's system namespace.
pub const OPERATOR_SERVICE_ACCOUNT: &str = "mcdeploy-operator";
/// `ServiceAccount` in a member's system namespace of transfer Jobs that find their
/// credentials around them.
pub const TRANSFER_SERVICE_ACCOUNT: &str = "mcdeploy-transfer";
/// `ServiceAccount` in a model's namespace of pods that find their credentials around
/// them.
pub const MODEL_SERVICE_ACCOUNT: &str = "mcdeploy-model";
/// Key of a kubeconfig in its Secret.
pub const KUBECONFIG_KEY: &str = "kubeconfig";
/// Annotation: names of the `ArtifactStore`s that a transfer Job writes to, sorted, with
/// commas between them.
pub const ANNOTATION_TARGETS: &str = "mcdeploy.dev/targets";

/// Label on a Job that copies an image: the first 40 hex digits of the image's digest.
pub const LABEL_IMAGE: &str = "mcdeploy.dev/image";

/// Name of the Secret in the hub's system namespace with a member's kubeconfig.
pub fn cluster_secret_name(cluster: &str) -> String {
    format!("cluster-{cluster}")
}

/// Name of the `ConfigMap` in which a node says what its cache holds.
pub fn node_report_name(node: &str) -> String {
    format!("mcdeploy-node-cache-{}", Sha256Digest::of(node).short(10))
}

/// What [`is_object_name`] takes, for schemas.
pub(crate) const OBJECT_NAME_PATTERN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Whether an object of most kinds can have this name: an RFC 1123 subdomain.
///
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
/// (2026-11-30).
pub fn is_object_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        ends.is_some_and(|(first, last)| is_word(*first) && is_word(*last))
            && bytes.iter().all(|byte| is_word(*byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Object key of a version's directory: `<model>/<version>/`.
pub fn version_prefix(model: &str, version: &str) -> String {
    format!("{model}/{version}/")
}

/// File name of the manifest within a version's directory; written last.
pub const MANIFEST_FILE: &str = "mcdeploy-manifest.json";

/// Name of the `ModelVersion` object of a version.
pub fn model_version_name(model: &str, version: &str) -> String {
    format!("{model}-{version}")
}

/// Name of the Deployment and of the Service of one revision in a member cluster.
pub fn revision_object_name(deployment: &str, revision: &str) -> String {
    format!("{deployment}-{revision}")
}

/// Short id of a revision: the first 10 hex digits of the digest of its input.
pub fn revision_id(input: &[u8]) -> String {
    Sha256Digest::of(input).short(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_are_subdomains() {
        let long = "a".repeat(253);
        for name in ["a", "store-aws", "0.a-b.c", &long] {
            assert!(is_object_name(name), "{name:?}");
        }
        let longer = format!("{long}a");
        for name in [
            "",
            "my secret/x",
            "A",
            "-a",
            "a-",
            ".a",
            "a.",
            "a..b",
            "a_b",
            "../x",
            "ä",
            &longer,
        ] {
            assert!(!is_object_name(name), "{name:?}");
        }
    }
}
