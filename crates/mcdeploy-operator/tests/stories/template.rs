//! What was rendered for a revision once is what is applied, whoever applies it.

use std::time::Duration;

use k8s_openapi::{
    api::apps::v1::{ControllerRevision, Deployment},
    apimachinery::pkg::runtime::RawExtension,
};
use kube::api::ObjectMeta;
use mcdeploy_api::{ArtifactStore, ModelVersion, names};
use mcdeploy_cluster::Force;
use mcdeploy_plan::RevisionRecord;
use serde_json::{Value, json};

use super::eventually;
use crate::{
    cloud::{World, always, counting, model_deployment},
    prepare,
};

const NS: &str = "kept";

async fn deployments(world: &World) -> Vec<Deployment> {
    let client = &world.clouds["aws"].client;
    client.list(Some(NS), "").await.unwrap()
}

fn fetch_image(deployment: &Deployment) -> String {
    let pod = deployment.spec.template.spec.as_ref().unwrap();
    let init = &pod.init_containers.as_ref().unwrap()[0];
    init.image.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_restarts_no_pod_and_going_back_applies_what_was_kept() {
    let world = World::start(&["aws"]).await;
    prepare(&world, NS).await;
    world.push(NS, "kept", "v1", "aws").await;
    world.push(NS, "kept", "v2", "aws").await;
    // Asked for before anybody looks: what nobody asks for is forgotten.
    let roll_out = async |version| {
        let generation = world.rollout(NS, "kept", version, &["aws"], None).await;
        let story = async {
            world.until_complete(NS, "kept", generation).await;
            eventually("one revision is left", async || {
                deployments(&world).await.len() == 1
            })
            .await;
        };
        world.operate_while(always(), story).await;
    };
    roll_out("v1").await;
    let old_image = world.daemon_image();
    let before = deployments(&world).await.remove(0);
    assert_eq!(fetch_image(&before), old_image);

    // Another version renders otherwise: nothing is applied again.
    *world.daemon.lock().unwrap() = '2';
    let (fence, writes) = counting();
    let wait = tokio::time::sleep(Duration::from_secs(4));
    world.operate_while(fence, wait).await;
    assert_eq!(*writes.lock().unwrap(), [] as [String; 0]);

    // What has to be applied again, because a store changed, is what was kept.
    let mut store = crate::cloud::artifact_store(mcdeploy_api::Provider::Aws);
    store.spec.region = "there".into();
    let manager = names::FIELD_MANAGER_CLI;
    let applied = world
        .client
        .apply::<ArtifactStore>(&store, manager, Force::Yes);
    applied.await.unwrap();
    let hash = |deployment: &Deployment| {
        let annotations = deployment.metadata.annotations.as_ref().unwrap();
        annotations["mcdeploy.dev/input-hash"].clone()
    };
    let changed = eventually("the new store's credentials are applied", async || {
        let now = deployments(&world).await;
        hash(&now[0]) != hash(&before)
    });
    world.operate_while(always(), changed).await;
    let after = deployments(&world).await.remove(0);
    assert_eq!(after.spec, before.spec, "no pod restarts");

    // v2 was recorded by somebody who renders quite otherwise.
    record_v2(&world).await;
    roll_out("v2").await;
    let v2 = deployments(&world).await.remove(0);
    let template = v2.spec.template.metadata.clone().unwrap();
    let annotations = template.annotations.unwrap_or_default();
    assert_eq!(
        annotations.get("rendered").map(String::as_str),
        Some("otherwise"),
        "{v2:?}"
    );
    roll_out("v1").await;
    let back = deployments(&world).await.remove(0);
    assert_eq!(back.spec.template, before.spec.template);
    assert_eq!(fetch_image(&back), old_image);
}

/// A record of v2, made from that of v1, with one more annotation on its pods.
async fn record_v2(world: &World) {
    let hub = &world.client;
    let version: Option<ModelVersion> = hub.get(Some(NS), "kept-v2").await.unwrap();
    let spec = model_deployment(NS, "kept", "v2", &["aws"], None).spec;
    let record = RevisionRecord::of(&spec, &version.unwrap().spec);
    let id = record.id();
    let mut records: Vec<ControllerRevision> = hub.list(Some(NS), "").await.unwrap();
    let v1 = records.remove(0);
    let v1_id = v1.metadata.labels.as_ref().unwrap()[names::LABEL_REVISION].clone();
    let text = v1.data.0["rendered"].to_string();
    let label = |version: &str| format!("\"{}\":\"{version}\"", names::LABEL_VERSION);
    let text = text
        .replace(&v1_id, &id)
        .replace(&label("v1"), &label("v2"));
    let text = text.replace("/versions/v1/", "/versions/v2/");
    let mut rendered: Value = serde_json::from_str(&text).unwrap();
    let template = &mut rendered["plain"]["spec"]["template"];
    template["metadata"]["annotations"] = json!({ "rendered": "otherwise" });
    let mut data = serde_json::to_value(&record).unwrap();
    data["rendered"] = rendered;
    let mut labels = v1.metadata.labels.clone().unwrap();
    labels.insert(names::LABEL_REVISION.to_owned(), id.to_string());
    let object = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(names::revision_object_name("kept", &id)),
            namespace: Some(NS.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        data: RawExtension(data),
        revision: Some(1),
    };
    hub.create(&object, "another-version").await.unwrap();
}
