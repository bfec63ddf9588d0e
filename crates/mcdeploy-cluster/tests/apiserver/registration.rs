//! `mcdeploy clusters add`, with one API server as hub and member.

use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Secret,
};
use mcdeploy_api::{ErrorClass, MemberCluster, Provider, names};
use mcdeploy_cluster::{
    ClientSettings, ClusterClient, MemberRegistration, RegisterError, parse_kubeconfig,
    register_member,
};

use crate::support::Shared;

fn request(name: &str) -> MemberRegistration {
    MemberRegistration {
        name: name.to_owned(),
        provider: Provider::Aws,
        region: "us-east-1".to_owned(),
        jurisdiction: Some("US".to_owned()),
        artifact_store: "aws".to_owned(),
        image_registry: None,
        node_cache: None,
        ingress: None,
        server: None,
        token_lifetime: MemberRegistration::TOKEN_LIFETIME,
    }
}

async fn stored_kubeconfig(hub: &ClusterClient, name: &str) -> Option<String> {
    let secret: Option<Secret> = hub
        .get(
            Some(names::SYSTEM_NAMESPACE),
            &names::cluster_secret_name(name),
        )
        .await
        .unwrap();
    let value = secret?.data?.remove(names::KUBECONFIG_KEY)?;
    Some(String::from_utf8(value.0).unwrap())
}

/// As `kubectl auth can-i get secrets` asks, with the client's own token.
async fn may_get_secrets(client: &ClusterClient, namespace: &str) -> bool {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some("get".to_owned()),
                resource: Some("secrets".to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = client.create(&review, "test").await.unwrap();
    answer.status.unwrap().allowed
}

#[tokio::test]
async fn a_member_is_added_with_a_token_that_can_do_the_hubs_work() {
    let shared = Shared::get();
    let (hub, member) = (shared.client(), shared.client());
    let done = register_member(&hub, &member, &request("aws"))
        .await
        .unwrap();
    assert_eq!(done.secret, "cluster-aws");
    assert!(done.kubernetes_version.starts_with("v1."));
    let text = stored_kubeconfig(&hub, "aws").await.unwrap();
    assert!(parse_kubeconfig(&text).is_ok());
    let as_hub = ClusterClient::from_kubeconfig("aws", &text).unwrap();
    as_hub
        .list::<Deployment>(Some("default"), "")
        .await
        .unwrap();
    let refused = as_hub.list::<Secret>(None, "").await.unwrap_err();
    assert_eq!(
        refused.reason(),
        mcdeploy_api::Reason::AuthFailed,
        "{refused}"
    );
    let elsewhere = as_hub.get::<Secret>(Some("kube-system"), "any").await;
    let refused = elsewhere.unwrap_err();
    assert_eq!(
        refused.reason(),
        mcdeploy_api::Reason::AuthFailed,
        "{refused}"
    );
    assert!(may_get_secrets(&as_hub, "default").await);
    assert!(!may_get_secrets(&as_hub, "kube-system").await);
    let cluster: MemberCluster = hub.get(None, "aws").await.unwrap().unwrap();
    let reference = cluster.spec.access.kubeconfig_secret_ref.unwrap();
    assert_eq!(reference.name, "cluster-aws");
    assert_eq!(cluster.spec.jurisdiction.as_deref(), Some("US"));
    register_member(&hub, &member, &request("aws"))
        .await
        .unwrap();
    let renewed = stored_kubeconfig(&hub, "aws").await.unwrap();
    assert_ne!(renewed, text, "a second time renews the token");
}

#[tokio::test]
async fn a_name_of_another_provider_is_refused_and_nothing_changes() {
    let shared = Shared::get();
    let hub = shared.client();
    register_member(&hub, &hub, &request("taken"))
        .await
        .unwrap();
    let before = stored_kubeconfig(&hub, "taken").await;
    let mut other = request("taken");
    other.provider = Provider::Gcp;
    let error = register_member(&hub, &hub, &other).await.unwrap_err();
    assert!(
        matches!(error, RegisterError::OtherProvider { .. }),
        "{error}"
    );
    assert_eq!(stored_kubeconfig(&hub, "taken").await, before);
}

#[tokio::test]
async fn a_cluster_without_the_chart_is_told_what_to_install() {
    let server = mcdeploy_sandbox::testing::TestApiServer::start()
        .await
        .unwrap();
    let bare = ClusterClient::from_kubeconfig("bare", server.kubeconfig()).unwrap();
    let error = register_member(&bare, &bare, &request("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegisterError::HubChart), "{error}");
    let shared = Shared::get();
    let error = register_member(&shared.client(), &bare, &request("x"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent);
    assert!(error.to_string().contains("helm install"), "{error}");
    assert!(stored_kubeconfig(&shared.client(), "x").await.is_none());
}

#[tokio::test]
async fn a_member_is_known_by_its_certificates_name_or_not_added_at_all() {
    let shared = Shared::get();
    let hub = shared.client();
    let client = |change: &dyn Fn(&mut kube::Config)| {
        let mut config = parse_kubeconfig(shared.kubeconfig()).unwrap();
        change(&mut config);
        ClusterClient::new("named", config, ClientSettings::default()).unwrap()
    };
    // The address by which the hub reaches it is not in the certificate.
    let by_name = client(&|config| {
        config.tls_server_name = Some("kubernetes.default.svc".to_owned());
    });
    register_member(&hub, &by_name, &request("named"))
        .await
        .unwrap();
    let text = stored_kubeconfig(&hub, "named").await.unwrap();
    let stored = parse_kubeconfig(&text).unwrap();
    assert_eq!(
        stored.tls_server_name.as_deref(),
        Some("kubernetes.default.svc")
    );

    let unchecked = client(&|config| config.accept_invalid_certs = true);
    let error = register_member(&hub, &unchecked, &request("unchecked")).await;
    let error = error.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent);
    assert!(
        error.to_string().contains("insecure-skip-tls-verify"),
        "{error}"
    );

    let mut plain = request("plain");
    plain.server = Some("http://10.0.0.1:8080".to_owned());
    let error = register_member(&hub, &hub, &plain).await.unwrap_err();
    assert!(error.to_string().contains("https://"), "{error}");
    assert!(matches!(error, RegisterError::Unusable { .. }), "{error}");

    let mut elsewhere = request("elsewhere");
    elsewhere.server = Some("https://127.0.0.1:1".to_owned());
    let error = register_member(&hub, &hub, &elsewhere).await.unwrap_err();
    assert!(matches!(error, RegisterError::NotReached { .. }), "{error}");
    assert!(error.to_string().contains("--server"), "{error}");
    for name in ["unchecked", "plain", "elsewhere"] {
        assert!(stored_kubeconfig(&hub, name).await.is_none(), "{name}");
    }
}
