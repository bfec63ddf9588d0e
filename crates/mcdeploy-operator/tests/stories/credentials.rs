//! Whoever only reads from a store holds no credential that writes to it.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::{apps::v1::Deployment, core::v1::Secret},
};
use kube::api::ObjectMeta;
use mcdeploy_api::{ArtifactStore, FetchPlan, ObjectName, Provider, StoreAuth, names};
use mcdeploy_cluster::Force;

use super::eventually;
use crate::{
    cloud::{World, always, artifact_store},
    prepare,
};

const NS: &str = "credentials";
const KEY: &str = "secretAccessKey";

/// Writes the store's Secrets, and what the store says of them.
async fn authorise(world: &World, reader: Option<&str>) {
    let secret = |name: &str| Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(names::SYSTEM_NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), ByteString(name.as_bytes().to_vec()))].into()),
        ..Secret::default()
    };
    let (hub, manager) = (&world.client, names::FIELD_MANAGER_CLI);
    for name in ["writer"].into_iter().chain(reader) {
        hub.apply(&secret(name), manager, Force::Yes).await.unwrap();
    }
    let mut store = artifact_store(Provider::Aws);
    store.spec.auth = StoreAuth {
        secret_ref: Some(ObjectName::new("writer")),
        read_secret_ref: reader.map(ObjectName::new),
        ..StoreAuth::default()
    };
    hub.apply(&store, manager, Force::Yes).await.unwrap();
}

async fn deployment(world: &World) -> Deployment {
    let client = &world.clouds["aws"].client;
    client.list(Some(NS), "").await.unwrap().remove(0)
}

/// What the pods of the only revision fetch with.
async fn of_pods(world: &World) -> BTreeMap<String, String> {
    let client = &world.clouds["aws"].client;
    let name = deployment(world).await.metadata.name.unwrap();
    let secret = client.get::<Secret>(Some(NS), &name).await.unwrap();
    let ByteString(plan) = &secret.unwrap().data.unwrap()["fetch.json"];
    let plan: FetchPlan = serde_json::from_slice(plan).unwrap();
    assert_eq!(plan.store.spec.auth.read_secret_ref, None);
    plan.store.secret.0
}

async fn store_says(world: &World, reason: &str) {
    eventually(reason, async || {
        let store = world.client.get::<ArtifactStore>(None, "aws").await;
        let status = store.unwrap().unwrap().status.unwrap_or_default();
        let mut ready = status.conditions.iter().filter(|c| c.type_ == "Ready");
        ready.any(|ready| (ready.status.as_str(), ready.reason.as_str()) == ("True", reason))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_get_the_credential_that_reads_where_the_store_names_one() {
    let world = World::start(&["aws"]).await;
    prepare(&world, NS).await;
    authorise(&world, None).await;
    world.push(NS, "m", "v1", "aws").await;
    let is = |name: &str| BTreeMap::from([(KEY.to_owned(), name.to_owned())]);
    let story = async {
        let generation = world.rollout(NS, "m", "v1", &["aws"], None).await;
        world.until_complete(NS, "m", generation).await;
        assert_eq!(of_pods(&world).await, is("writer"));
        store_says(&world, "SharedCredential").await;
        let before = deployment(&world).await;

        authorise(&world, Some("reader")).await;
        eventually("pods have the other credential", async || {
            of_pods(&world).await == is("reader")
        })
        .await;
        store_says(&world, "AsDesired").await;
        let after = deployment(&world).await;
        assert_eq!(after.spec, before.spec, "no pod is started anew for it");
    };
    world.operate_while(always(), story).await;
}
