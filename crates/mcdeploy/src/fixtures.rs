//! Objects for unit tests.

use kube::core::ObjectMeta;
use mcdeploy_api::{
    ClusterAccess, ClusterSelection, Container, MemberCluster, MemberClusterSpec, ModelDeployment,
    ModelDeploymentSpec, ModelVersion, ModelVersionSpec, ObjectName, Provider, SecretKeyRef,
    Sha256Digest,
};

pub(crate) fn member(name: &str, provider: Provider) -> MemberCluster {
    MemberCluster::new(
        name,
        MemberClusterSpec {
            provider,
            region: "somewhere-1".into(),
            jurisdiction: None,
            access: ClusterAccess::by_kubeconfig(SecretKeyRef {
                name: format!("cluster-{name}"),
                key: "kubeconfig".into(),
            }),
            artifact_store_ref: ObjectName::new(provider.as_str()),
            image_registry: None,
            node_cache: None,
            ingress: None,
        },
    )
}

pub(crate) fn version(model: &str, version: &str) -> ModelVersion {
    let name = format!("{model}-{version}");
    ModelVersion::new(
        &name.clone(),
        ModelVersionSpec {
            model: model.into(),
            version: version.into(),
            manifest_digest: Sha256Digest::of(name),
            size_bytes: 12_300,
            store_ref: ObjectName::new("aws"),
        },
    )
}

pub(crate) fn deployment(model: &str, version: &str, providers: &[Provider]) -> ModelDeployment {
    let spec = ModelDeploymentSpec {
        model_version_ref: ObjectName::new(format!("{model}-{version}")),
        container: Container {
            image: image('a'),
            args: vec![],
            env: vec![],
            resources: None,
        },
        replicas: 1,
        placement: ClusterSelection {
            providers: providers.to_vec(),
            clusters: vec![],
        },
        scope: None,
    };
    ModelDeployment {
        metadata: ObjectMeta {
            name: Some(model.into()),
            namespace: Some("default".into()),
            generation: Some(4),
            resource_version: Some("77".into()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

pub(crate) fn image(digit: char) -> String {
    format!(
        "registry.test/mcserve@sha256:{}",
        digit.to_string().repeat(64)
    )
}
