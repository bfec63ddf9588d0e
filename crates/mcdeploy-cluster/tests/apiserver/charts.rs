//! What the charts' accounts may do, asked of the API server's own RBAC.

use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::{PersistentVolume, PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::{ClusterRole, Role},
};
use mcdeploy_api::names;
use mcdeploy_cluster::ClusterClient;

use crate::support::{Shared, template};

const SYSTEM: &str = "mcdeploy-system";
const CRD: &str = "mcdeploy.dev";

/// `resource[/subresource][:name]` of a group, in a namespace or everywhere (`""`).
type Right = (&'static str, &'static str, &'static str, &'static str);

/// `account`: a `ServiceAccount` of the system namespace, or a group.
async fn allowed(client: &ClusterClient, account: &str, right: Right) -> bool {
    let (verb, group, resource, namespace) = right;
    let (resource, name) = resource.split_once(':').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let is_group = account == names::HUB_GROUP;
    let user = format!("system:serviceaccount:{SYSTEM}:{account}");
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user).filter(|_| !is_group),
            groups: is_group.then(|| vec![account.to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = client.create(&review, "test").await.unwrap();
    answer.status.unwrap().allowed
}

async fn check(account: &str, may: &[Right], may_not: &[Right]) {
    let shared = Shared::get();
    let client = shared.client();
    for right in may {
        assert!(
            allowed(&client, account, *right).await,
            "{account} must: {right:?}"
        );
    }
    for right in may_not {
        assert!(
            !allowed(&client, account, *right).await,
            "{account} must not: {right:?}"
        );
    }
}

#[tokio::test]
async fn the_operator_may_do_its_work_in_the_hub_and_no_more() {
    let may = [
        ("list", CRD, "modeldeployments", ""),
        ("watch", CRD, "memberclusters", ""),
        ("patch", CRD, "modeldeployments/status", "default"),
        ("patch", CRD, "modeldeployments", "default"),
        ("update", CRD, "modeldeployments", "default"),
        ("patch", CRD, "memberclusters/status", ""),
        ("create", CRD, "modelrollouts", "default"),
        ("delete", CRD, "modelrollouts", "default"),
        ("create", CRD, "trafficpolicies", "default"),
        ("patch", CRD, "trafficpolicies/status", "default"),
        ("create", "apps", "controllerrevisions", "default"),
        ("delete", "apps", "controllerrevisions", "default"),
        ("get", "", "secrets", SYSTEM),
        ("update", "coordination.k8s.io", "leases", SYSTEM),
    ];
    let may_not = [
        ("get", "", "secrets", "default"),
        ("create", "", "secrets", SYSTEM),
        ("update", "coordination.k8s.io", "leases", "kube-system"),
        ("delete", CRD, "modeldeployments", "default"),
        ("delete", CRD, "modelversions", "default"),
        ("patch", CRD, "trafficpolicies", "default"),
        ("patch", CRD, "modelrollouts", "default"),
        ("create", "", "pods", "default"),
        ("create", "apps", "deployments", "default"),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
    ];
    check("mcdeploy-operator", &may, &may_not).await;
}

#[tokio::test]
async fn the_gateway_reads_routes_and_writes_what_it_applied() {
    let may = [
        ("watch", CRD, "routingsnapshots", ""),
        ("patch", CRD, "routingsnapshots/status", "default"),
        ("watch", "discovery.k8s.io", "endpointslices", ""),
    ];
    let may_not = [
        ("patch", CRD, "routingsnapshots", "default"),
        ("get", "", "secrets", SYSTEM),
        ("list", "", "pods", SYSTEM),
    ];
    check("mcdeploy-gateway", &may, &may_not).await;
}

#[tokio::test]
async fn the_agent_sees_one_secret_and_writes_reports() {
    let may = [
        ("get", "", "secrets:mcdeploy-node-cache", SYSTEM),
        ("watch", "", "secrets:mcdeploy-node-cache", SYSTEM),
        ("create", "", "configmaps", SYSTEM),
        ("patch", "", "configmaps", SYSTEM),
    ];
    let may_not = [
        ("get", "", "secrets", SYSTEM),
        ("list", "", "secrets", SYSTEM),
        ("get", "", "secrets:cluster-aws", SYSTEM),
        ("patch", "", "secrets:mcdeploy-node-cache", SYSTEM),
        ("get", "", "secrets:mcdeploy-node-cache", "default"),
        ("create", "", "configmaps", "default"),
        ("list", "", "pods", SYSTEM),
    ];
    check("mcdeploy-agent", &may, &may_not).await;
}

#[tokio::test]
async fn every_namespace_with_models_gets_a_claim_of_the_same_directory() {
    let shared = Shared::get();
    let client = shared.client();
    for namespace in [SYSTEM, "default"] {
        let claim = client.get::<PersistentVolumeClaim>(Some(namespace), names::CACHE_CLAIM);
        let claim = claim.await.unwrap().unwrap().spec.unwrap();
        let volume = client.get::<PersistentVolume>(None, claim.volume_name.as_ref().unwrap());
        let volume = volume.await.unwrap().unwrap().spec.unwrap();
        assert_eq!(volume.local.unwrap().path, "/var/lib/models");
        assert_eq!(
            volume.claim_ref.unwrap().namespace.as_deref(),
            Some(namespace)
        );
        assert_eq!(volume.capacity.unwrap()["storage"].0, "107374182400");
        assert!(volume.node_affinity.is_some());
    }
    let refused = template("member.cache.enabled=true,member.cache.path=/models").unwrap_err();
    assert!(refused.contains("member.cache.nodeSelector"), "{refused}");
    let without = template("member.cache.enabled=false").unwrap();
    assert!(!without.contains("PersistentVolume") && !without.contains("DaemonSet"));
}

#[tokio::test]
async fn the_hub_may_place_models_in_a_member_and_no_more() {
    let may = [
        ("patch", "apps", "deployments", "default"),
        ("create", "", "services", "default"),
        ("patch", "", "secrets", "default"),
        ("delete", "", "secrets", "default"),
        ("create", "batch", "jobs", SYSTEM),
        ("list", "", "pods", "default"),
        ("patch", CRD, "routingsnapshots", "default"),
        ("delete", CRD, "routingsnapshots", "default"),
        ("watch", CRD, "routingsnapshots", ""),
        ("watch", "", "services", SYSTEM),
        ("watch", "apps", "deployments", "default"),
        ("get", "", "secrets", "default"),
        ("get", "", "secrets", SYSTEM),
        ("get", "", "namespaces", ""),
    ];
    let may_not = [
        ("get", "", "secrets", "kube-system"),
        ("get", "", "secrets", "another"),
        ("get", "", "secrets", ""),
        ("list", "", "secrets", ""),
        ("list", "", "secrets", "default"),
        ("list", "", "secrets", SYSTEM),
        ("list", "apps", "deployments", ""),
        ("patch", "apps", "deployments", "kube-system"),
        ("create", "", "services", "another"),
        ("patch", CRD, "routingsnapshots", "another"),
        ("create", "", "namespaces", ""),
        ("create", "batch", "jobs", "default"),
        ("create", "", "pods", "default"),
        ("create", "", "pods/exec", "default"),
        ("delete", "", "namespaces", ""),
        ("list", "", "nodes", ""),
        ("patch", CRD, "routingsnapshots/status", "default"),
        ("create", "", "serviceaccounts/token", SYSTEM),
        ("impersonate", "", "users", ""),
        (
            "create",
            "rbac.authorization.k8s.io",
            "clusterrolebindings",
            "",
        ),
    ];
    check(names::HUB_SERVICE_ACCOUNT, &may, &may_not).await;
    // What a cloud makes of the operator's identity.
    check(names::HUB_GROUP, &may, &may_not).await;
}

/// Kinds and names of the bindings that give the rights for models, as helm renders them.
fn bindings_for_models(values: &str) -> Vec<(String, String)> {
    let rendered = template(values).unwrap();
    let documents = rendered.split("\n---\n");
    let is_binding = |text: &&str| text.contains("\n  name: mcdeploy-hub-models\n");
    let word = |text: &str, key: &str| {
        let mut lines = text.lines().map(str::trim);
        let found = lines.find_map(|line| line.strip_prefix(key).map(str::to_owned));
        found.unwrap_or_default()
    };
    let bindings = documents.filter(is_binding).map(|text| {
        let kind = word(text, "kind: ");
        (kind, word(text, "namespace: "))
    });
    bindings
        .filter(|(kind, _)| kind.ends_with("Binding"))
        .collect()
}

#[test]
fn rights_in_every_namespace_are_given_only_to_who_says_so() {
    let two = bindings_for_models("member.namespaces={default,team-a}");
    let local = |namespace: &str| ("RoleBinding".to_owned(), namespace.to_owned());
    assert_eq!(two, [local("default"), local("team-a")]);
    assert_eq!(
        bindings_for_models("member.gateway.replicas=2"),
        [local("default")]
    );
    let all = bindings_for_models("member.allNamespaces=true");
    assert_eq!(all[0].0, "ClusterRoleBinding");
    assert_eq!(all.len(), 1, "{all:?}");
    let refused = template("member.namespaces=null").unwrap_err();
    assert!(refused.contains("member.namespaces is empty"), "{refused}");
    assert!(refused.contains("member.allNamespaces=true"), "{refused}");
}

#[test]
fn amounts_and_environments_that_nobody_means_are_refused_by_the_schema() {
    let limits = "member.gateway.resources.limits";
    let env = "hub.extraEnv[0].name=A,hub.extraEnv[0].value";
    for (value, says) in [
        (format!("{limits}.memory=512m"), "(Mi|Gi|Ti|M|G|T)"),
        (format!("{limits}.memory=2GB"), "(Mi|Gi|Ti|M|G|T)"),
        (format!("{limits}.memory=512"), "string"),
        (format!("{limits}.cpu=500Mi"), "m?$"),
        ("member.gateway.resources.limit.cpu=1".to_owned(), "limit"),
        (format!("{env}=8080"), "string"),
    ] {
        let refused = template(&value).unwrap_err();
        assert!(refused.contains(says), "{value}: {refused}");
    }
    for value in [
        format!("{limits}.memory=1.5Gi"),
        format!("{limits}.cpu=2"),
        format!("{limits}.cpu=500m"),
        format!("{env}=text"),
    ] {
        template(&value).unwrap();
    }
}

#[tokio::test]
async fn accounts_that_terraform_trusts_are_there_and_have_no_rights() {
    let shared = Shared::get();
    let client = shared.client();
    for cloud in ["aws", "azure", "gcp"] {
        let pinned = |name| terraform_default(cloud, name);
        assert_eq!(pinned("system_namespace"), names::SYSTEM_NAMESPACE);
        assert_eq!(
            pinned("hub_service_account"),
            names::OPERATOR_SERVICE_ACCOUNT
        );
        assert_eq!(
            pinned("transfer_service_account"),
            names::TRANSFER_SERVICE_ACCOUNT
        );
        let models = format!("default/{}", names::MODEL_SERVICE_ACCOUNT);
        assert_eq!(pinned("model_service_accounts"), models);
    }
    for (namespace, name) in [
        (SYSTEM, names::OPERATOR_SERVICE_ACCOUNT),
        (SYSTEM, names::TRANSFER_SERVICE_ACCOUNT),
        ("default", names::MODEL_SERVICE_ACCOUNT),
    ] {
        let found: Option<ServiceAccount> = client.get(Some(namespace), name).await.unwrap();
        assert!(found.is_some(), "{namespace}/{name}");
    }
    let may_not = [
        ("get", "", "secrets", SYSTEM),
        ("list", "", "pods", "default"),
    ];
    check(names::TRANSFER_SERVICE_ACCOUNT, &[], &may_not).await;
    let found: Deployment = client
        .get(Some(SYSTEM), "mcdeploy-operator")
        .await
        .unwrap()
        .unwrap();
    let account = found.spec.template.spec.unwrap().service_account_name;
    assert_eq!(account.as_deref(), Some(names::OPERATOR_SERVICE_ACCOUNT));
}

/// The one word in quotes that a variable of an identity module has as its default.
fn terraform_default(cloud: &str, variable: &str) -> String {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join(format!("terraform/modules/{cloud}/identity/variables.tf"));
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, body) = text
        .split_once(&format!("variable \"{variable}\" {{"))
        .unwrap();
    let mut lines = body.lines().map(str::trim_start);
    let default = lines.find(|line| line.starts_with("default ")).unwrap();
    default.split('"').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn no_role_of_the_chart_has_a_star() {
    let shared = Shared::get();
    let client = shared.client();
    let selector = "app.kubernetes.io/name=mcdeploy";
    let cluster: Vec<ClusterRole> = client.list(None, selector).await.unwrap();
    let local: Vec<Role> = client.list(Some(SYSTEM), selector).await.unwrap();
    let rules = cluster.into_iter().filter_map(|r| r.rules);
    let rules: Vec<_> = rules
        .chain(local.into_iter().filter_map(|r| r.rules))
        .flatten()
        .collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let text = serde_json::to_string(&rule).unwrap();
        assert!(!text.contains('*'), "{text}");
    }
}

