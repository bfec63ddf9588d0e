//! What the API server itself refuses, without any controller.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use mcdeploy_api::{
    ArtifactStore, MemberCluster, ModelDeployment, ModelRollout, ModelVersion, RoutingSnapshot,
    Sha256Digest, TrafficPolicy, all_crds,
};
use mcdeploy_cluster::{ApiObject, ClusterClient, ClusterError, Force};
use serde_json::{Value, json};

use crate::support::{Shared, namespace};

/// Applies JSON as it stands, as `kubectl` would.
async fn apply<K: ApiObject>(client: &ClusterClient, object: Value) -> Result<K, ClusterError> {
    let object: K = serde_json::from_value(object).unwrap();
    client.apply(&object, "user", Force::Yes).await
}

async fn refused<K: ApiObject>(client: &ClusterClient, object: Value, expected: &[&str]) {
    let error = apply::<K>(client, object.clone()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, ClusterError::Refused { code: 422, .. }),
        "{object}: {text}"
    );
    for part in expected {
        assert!(text.contains(part), "{object}: {text}");
    }
}

fn object<K: ApiObject>(ns: Option<&str>, name: &str, spec: Value) -> Value {
    let mut metadata = json!({ "name": name });
    if let Some(ns) = ns {
        metadata["namespace"] = ns.into();
    }
    json!({ "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": metadata, "spec": spec })
}

#[tokio::test]
async fn every_kind_is_established_with_a_status() {
    let shared = Shared::get();
    let client = shared.client();
    for crd in all_crds() {
        let name = crd.metadata.name.clone().unwrap();
        let found: CustomResourceDefinition = client.get(None, &name).await.unwrap().unwrap();
        let version = &found.spec.versions[0];
        assert!(
            version.subresources.as_ref().unwrap().status.is_some(),
            "{name}"
        );
        let conditions = found.status.unwrap().conditions.unwrap_or_default();
        let told = |kind: &str, status: &str| {
            conditions
                .iter()
                .any(|c| c.type_ == kind && c.status == status)
        };
        assert!(told("Established", "True"), "{name}: {conditions:?}");
        assert!(
            !told("NonStructuralSchema", "True"),
            "{name}: {conditions:?}"
        );
        let keep = found.metadata.annotations.unwrap_or_default();
        assert_eq!(
            keep.get("helm.sh/resource-policy").map(String::as_str),
            Some("keep")
        );
    }
}

fn version_of(ns: &str, digest: Sha256Digest) -> Value {
    object::<ModelVersion>(
        Some(ns),
        "digits-v3",
        json!({ "model": "digits", "version": "v3", "manifestDigest": digest,
                "sizeBytes": 1, "storeRef": { "name": "aws" } }),
    )
}

#[tokio::test]
async fn other_bytes_under_a_used_version_are_refused_with_both_digests() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "versions").await;
    let (old, new) = (Sha256Digest::of("old"), Sha256Digest::of("new"));
    apply::<ModelVersion>(&client, version_of(&ns, old))
        .await
        .unwrap();
    apply::<ModelVersion>(&client, version_of(&ns, old))
        .await
        .unwrap();
    let both = [old.to_string(), new.to_string()];
    refused::<ModelVersion>(
        &client,
        version_of(&ns, new),
        &[&both[0], &both[1], "immutable"],
    )
    .await;
    let mut renamed = version_of(&ns, old);
    renamed["metadata"]["name"] = "digits-v4".into();
    refused::<ModelVersion>(&client, renamed, &["<model>-<version>"]).await;
}

fn snapshot(ns: &str, term: i64, seq: i64, hash: &str) -> Value {
    object::<RoutingSnapshot>(
        Some(ns),
        "digits",
        json!({ "model": "digits", "epoch": { "term": term, "seq": seq }, "hash": hash,
                "cluster": "aws", "repeatable": true, "revisions": [], "regions": [] }),
    )
}

#[tokio::test]
async fn the_epoch_of_a_snapshot_only_rises() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "snapshots").await;
    for (term, seq, hash) in [(1, 1, "a"), (1, 2, "b"), (1, 2, "b"), (2, 0, "c")] {
        apply::<RoutingSnapshot>(&client, snapshot(&ns, term, seq, hash))
            .await
            .unwrap();
    }
    for (term, seq, hash) in [(1, 9, "d"), (2, 0, "d")] {
        let lower = snapshot(&ns, term, seq, hash);
        refused::<RoutingSnapshot>(&client, lower, &["epoch only rises"]).await;
    }
}

