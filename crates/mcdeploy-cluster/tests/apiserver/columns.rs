//! What `kubectl get` shows of each kind, in the API server's own words.

use http::{Request, header::ACCEPT};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use mcdeploy_api::{
    ArtifactStore, MemberCluster, ModelDeployment, ModelRollout, ModelVersion, RoutingSnapshot,
    Sha256Digest, TrafficPolicy, all_crds,
};
use mcdeploy_cluster::{ApiObject, ClusterClient, Force};
use serde_json::{Value, json};

use crate::support::{Shared, namespace};

const NS: &str = "columns";

/// One object, and a row of its table: names and cells, `Age` left out.
struct Shown {
    name: &'static str,
    spec: Value,
    status: Value,
    cells: Vec<(&'static str, Value)>,
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": "told",
            "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

async fn table<K>(client: &ClusterClient, namespace: Option<&str>, shown: Shown) -> String
where
    K: ApiObject,
{
    let Shown {
        name,
        spec,
        status,
        cells,
    } = shown;
    let mut object = json!({ "metadata": { "name": name }, "spec": spec });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    let object: K = serde_json::from_value(object).unwrap();
    client.apply(&object, "user", Force::Yes).await.unwrap();
    let patched = client.patch_status::<K>(namespace, name, &status, "user", None);
    patched.await.unwrap();
    let path = format!("{}/{name}", K::url_path(&(), namespace));
    let request = Request::get(path)
        .header(ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let answer: Value = client.kube().request(request).await.unwrap();
    assert_eq!(answer["kind"], "Table", "{answer}");
    let columns = answer["columnDefinitions"].as_array().unwrap();
    let row = answer["rows"][0]["cells"].as_array().unwrap();
    let told = columns.iter().zip(row);
    let told: Vec<_> = told
        .map(|(column, cell)| (column["name"].as_str().unwrap(), cell.clone()))
        .collect();
    let (ages, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|(name, _)| *name == "Age");
    assert_eq!(ages.len(), 1);
    assert!(
        ages[0].1.as_str().is_some_and(|age| !age.is_empty()),
        "{ages:?}"
    );
    let mut expected = vec![("Name", json!(name))];
    expected.extend(cells);
    assert_eq!(told, expected);
    K::kind(&()).into_owned()
}

async fn wide<K>(client: &ClusterClient, shown: Shown) -> String
where
    K: ApiObject + Resource<Scope = ClusterResourceScope>,
{
    table::<K>(client, None, shown).await
}

async fn local<K>(client: &ClusterClient, shown: Shown) -> String
where
    K: ApiObject + Resource<Scope = NamespaceResourceScope>,
{
    table::<K>(client, Some(NS), shown).await
}

fn member() -> Shown {
    Shown {
        name: "shown",
        spec: json!({ "provider": "aws", "region": "us-east-1", "jurisdiction": "US",
            "artifactStoreRef": { "name": "aws" },
            "access": { "kubeconfigSecretRef": { "name": "cluster-shown" } } }),
        status: json!({
            "gatewayAddress": "192.0.2.1:80", "kubernetesVersion": "v1.37.2",
            "conditions": [condition("Ready", "False", "StoreNotFound"),
                           condition("Reachable", "True", "AsDesired")],
        }),
        cells: vec![
            ("Provider", json!("aws")),
            ("Region", json!("us-east-1")),
            ("Jurisdiction", json!("US")),
            ("Ready", json!("False")),
            ("Reachable", json!("True")),
            ("Reason", json!("StoreNotFound")),
            ("Gateway", json!("192.0.2.1:80")),
            ("Version", json!("v1.37.2")),
        ],
    }
}

fn store() -> Shown {
    Shown {
        name: "shown",
        spec: json!({ "provider": "gcp", "region": "europe-west4", "jurisdiction": "NL",
            "location": { "gcs": { "bucket": "models" } }, "auth": { "ambient": {} } }),
        status: json!({ "conditions": [condition("Ready", "Unknown", "StoreUnreachable")] }),
        cells: vec![
            ("Provider", json!("gcp")),
            ("Region", json!("europe-west4")),
            ("Jurisdiction", json!("NL")),
            ("Ready", json!("Unknown")),
            ("Reason", json!("StoreUnreachable")),
        ],
    }
}

fn version() -> Shown {
    let digest = Sha256Digest::of("shown");
    Shown {
        name: "digits-v3",
        spec: json!({ "model": "digits", "version": "v3", "manifestDigest": digest,
            "sizeBytes": 12345, "storeRef": { "name": "aws" } }),
        status: json!({ "conditions": [condition("Replicated", "False", "ArtifactMissing")] }),
        cells: vec![
            ("Model", json!("digits")),
            ("Version", json!("v3")),
            ("Bytes", json!(12345)),
            ("Replicated", json!("False")),
            ("Digest", json!(digest)),
        ],
    }
}

fn deployment() -> Shown {
    let image = format!("r.example.com/m@{}", Sha256Digest::of("m"));
    Shown {
        name: "digits",
        spec: json!({ "modelVersionRef": { "name": "digits-v3" }, "container": { "image": image },
            "placement": { "providers": ["aws"] } }),
        status: json!({ "servingClusters": "1/2",
            "conditions": [condition("Ready", "False", "RollingOut"),
                           condition("MixedRevisions", "True", "RollingOut")] }),
        cells: vec![
            ("Version", json!("digits-v3")),
            ("Ready", json!("False")),
            ("Reason", json!("RollingOut")),
            ("Clusters", json!("1/2")),
            ("Mixed", json!("True")),
        ],
    }
}

fn rollout() -> Shown {
    Shown {
        name: "digits-1",
        spec: json!({ "deploymentRef": { "name": "digits" }, "deploymentGeneration": 1,
            "toRevision": "0a1b2c3d4e", "toVersion": "v3", "waves": [],
            "requestedBy": "ana@laptop" }),
        status: json!({ "conditions": [condition("Complete", "False", "Incomplete")] }),
        cells: vec![
            ("Deployment", json!("digits")),
            ("Version", json!("v3")),
            ("Complete", json!("False")),
            ("Reason", json!("Incomplete")),
            ("By", json!("ana@laptop")),
        ],
    }
}

fn policy() -> Shown {
    Shown {
        name: "digits",
        spec: json!({ "deploymentRef": { "name": "digits" } }),
        status: json!({ "epoch": { "term": 3, "seq": 14 },
            "conditions": [condition("Ready", "True", "AsDesired")] }),
        cells: vec![
            ("Deployment", json!("digits")),
            ("Term", json!(3)),
            ("Seq", json!(14)),
            ("Ready", json!("True")),
        ],
    }
}

fn snapshot() -> Shown {
    Shown {
        name: "digits",
        spec: json!({ "model": "digits", "epoch": { "term": 3, "seq": 14 }, "hash": "0a1b",
            "cluster": "aws", "repeatable": true, "revisions": [], "regions": [] }),
        status: json!({ "applied": [] }),
        cells: vec![
            ("Model", json!("digits")),
            ("Term", json!(3)),
            ("Seq", json!(14)),
            ("Hash", json!("0a1b")),
        ],
    }
}

#[tokio::test]
async fn every_kind_shows_its_values_in_a_table() {
    let shared = Shared::get();
    let client = shared.client();
    namespace(&client, NS).await;
    let mut shown = vec![
        wide::<MemberCluster>(&client, member()).await,
        wide::<ArtifactStore>(&client, store()).await,
        local::<ModelVersion>(&client, version()).await,
        local::<ModelDeployment>(&client, deployment()).await,
        local::<ModelRollout>(&client, rollout()).await,
        local::<TrafficPolicy>(&client, policy()).await,
        local::<RoutingSnapshot>(&client, snapshot()).await,
    ];
    let mut kinds: Vec<_> = all_crds()
        .into_iter()
        .map(|crd| crd.spec.names.kind)
        .collect();
    shown.sort();
    kinds.sort();
    assert_eq!(shown, kinds);
}
