//! What the programs tell of themselves: metrics, and no secret in any of their words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, LogParams},
};
use mcdeploy_api::{all_crds, names};

use crate::fixture::Fixture;

const ADMIN_PORT: u16 = 9090;
/// Shorter values stand in too many texts by chance.
const MIN_SECRET_CHARS: usize = 12;

async fn pods(client: &Client, namespace: &str, labels: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_ours = ListParams::default().labels(labels);
    pods.list(&of_ours).await.unwrap().items
}

/// The metrics of a pod of ours, through the API server.
async fn metrics(client: &Client, pod: &str) -> String {
    let system = names::SYSTEM_NAMESPACE;
    let path = format!("/api/v1/namespaces/{system}/pods/{pod}:{ADMIN_PORT}/proxy/metrics");
    let request = http::Request::get(path).body(vec![]).unwrap();
    client.request_text(request).await.unwrap()
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn one_operator_leads_and_its_metrics_say_so_and_whom_it_sees() {
    let fixture = Fixture::new().await;
    let operators = pods(
        &fixture.hub,
        names::SYSTEM_NAMESPACE,
        "app.kubernetes.io/component=operator",
    )
    .await;
    assert_eq!(operators.len(), 2);
    let mut leading = 0;
    for operator in operators {
        let told = metrics(&fixture.hub, &operator.name_any()).await;
        let leads = value(&told, "mcdeploy_operator_leading").expect(&told);
        if leads > 0.0 {
            leading += 1;
            assert_eq!(value(&told, "mcdeploy_operator_members_seen"), Some(3.0));
            assert!(told.contains("mcdeploy_operator_reconciles"), "{told}");
        }
    }
    assert_eq!(leading, 1);
}

/// The token in a kubeconfig: a JWT, which begins like every JSON object in base64.
fn token(text: &str) -> Option<&str> {
    let from = &text[text.find("eyJ")?..];
    from.split(['"', '\n', ' ']).next()
}

/// Credentials of stores, and tokens of member clusters, by where they are kept.
async fn secrets(hub: &Client) -> BTreeMap<String, String> {
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), names::SYSTEM_NAMESPACE);
    let mut found = BTreeMap::new();
    for secret in secrets.list(&ListParams::default()).await.unwrap() {
        let name = secret.name_any();
        if name.starts_with("sh.helm.") {
            continue;
        }
        for (key, bytes) in secret.data.unwrap_or_default() {
            let text = String::from_utf8(bytes.0).unwrap();
            let value = token(&text).unwrap_or(&text).to_owned();
            if value.len() >= MIN_SECRET_CHARS && !value.contains('\n') {
                found.insert(format!("{name}/{key}"), value);
            }
        }
    }
    found
}

/// Logs, events and objects of our kinds in a cluster, by what they are.
async fn told(client: &Client) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for (namespace, labels) in [
        (names::SYSTEM_NAMESPACE, ""),
        ("default", names::LABEL_MODEL),
    ] {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        for pod in pods(client, namespace, labels).await {
            let name = pod.name_any();
            told.insert(format!("pod {name}"), format!("{:?}", pod.status));
            let spec = pod.spec.unwrap();
            let inits = spec.init_containers.unwrap_or_default();
            for container in spec.containers.into_iter().chain(inits) {
                let of = LogParams {
                    container: Some(container.name.clone()),
                    ..LogParams::default()
                };
                let log = api.logs(&name, &of).await.unwrap_or_default();
                told.insert(format!("log of {name}/{}", container.name), log);
            }
        }
    }
    let events: Api<Event> = Api::all(client.clone());
    for event in events.list(&ListParams::default()).await.unwrap() {
        told.insert(format!("event {}", event.name_any()), format!("{event:?}"));
    }
    for crd in all_crds() {
        let kind = &crd.spec.names.kind;
        let resource = ApiResource {
            group: crd.spec.group.clone(),
            version: "v1alpha1".to_owned(),
            api_version: format!("{}/v1alpha1", crd.spec.group),
            kind: kind.clone(),
            plural: crd.spec.names.plural.clone(),
        };
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in all.list(&ListParams::default()).await.unwrap() {
            let text = serde_json::to_string(&object).unwrap();
            told.insert(format!("{kind} {}", object.name_any()), text);
        }
    }
    told
}

#[tokio::test]
async fn no_secret_is_in_any_log_event_status_or_metric() {
    let fixture = Fixture::new().await;
    let secrets = secrets(&fixture.hub).await;
    // Tokens of three clusters, and what S3 and Azure take.
    assert!(secrets.len() >= 5, "{:?}", secrets.keys());
    let (mut texts, mut logs) = (0, 0);
    for cloud in ["hub", "aws", "gcp", "azure"] {
        let client = fixture.sandbox.client(cloud).await.unwrap();
        let mut told = told(&client).await;
        let ours = pods(&client, names::SYSTEM_NAMESPACE, "").await;
        let serving = ours.iter().filter(|pod| {
            let component = pod.labels().get("app.kubernetes.io/component");
            component.is_some_and(|word| word == "operator" || word == "gateway")
        });
        for pod in serving {
            let name = pod.name_any();
            let text = metrics(&client, &name).await;
            told.insert(format!("metrics of {name}"), text);
        }
        for (what, text) in &told {
            texts += 1;
            logs += usize::from(what.starts_with("log") && !text.is_empty());
            for (whose, secret) in &secrets {
                assert!(
                    !text.contains(secret.as_str()),
                    "{whose} is in {cloud}: {what}"
                );
            }
        }
    }
    assert!(logs > 5 && texts > 50, "{logs} logs, {texts} texts");
}
