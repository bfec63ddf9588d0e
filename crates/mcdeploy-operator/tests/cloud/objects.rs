//! Objects as users and the CLI write them.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::api::ObjectMeta;
use mcdeploy_api::{
    ArtifactStore, ArtifactStoreSpec, ClusterAccess, ClusterSelection, Container, Empty,
    MemberCluster, MemberClusterSpec, ModelDeployment, ModelDeploymentSpec, ModelVersion,
    ModelVersionSpec, ObjectName, Provider, S3Checksums, S3Location, SecretKeyRef, Sha256Digest,
    StoreAuth, StoreLocation, names,
};

pub(crate) fn artifact_store(provider: Provider) -> ArtifactStore {
    ArtifactStore::new(
        provider.as_str(),
        ArtifactStoreSpec {
            provider,
            region: "here".into(),
            jurisdiction: None,
            // Opened as a directory: see `World::operate`.
            location: StoreLocation {
                s3: Some(S3Location {
                    bucket: "models".into(),
                    endpoint: None,
                    path_style: false,
                    checksums: S3Checksums::WhenSupported,
                }),
                ..StoreLocation::default()
            },
            auth: StoreAuth {
                anonymous: Some(Empty {}),
                ..StoreAuth::default()
            },
        },
    )
}

pub(crate) fn kubeconfig_secret(cluster: &str, kubeconfig: &str) -> Secret {
    let data = ByteString(kubeconfig.as_bytes().to_vec());
    Secret {
        metadata: ObjectMeta {
            name: Some(names::cluster_secret_name(cluster)),
            namespace: Some(names::SYSTEM_NAMESPACE.into()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(names::KUBECONFIG_KEY.to_owned(), data)])),
        ..Secret::default()
    }
}

pub(crate) fn member_cluster(name: &str, provider: Provider) -> MemberCluster {
    MemberCluster::new(
        name,
        MemberClusterSpec {
            provider,
            region: "here".into(),
            jurisdiction: None,
            access: ClusterAccess::by_kubeconfig(SecretKeyRef {
                name: names::cluster_secret_name(name),
                key: names::KUBECONFIG_KEY.into(),
            }),
            artifact_store_ref: ObjectName::new(provider.as_str()),
            image_registry: None,
            node_cache: None,
            ingress: None,
        },
    )
}

pub(crate) fn model_version(
    namespace: &str,
    model: &str,
    version: &str,
    digest: Sha256Digest,
    store: &str,
) -> ModelVersion {
    let name = names::model_version_name(model, version);
    let mut object = ModelVersion::new(
        &name,
        ModelVersionSpec {
            model: model.into(),
            version: version.into(),
            manifest_digest: digest,
            size_bytes: 1,
            store_ref: ObjectName::new(store),
        },
    );
    object.metadata.namespace = Some(namespace.into());
    object
}

pub(crate) fn model_deployment(
    namespace: &str,
    model: &str,
    version: &str,
    placement: &[&str],
    scope: Option<&[&str]>,
) -> ModelDeployment {
    let select = |names: &[&str]| ClusterSelection {
        providers: vec![],
        clusters: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut object = ModelDeployment::new(
        model,
        ModelDeploymentSpec {
            model_version_ref: ObjectName::new(names::model_version_name(model, version)),
            container: Container {
                image: format!("registry.test/mcserve@sha256:{:064}", 0),
                args: vec![],
                env: vec![],
                resources: None,
            },
            replicas: 1,
            placement: select(placement),
            scope: scope.map(select),
        },
    );
    object.metadata.namespace = Some(namespace.into());
    let by = (
        names::ANNOTATION_REQUESTED_BY.to_owned(),
        format!("{version}@test"),
    );
    object.metadata.annotations = Some(BTreeMap::from([by]));
    object
}