#[tokio::test]
async fn nothing_but_the_gateways_own_port_is_open_to_all() {
    let shared = Shared::get();
    let client = shared.client();
    let open = async |name| {
        let found: Option<NetworkPolicy> = client.get(Some(SYSTEM), name).await.unwrap();
        let spec = found.unwrap().spec.unwrap();
        assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
        let rules = spec.ingress.unwrap_or_default();
        serde_json::to_string(&rules).unwrap()
    };
    assert_eq!(open("mcdeploy-operator").await, "[]");
    let http = r#"[{"ports":[{"port":"http","protocol":"TCP"}]}]"#;
    assert_eq!(open("mcdeploy-gateway").await, http);
    let told = template("networkPolicy.metricsFrom[0].podSelector.matchLabels.app=p").unwrap();
    assert!(told.contains("port: admin"), "{told}");
    let without = template("networkPolicy.enabled=false").unwrap();
    assert!(!without.contains("NetworkPolicy"));
}

#[test]
fn tls_for_clients_is_a_mounted_secret_with_a_port_of_its_own() {
    let with = template("member.gateway.tls.secretName=inference-tls").unwrap();
    let parts = [
        "--tls-dir=/etc/mcdeploy/tls",
        "mountPath: /etc/mcdeploy/tls",
        "secretName: inference-tls",
        "containerPort: 8443",
        "port: 443",
        "targetPort: https",
        "port: https",
    ];
    for part in parts {
        assert!(with.contains(part), "{part}: {with}");
    }
    let without = template("member.gateway.accessLog=all").unwrap();
    for part in ["--tls", "8443", "https"] {
        assert!(!without.contains(part), "{part}: {without}");
    }
    assert!(without.contains("--access-log=all"), "{without}");
}

#[tokio::test]
async fn the_gateway_stands_where_the_hub_looks_for_it() {
    let shared = Shared::get();
    let client = shared.client();
    let service: Service = client
        .get(Some(SYSTEM), mcdeploy_api::names::GATEWAY_SERVICE)
        .await
        .unwrap()
        .unwrap();
    let spec = service.spec.unwrap();
    assert_eq!(
        spec.ports.unwrap()[0].port,
        i32::from(mcdeploy_api::names::GATEWAY_PORT)
    );
    assert_eq!(client.gateway_address().await.unwrap(), None);
    let found: Deployment = client
        .get(Some(SYSTEM), "mcdeploy-gateway")
        .await
        .unwrap()
        .unwrap();
    let labels = found.spec.template.metadata.unwrap().labels.unwrap();
    for pair in mcdeploy_cluster::GATEWAY_SELECTOR.split(',') {
        let (key, value) = pair.split_once('=').unwrap();
        assert_eq!(labels.get(key).map(String::as_str), Some(value));
    }
    for (key, value) in spec.selector.unwrap() {
        assert_eq!(labels.get(&key), Some(&value));
    }
}
