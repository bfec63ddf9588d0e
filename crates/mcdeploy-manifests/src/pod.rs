//! What all pods of mcdeploy in member clusters have in common.

use k8s_openapi::{
    ByteString,
    api::core::v1::{
        Capabilities, KeyToPath, PodSecurityContext, ResourceRequirements, SeccompProfile, Secret,
        SecretVolumeSource, SecurityContext, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use mcdeploy_api::{Provider, StoreAccess, names};
use serde::Serialize;
use std::collections::BTreeMap;

/// User and group of all containers: "nonroot" of distroless images.
pub(crate) const UID: i64 = 65532;
/// Directory of the mounted plan.
pub(crate) const PLAN_DIR: &str = "/etc/mcdeploy";
/// Where Kubernetes reads a container's last words.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

pub(crate) type Labels = BTreeMap<String, String>;

/// Labels of an object, `managed-by` included.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    let managed = [(names::LABEL_MANAGED_BY, names::MANAGED_BY)];
    let all = pairs.iter().chain(&managed);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn metadata(namespace: &str, name: &str, labels: &Labels) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    }
}

/// A Secret with one plan as JSON.
pub(crate) fn plan_secret(metadata: ObjectMeta, key: &str, plan: &impl Serialize) -> Secret {
    // Plans are plain structs with string keys, and those always serialise.
    let bytes = serde_json::to_vec(plan).unwrap_or_default();
    Secret {
        metadata,
        data: Some([(key.to_owned(), ByteString(bytes))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The volume with that plan, readable by the pod's group only.
pub(crate) fn plan_volume(secret: &str, key: &str) -> Volume {
    Volume {
        name: "plan".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(0o440),
            items: Some(vec![KeyToPath {
                key: key.to_owned(),
                path: key.to_owned(),
                ..KeyToPath::default()
            }]),
            optional: Some(false),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(crate) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

pub(crate) fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(UID),
        run_as_group: Some(UID),
        fs_group: Some(UID),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// `read_only_root`: for our own programs, which write nothing. A user's image may.
pub(crate) fn container_security(read_only_root: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: None,
            drop: Some(vec!["ALL".to_owned()]),
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(read_only_root),
        ..SecurityContext::default()
    }
}

/// What a pod needs to use a store by an identity of its cloud.
pub(crate) struct Ambient {
    account: &'static str,
    azure: bool,
}

impl Ambient {
    /// `None`: none of the stores is used that way.
    pub(crate) fn of(stores: &[&StoreAccess], account: &'static str) -> Option<Self> {
        let by_identity = stores.iter().filter(|s| s.spec.auth.ambient.is_some());
        let providers: Vec<_> = by_identity.map(|store| store.spec.provider).collect();
        (!providers.is_empty()).then(|| Self {
            account,
            azure: providers.contains(&Provider::Azure),
        })
    }

    /// The account that clouds bind identities to.
    pub(crate) fn account(&self) -> String {
        self.account.to_owned()
    }

    /// Azure injects an identity only where a label asks for it.
    pub(crate) fn label(&self, labels: &Labels) -> Labels {
        let mut labels = labels.clone();
        if self.azure {
            let key = "azure.workload.identity/use";
            labels.insert(key.to_owned(), "true".to_owned());
        }
        labels
    }
}

/// A small request, and a limit on memory alone: a limit on CPU only slows.
pub(crate) fn small_resources(memory_request: &str, memory_limit: &str) -> ResourceRequirements {
    let quantity = |key: &str, value: &str| (key.to_owned(), Quantity(value.to_owned()));
    ResourceRequirements {
        requests: Some([quantity("cpu", "10m"), quantity("memory", memory_request)].into()),
        limits: Some([quantity("memory", memory_limit)].into()),
        ..ResourceRequirements::default()
    }
}
