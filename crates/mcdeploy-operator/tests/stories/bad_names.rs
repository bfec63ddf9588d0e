//! An object that names what cannot be is told so, and stops nobody else.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use mcdeploy_api::{
    ArtifactStore, ClusterAccess, MemberCluster, ObjectName, Provider, SecretKeyRef, StoreAuth,
    all_crds, names,
};
use mcdeploy_cluster::{ApiObject, Force};
use serde_json::Value;

use super::eventually;
use crate::{
    cloud::{World, always, artifact_store, member_cluster},
    prepare,
};

const NS: &str = "bad-names";
const BAD: &str = "my secret/x";

/// Takes the patterns out, as kinds of earlier versions had none.
fn without_patterns(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("pattern");
            fields.values_mut().for_each(without_patterns);
        }
        Value::Array(items) => items.iter_mut().for_each(without_patterns),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn of_an_earlier_version(world: &World) {
    let api = Api::<CustomResourceDefinition>::all(world.client.kube().clone());
    for crd in all_crds() {
        let name = crd.metadata.name.clone().unwrap();
        let mut kind = serde_json::to_value(crd).unwrap();
        without_patterns(&mut kind);
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(kind))
            .await
            .unwrap();
    }
}

/// The API server takes a moment until it judges by the new schema.
async fn apply<K: ApiObject>(world: &World, object: &K) {
    let manager = names::FIELD_MANAGER_CLI;
    eventually("the API server takes it", async || {
        world
            .client
            .apply(object, manager, Force::Yes)
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_with_a_bad_name_in_it_stops_no_deployment_of_others() {
    let world = World::start(&["aws"]).await;
    prepare(&world, NS).await;
    of_an_earlier_version(&world).await;
    let mut store = artifact_store(Provider::Gcp);
    store.metadata.name = Some("bad".to_owned());
    store.spec.auth = StoreAuth {
        secret_ref: Some(ObjectName::new(BAD)),
        ..StoreAuth::default()
    };
    apply(&world, &store).await;
    let mut member = member_cluster("gcp-bad", Provider::Gcp);
    member.spec.artifact_store_ref = ObjectName::new("no/store");
    member.spec.access = ClusterAccess::by_kubeconfig(SecretKeyRef {
        name: BAD.to_owned(),
        key: names::KUBECONFIG_KEY.to_owned(),
    });
    apply(&world, &member).await;

    world.push(NS, "m", "v1", "aws").await;
    let rollout = async {
        let generation = world.rollout(NS, "m", "v1", &["aws"], None).await;
        let served = world.until_complete(NS, "m", generation);
        tokio::time::timeout(Duration::from_mins(1), served)
            .await
            .expect("the deployment is not stopped");
        eventually("the member says what is wrong", async || {
            let found = world.client.get::<MemberCluster>(None, "gcp-bad").await;
            let status = found.unwrap().unwrap().status.unwrap_or_default();
            says(&status.conditions, "KubeconfigRefused")
        })
        .await;
        eventually("the store says what is wrong", async || {
            let found = world.client.get::<ArtifactStore>(None, "bad").await;
            let status = found.unwrap().unwrap().status.unwrap_or_default();
            says(&status.conditions, "StoreNotFound")
        })
        .await;
    };
    world.operate_while(always(), rollout).await;
}

fn says(conditions: &[mcdeploy_api::Condition], reason: &str) -> bool {
    let mut ready = conditions.iter().filter(|c| c.type_ == "Ready");
    ready.any(|ready| ready.reason == reason && ready.message.contains(BAD))
}
