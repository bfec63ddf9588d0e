//! Calls as they are meant.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use mcdeploy_api::{ErrorClass, FetchPlan, Reason, Sha256Digest, TransferPlan};
use mcdeploy_cluster::{ClusterClient, Delete, Endpoint, Force, Observation, token_kubeconfig};
use mcdeploy_manifests::{RevisionInput, TransferInput, render_revision, render_transfer};
use serde_json::json;

use crate::support::{Shared, namespace};

fn config_map(namespace: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": { "name": "c", "namespace": namespace }, "data": { "key": value },
    }))
    .unwrap()
}

#[tokio::test]
async fn objects_are_applied_read_listed_and_deleted() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "calls").await;
    let absent: Observation<ConfigMap> = client.observe(Some(&ns), "c").await;
    assert_eq!(absent, Observation::Absent);
    let first = client
        .apply(&config_map(&ns, "1"), "us", Force::No)
        .await
        .unwrap();
    let again = client
        .apply(&config_map(&ns, "1"), "us", Force::No)
        .await
        .unwrap();
    let version = |c: &ConfigMap| c.metadata.resource_version.clone();
    assert_eq!(
        version(&first),
        version(&again),
        "an equal apply writes nothing"
    );
    let list = client.list::<ConfigMap>(Some(&ns), "").await.unwrap();
    assert!(list.iter().any(|c| c.metadata.name.as_deref() == Some("c")));
    let other = Delete {
        uid: Some("another".to_owned()),
        resource_version: None,
    };
    let error = client
        .delete::<ConfigMap>(Some(&ns), "c", other)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Precondition);
    assert!(
        client
            .delete::<ConfigMap>(Some(&ns), "c", Delete::default())
            .await
            .unwrap()
    );
    assert!(
        !client
            .delete::<ConfigMap>(Some(&ns), "c", Delete::default())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_field_of_another_manager_is_taken_by_force_only() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "managers").await;
    client
        .apply(&config_map(&ns, "1"), "them", Force::No)
        .await
        .unwrap();
    let error = client
        .apply(&config_map(&ns, "2"), "us", Force::No)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Precondition);
    assert!(error.to_string().contains("them"), "{error}");
    client
        .apply(&config_map(&ns, "2"), "us", Force::Yes)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_second_of_two_writers_is_told() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "writers").await;
    let made = client.create(&config_map(&ns, "1"), "us").await.unwrap();
    let error = client
        .create(&config_map(&ns, "1"), "us")
        .await
        .unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    let mut next = made.clone();
    next.data = config_map(&ns, "2").data;
    client.replace(&next, "us").await.unwrap();
    next.data = config_map(&ns, "3").data;
    let error = client.replace(&next, "us").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Precondition);
}

#[tokio::test]
async fn the_server_tells_its_version() {
    let shared = Shared::get();
    let version = shared.client().api_server_version().await.unwrap();
    assert!(version.starts_with("v1."), "{version}");
}

#[tokio::test]
async fn a_wrong_token_is_refused_credentials_and_another_ca_is_no_trust() {
    let shared = Shared::get();
    let client = shared.client();
    let mut at = Endpoint {
        server: client.server(),
        ca_pem: client.ca_pem(),
        tls_server_name: None,
    };
    let text = token_kubeconfig("t", &at, "wrong");
    let stranger = ClusterClient::from_kubeconfig("t", &text).unwrap();
    let error = stranger
        .get::<Namespace>(None, "default")
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::AuthFailed, "{error}");
    at.ca_pem = "";
    let text = token_kubeconfig("t", &at, "wrong");
    let stranger = ClusterClient::from_kubeconfig("t", &text).unwrap();
    let error = stranger
        .get::<Namespace>(None, "default")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_is_not_ensured() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "going").await;
    client
        .delete::<Namespace>(None, &ns, Delete::default())
        .await
        .unwrap();
    let error = client.ensure_namespace(&ns).await.unwrap_err();
    assert!(error.to_string().contains("being deleted"), "{error}");
    let error = client
        .apply(&config_map(&ns, "1"), "us", Force::No)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::ApplyRefused, "{error}");
}

fn store() -> serde_json::Value {
    json!({
        "name": "aws",
        "spec": {
            "provider": "aws", "region": "us-east-1", "auth": { "anonymous": {} },
            "location": { "s3": { "bucket": "models" } },
        },
    })
}

fn image(name: &str) -> String {
    format!("registry.example.com/{name}@{}", Sha256Digest::of(name))
}

#[tokio::test]
async fn rendered_objects_are_accepted_and_their_pods_are_restricted() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = "restricted".to_owned();
    let enforced: Namespace = serde_json::from_value(json!({ "metadata": { "name": ns,
        "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } }))
    .unwrap();
    client.apply(&enforced, "us", Force::Yes).await.unwrap();
    let digest = Sha256Digest::of("manifest");
    let fetch: FetchPlan = serde_json::from_value(json!({ "model": "digits", "version": "v3",
        "manifestDigest": digest, "store": store() }))
    .unwrap();
    let revision = render_revision(&RevisionInput {
        namespace: ns.clone(),
        deployment: "digits".to_owned(),
        revision: "0a1b2c3d4e".to_owned(),
        model: "digits".to_owned(),
        version: "v3".to_owned(),
        container: serde_json::from_value(json!({ "image": image("mcserve") })).unwrap(),
        replicas: 1,
        fetch,
        size_bytes: Some(1),
        cache: Some(mcdeploy_api::NodeCache::of(1)),
        daemon_image: image("mcdeployd"),
    });
    let plan: TransferPlan = serde_json::from_value(json!({ "model": "digits", "version": "v3",
        "manifestDigest": digest, "source": store(), "targets": [store()] }))
    .unwrap();
    let transfer = render_transfer(&TransferInput {
        namespace: ns.clone(),
        name: mcdeploy_manifests::transfer_name("digits", "v3", &["gcp".to_owned()]),
        plan,
        daemon_image: image("mcdeployd"),
    });
    client
        .apply(&revision.fetch_secret, "us", Force::Yes)
        .await
        .unwrap();
    let first = client
        .apply(&revision.deployment, "us", Force::Yes)
        .await
        .unwrap();
    let again = client
        .apply(&revision.deployment, "us", Force::Yes)
        .await
        .unwrap();
    assert_eq!(first.metadata.generation, again.metadata.generation);
    client
        .apply(&revision.service, "us", Force::Yes)
        .await
        .unwrap();
    client
        .apply(&transfer.secret, "us", Force::Yes)
        .await
        .unwrap();
    client.apply(&transfer.job, "us", Force::Yes).await.unwrap();
    let specs = [
        revision.deployment.spec.template.spec.unwrap(),
        transfer.job.spec.unwrap().template.spec.unwrap(),
    ];
    for (number, spec) in specs.into_iter().enumerate() {
        let mut pod = Pod {
            spec: Some(spec),
            ..Pod::default()
        };
        pod.metadata.name = Some(format!("pod-{number}"));
        pod.metadata.namespace = Some(ns.clone());
        client.create(&pod, "us").await.unwrap();
    }
}
