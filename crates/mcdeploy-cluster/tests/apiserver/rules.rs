//! Every CEL rule of every kind, refused by the API server itself.

use std::collections::BTreeSet;

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use mcdeploy_api::{Sha256Digest, all_crds};
use mcdeploy_cluster::ClusterClient;
use serde_json::{Value, json};

use crate::support::{Shared, namespace};

const NS: &str = "rules";

/// What a rule refuses.
struct Row {
    kind: &'static str,
    /// Where in the schema the rule is.
    path: &'static str,
    /// Words of its message.
    says: &'static str,
    /// Name and spec that are taken.
    good: (String, Value),
    /// Name and spec that are not: of the same object, where the rule compares.
    bad: (String, Value),
}

fn row(
    (kind, path, says): (&'static str, &'static str, &'static str),
    good: (&str, Value),
    bad: (&str, Value),
) -> Row {
    let owned = |(name, spec): (&str, Value)| (name.to_owned(), spec);
    Row {
        kind,
        path,
        says,
        good: owned(good),
        bad: owned(bad),
    }
}

/// `base` with one more field.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    base.pointer_mut(parent).unwrap()[key] = value;
    base
}

fn store() -> Value {
    json!({ "provider": "aws", "region": "us-east-1",
            "location": { "s3": { "bucket": "models" } }, "auth": { "anonymous": {} } })
}

fn member() -> Value {
    json!({ "provider": "aws", "region": "us-east-1", "artifactStoreRef": { "name": "aws" },
            "access": { "kubeconfigSecretRef": { "name": "cluster-m" } } })
}

fn deployment() -> Value {
    let image = format!("r.example.com/m@{}", Sha256Digest::of("m"));
    json!({ "modelVersionRef": { "name": "digits-v3" }, "container": { "image": image },
            "placement": { "providers": ["aws"] } })
}

/// A deployment whose container has an amount of a resource.
fn asking(what: &str, resource: &str, amount: &str) -> Value {
    let resources = json!({ what: { resource: amount } });
    with(deployment(), "/container/resources", resources)
}

fn version(model: &str, version: &str, bytes: &str) -> Value {
    json!({ "model": model, "version": version, "manifestDigest": Sha256Digest::of(bytes),
            "sizeBytes": 1, "storeRef": { "name": "aws" } })
}

fn rollout(version: &str) -> Value {
    json!({ "deploymentRef": { "name": "digits" }, "deploymentGeneration": 1,
            "toRevision": "0a1b2c3d4e", "toVersion": version, "waves": [] })
}

fn policy(deployment: &str) -> Value {
    json!({ "deploymentRef": { "name": deployment } })
}

fn snapshot(term: i64, seq: i64, hash: &str) -> Value {
    json!({ "model": "digits", "epoch": { "term": term, "seq": seq }, "hash": hash,
            "cluster": "aws", "repeatable": true, "revisions": [], "regions": [] })
}

fn of_stores() -> Vec<Row> {
    vec![
        row(
            ("ArtifactStore", "spec.provider", "provider is immutable"),
            ("store-moved", store()),
            ("store-moved", with(store(), "/provider", json!("gcp"))),
        ),
        row(
            (
                "ArtifactStore",
                "spec.location",
                "exactly one of s3, azureBlob, gcs",
            ),
            ("store-location", store()),
            (
                "store-location",
                with(store(), "/location/gcs", json!({ "bucket": "models" })),
            ),
        ),
        row(
            (
                "ArtifactStore",
                "spec.auth",
                "exactly one of secretRef, anonymous, ambient",
            ),
            ("store-auth", store()),
            ("store-auth", with(store(), "/auth/ambient", json!({}))),
        ),
        row(
            (
                "ArtifactStore",
                "spec.auth",
                "readSecretRef goes with secretRef",
            ),
            (
                "store-reader",
                with(
                    store(),
                    "/auth",
                    json!({ "secretRef": { "name": "w" }, "readSecretRef": { "name": "r" } }),
                ),
            ),
            (
                "store-reader",
                with(store(), "/auth/readSecretRef", json!({ "name": "r" })),
            ),
        ),
    ]
}