#[tokio::test]
async fn the_last_entries_of_a_snapshot_can_be_taken_away() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "emptied").await;
    let mut full = snapshot(&ns, 1, 1, "a");
    full["spec"]["revisions"] =
        json!([{ "revision": "r", "version": "v1", "service": "s", "weight": 100 }]);
    full["spec"]["regions"] = json!([{ "cluster": "gcp", "provider": "gcp",
        "address": "gcp:80", "weight": 1, "revisions": ["r"] }]);
    apply::<RoutingSnapshot>(&client, full).await.unwrap();
    let empty = snapshot(&ns, 1, 2, "b");
    let kept = apply::<RoutingSnapshot>(&client, empty).await.unwrap();
    assert!(kept.spec.revisions.is_empty() && kept.spec.regions.is_empty());
}

fn store_of(location: Value, auth: Value) -> Value {
    object::<ArtifactStore>(
        None,
        "store",
        json!({ "provider": "aws", "region": "us-east-1", "location": location, "auth": auth }),
    )
}

#[tokio::test]
async fn a_name_that_no_object_can_have_is_refused_where_it_is_written() {
    let shared = Shared::get();
    let client = shared.client();
    let s3 = || json!({ "s3": { "bucket": "models" } });
    let secret = |name: &str| json!({ "secretRef": { "name": name } });
    for name in ["my secret/x", "Store", "-a", "a..b"] {
        let store = store_of(s3(), secret(name));
        refused::<ArtifactStore>(&client, store, &["spec.auth.secretRef.name"]).await;
        let access = json!({ "kubeconfigSecretRef": { "name": name } });
        let spec = json!({ "provider": "aws", "region": "us-east-1",
                           "artifactStoreRef": { "name": "aws" }, "access": access });
        let member = object::<MemberCluster>(None, "bad-name", spec);
        let field = ["spec.access.kubeconfigSecretRef.name"];
        refused::<MemberCluster>(&client, member, &field).await;
    }
}

#[tokio::test]
async fn a_union_has_exactly_one_member() {
    let shared = Shared::get();
    let client = shared.client();
    let s3 = || json!({ "s3": { "bucket": "models" } });
    let both = json!({ "s3": { "bucket": "models" }, "gcs": { "bucket": "models" } });
    let anonymous = || json!({ "anonymous": {} });
    let one_location = ["exactly one of s3, azureBlob, gcs"];
    let one_auth = ["exactly one of secretRef, anonymous, ambient"];
    refused::<ArtifactStore>(&client, store_of(json!({}), anonymous()), &one_location).await;
    refused::<ArtifactStore>(&client, store_of(both, anonymous()), &one_location).await;
    refused::<ArtifactStore>(&client, store_of(s3(), json!({})), &one_auth).await;
    let two = json!({ "anonymous": {}, "ambient": {} });
    refused::<ArtifactStore>(&client, store_of(s3(), two), &one_auth).await;
    apply::<ArtifactStore>(&client, store_of(s3(), anonymous()))
        .await
        .unwrap();
    let mut moved = store_of(s3(), anonymous());
    moved["spec"]["provider"] = "gcp".into();
    refused::<ArtifactStore>(&client, moved, &["provider is immutable"]).await;
}

fn deployment(ns: &str, name: &str, placement: Value, image: &str) -> Value {
    object::<ModelDeployment>(
        Some(ns),
        name,
        json!({ "modelVersionRef": { "name": "digits-v3" }, "container": { "image": image },
                "placement": placement }),
    )
}

#[tokio::test]
async fn a_deployment_names_clusters_and_an_image_by_digest() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "deployments").await;
    let image = format!("r.example.com/m@{}", Sha256Digest::of("m"));
    let aws = || json!({ "providers": ["aws"] });
    let none = deployment(&ns, "digits", json!({}), &image);
    refused::<ModelDeployment>(&client, none, &["at least one provider or cluster"]).await;
    let tag = deployment(&ns, "digits", aws(), "r.example.com/m:latest");
    refused::<ModelDeployment>(&client, tag, &["container.image"]).await;
    let long = deployment(&ns, &"d".repeat(41), aws(), &image);
    refused::<ModelDeployment>(&client, long, &["at most 40 characters"]).await;
    for name in ["3d", "a.b"] {
        let odd = deployment(&ns, name, aws(), &image);
        refused::<ModelDeployment>(&client, odd, &["begins with a letter"]).await;
    }
    let good = deployment(&ns, "digits", aws(), &image);
    let made: ModelDeployment = apply(&client, good).await.unwrap();
    assert_eq!(made.spec.replicas, 1);
}