fn of_members() -> Vec<Row> {
    let long = "m".repeat(41);
    let gke = json!({ "gke": { "projectId": "p-one-1", "location": "europe-west4",
        "clusterName": "one", "serviceAccount": "hub@p-one.iam.gserviceaccount.com",
        "endpoint": "https://gke.example.com", "caData": "Zm9v" } });
    let eks = json!({ "clusterName": "one", "region": "us-east-1", "accountId": "123456789012",
        "roleArn": "arn:aws:iam::123456789012:role/hub", "endpoint": "https://eks.example.com",
        "caData": "Zm9v" });
    vec![
        row(
            ("MemberCluster", "", "at most 40 characters"),
            (&long[..40], member()),
            (&long, member()),
        ),
        row(
            (
                "MemberCluster",
                "",
                "eks is for provider aws, gke for gcp, aks for azure",
            ),
            ("member-gke", member()),
            ("member-gke", with(member(), "/access", gke)),
        ),
        row(
            ("MemberCluster", "spec.provider", "provider is immutable"),
            ("member-moved", member()),
            ("member-moved", with(member(), "/provider", json!("gcp"))),
        ),
        row(
            (
                "MemberCluster",
                "spec.access",
                "exactly one of kubeconfigSecretRef, eks, gke, aks",
            ),
            ("member-access", member()),
            ("member-access", with(member(), "/access/eks", eks)),
        ),
    ]
}

fn of_models() -> Vec<Row> {
    let long = "d".repeat(41);
    let nothing = || json!({ "providers": [] });
    vec![
        row(
            ("ModelVersion", "", "named <model>-<version>"),
            ("digits-v1", version("digits", "v1", "old")),
            ("digits-v2", version("digits", "v1", "old")),
        ),
        row(
            ("ModelVersion", "spec", "manifestDigest is immutable"),
            ("digits-v3", version("digits", "v3", "old")),
            ("digits-v3", version("digits", "v3", "new")),
        ),
        row(
            ("ModelVersion", "spec", "model and version are immutable"),
            ("a-b-c", version("a", "b-c", "old")),
            ("a-b-c", version("a-b", "c", "old")),
        ),
        row(
            ("ModelDeployment", "", "at most 40 characters"),
            (&long[..40], deployment()),
            (&long, deployment()),
        ),
        row(
            (
                "ModelDeployment",
                "",
                "begins with a letter and has no dots",
            ),
            ("digits", deployment()),
            ("3.digits", deployment()),
        ),
        row(
            (
                "ModelDeployment",
                "spec.placement",
                "at least one provider or cluster",
            ),
            ("placed", deployment()),
            ("placed", with(deployment(), "/placement", nothing())),
        ),
        row(
            (
                "ModelDeployment",
                "spec.scope",
                "at least one provider or cluster",
            ),
            ("scoped", deployment()),
            ("scoped", with(deployment(), "/scope", nothing())),
        ),
    ]
}

fn of_containers() -> Vec<Row> {
    vec![
        row(
            (
                "ModelDeployment",
                "spec.container.resources",
                "512m is half a byte",
            ),
            ("amounts", asking("limits", "memory", "512Mi")),
            ("amounts", asking("limits", "memory", "512m")),
        ),
        row(
            (
                "ModelDeployment",
                "spec.container.resources",
                "cpu is a number of cores",
            ),
            ("cores", asking("requests", "cpu", "500m")),
            ("cores", asking("requests", "cpu", "500Mi")),
        ),
    ]
}

fn of_the_operators_own() -> Vec<Row> {
    vec![
        row(
            ("ModelRollout", "spec", "a ModelRollout is immutable"),
            ("digits-1", rollout("v2")),
            ("digits-1", rollout("v3")),
        ),
        row(
            (
                "TrafficPolicy",
                "spec.deploymentRef",
                "deploymentRef is immutable",
            ),
            ("digits", policy("digits")),
            ("digits", policy("letters")),
        ),
        row(
            ("RoutingSnapshot", "spec", "epoch only rises"),
            ("digits", snapshot(2, 2, "a")),
            ("digits", snapshot(2, 1, "b")),
        ),
    ]
}