#[tokio::test]
async fn a_rollout_is_never_edited() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "rollouts").await;
    let rollout = |version: &str| {
        object::<ModelRollout>(
            Some(&ns),
            "digits-1",
            json!({ "deploymentRef": { "name": "digits" }, "deploymentGeneration": 1,
                    "toRevision": "0a1b2c3d4e", "toVersion": version, "waves": [] }),
        )
    };
    apply::<ModelRollout>(&client, rollout("v2")).await.unwrap();
    refused::<ModelRollout>(&client, rollout("v3"), &["a ModelRollout is immutable"]).await;
}

#[tokio::test]
async fn a_status_is_swapped_only_against_the_version_that_was_read() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "policies").await;
    let policy = object::<TrafficPolicy>(
        Some(&ns),
        "digits",
        json!({ "deploymentRef": { "name": "digits" } }),
    );
    let made: TrafficPolicy = apply(&client, policy).await.unwrap();
    let read = made.metadata.resource_version.unwrap();
    let status = |seq: i64| json!({ "epoch": { "term": 1, "seq": seq } });
    let swap = async |seq, version: Option<&str>| {
        let status = status(seq);
        client
            .patch_status::<TrafficPolicy>(Some(&ns), "digits", &status, "us", version)
            .await
    };
    let stored = swap(1, Some(&read)).await.unwrap();
    assert_eq!(stored.status.unwrap().epoch.unwrap().seq, 1);
    let error = swap(2, Some(&read)).await.unwrap_err();
    assert_eq!(
        error.class(),
        mcdeploy_api::ErrorClass::Precondition,
        "{error}"
    );
    let blind = swap(3, None).await.unwrap();
    assert_eq!(blind.status.unwrap().epoch.unwrap().seq, 3);
}

fn member_of(provider: &str, access: &Value, jurisdiction: &str) -> Value {
    object::<MemberCluster>(
        None,
        "member",
        json!({ "provider": provider, "region": "here", "jurisdiction": jurisdiction,
                "artifactStoreRef": { "name": "aws" }, "access": access }),
    )
}

#[tokio::test]
async fn a_member_cluster_has_one_way_in_that_its_provider_knows() {
    let shared = Shared::get();
    let client = shared.client();
    let aks = json!({ "aks": { "resourceId": "/subscriptions/s/managedClusters/c",
        "tenantId": "0".repeat(36), "clientId": "1".repeat(36), "fqdn": "c.example.com" } });
    let mut two = aks.clone();
    two["kubeconfigSecretRef"] = json!({ "name": "cluster-m" });
    let one = ["exactly one of kubeconfigSecretRef, eks, gke, aks"];
    refused::<MemberCluster>(&client, member_of("azure", &two, "DE"), &one).await;
    refused::<MemberCluster>(&client, member_of("azure", &json!({}), "DE"), &one).await;
    let elsewhere = ["spec.access: eks is for provider aws"];
    refused::<MemberCluster>(&client, member_of("gcp", &aks, "DE"), &elsewhere).await;
    let word = ["spec.jurisdiction"];
    refused::<MemberCluster>(&client, member_of("azure", &aks, "Germany"), &word).await;
    let kept: MemberCluster = apply(&client, member_of("azure", &aks, "DE"))
        .await
        .unwrap();
    assert_eq!(serde_json::to_value(kept.spec.access).unwrap(), aks);
}

#[tokio::test]
async fn a_member_cluster_has_a_provider_that_exists() {
    let shared = Shared::get();
    let client = shared.client();
    let cluster = object::<MemberCluster>(
        None,
        &"m".repeat(41),
        json!({ "provider": "aws", "region": "us-east-1", "artifactStoreRef": { "name": "aws" },
                "access": { "kubeconfigSecretRef": { "name": "cluster-m" } } }),
    );
    refused::<MemberCluster>(&client, cluster, &["at most 40 characters"]).await;
}