fn rows() -> Vec<Row> {
    let all = [
        of_stores(),
        of_members(),
        of_models(),
        of_containers(),
        of_the_operators_own(),
    ];
    all.into_iter().flatten().collect()
}

/// Kind, path and message of every rule within a schema.
fn rules(kind: &str, path: &str, schema: &Value, found: &mut Vec<(String, String, String)>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let message = rule["message"]
            .as_str()
            .or(rule["messageExpression"].as_str());
        let message = message.unwrap_or("it says nothing");
        found.push((kind.to_owned(), path.to_owned(), message.to_owned()));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        rules(kind, &format!("{path}{dot}{name}"), field, found);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            rules(kind, &format!("{path}[]"), &schema[inner], found);
        }
    }
}

#[test]
fn every_rule_of_the_kinds_has_a_row() {
    let mut found = Vec::new();
    for crd in all_crds() {
        let crd = serde_json::to_value(&crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        rules(&kind, "", schema, &mut found);
    }
    let rows = rows();
    let is_of = |row: &Row, (kind, path, says): &(String, String, String)| {
        row.kind == kind && row.path == path && says.contains(row.says)
    };
    for rule in &found {
        let of_rule = rows.iter().filter(|row| is_of(row, rule));
        assert_eq!(of_rule.count(), 1, "rows of {rule:?}");
    }
    assert_eq!(found.len(), rows.len());
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "two rules look the same");
}

async fn apply(
    client: &ClusterClient,
    kind: &str,
    (name, spec): &(String, Value),
) -> kube::Result<DynamicObject> {
    let gvk = GroupVersionKind::gvk("mcdeploy.dev", "v1alpha1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &format!("{}s", plural(kind)));
    let cluster_scoped = matches!(kind, "ArtifactStore" | "MemberCluster");
    let api = if cluster_scoped {
        Api::all_with(client.kube().clone(), &resource)
    } else {
        Api::namespaced_with(client.kube().clone(), NS, &resource)
    };
    let mut object = DynamicObject::new(name, &resource);
    object.data = json!({ "spec": spec });
    let params = PatchParams::apply("user").force();
    api.patch(name, &params, &Patch::Apply(&object)).await
}

/// All kinds add an s, but the policy.
fn plural(kind: &str) -> String {
    let word = kind.to_lowercase();
    word.strip_suffix('y')
        .map_or(word.clone(), |stem| format!("{stem}ie"))
}

#[tokio::test]
async fn every_rule_refuses_what_it_is_for() {
    let shared = Shared::get();
    let client = shared.client();
    namespace(&client, NS).await;
    for row in rows() {
        let Row {
            kind,
            path,
            says,
            good,
            bad,
        } = row;
        let taken = apply(&client, kind, &good).await;
        taken.unwrap_or_else(|error| panic!("{kind} {path} {says:?}: {error}"));
        let refused = apply(&client, kind, &bad).await;
        let Err(kube::Error::Api(status)) = refused else {
            panic!("{kind} {path} {says:?} took {bad:?}");
        };
        assert_eq!(status.code, 422, "{status:?}");
        assert!(
            status.message.contains(says),
            "{says:?}: {}",
            status.message
        );
    }
}

#[tokio::test]
async fn amounts_that_nobody_means_are_refused_and_those_of_people_are_taken() {
    let shared = Shared::get();
    let client = shared.client();
    namespace(&client, NS).await;
    for (index, (resource, amount, is_good)) in [
        ("memory", "2GB", false),
        ("memory", "512", false),
        ("memory", "0.5", false),
        ("ephemeral-storage", "100m", false),
        ("memory", "1073741824", true),
        ("memory", "1.5Gi", true),
        ("cpu", "0.5", true),
        ("nvidia.com/gpu", "1", true),
    ]
    .into_iter()
    .enumerate()
    {
        for what in ["requests", "limits"] {
            let name = format!("amount-{what}-{index}");
            let object = (name, asking(what, resource, amount));
            let applied = apply(&client, "ModelDeployment", &object).await;
            assert_eq!(applied.is_ok(), is_good, "{resource} {amount}: {applied:?}");
        }
    }
}
