//! The caches of nodes: versions are there before pods start. In place of agents, this
//! test says what they would say.

use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Secret},
    },
};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use mcdeploy_api::{
    FetchPlan, MemberCluster, ModelDeployment, ModelDeploymentStatus, NodeCacheReport,
    Sha256Digest, StagedState, StagedVersion, StagingEntry, names,
};
use mcdeploy_cluster::Force;
use serde_json::json;

use super::eventually;
use crate::{
    cloud::{World, counting},
    prepare, row,
};

const NS: &str = "staging";
const SIZE: i64 = 1 << 30;

struct Fleet(World);

impl Fleet {
    async fn start() -> Self {
        let world = World::start(&["aws"]).await;
        prepare(&world, NS).await;
        let patch = Patch::Merge(json!({ "spec": { "nodeCache": { "sizeBytes": SIZE } } }));
        let api = Api::<MemberCluster>::all(world.client.kube().clone());
        api.patch("aws", &PatchParams::default(), &patch)
            .await
            .unwrap();
        Self(world)
    }

    /// As the agent of the node does.
    async fn says(&self, node: &str, state: Option<(Sha256Digest, StagedState)>) {
        let versions = state.into_iter().map(|(digest, state)| StagedVersion {
            digest,
            state,
            message: String::new(),
        });
        let report = NodeCacheReport {
            node: node.to_owned(),
            versions: versions.collect(),
        };
        let text = serde_json::to_string(&report).unwrap();
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": names::node_report_name(node),
                          "namespace": names::SYSTEM_NAMESPACE,
                          "labels": { names::LABEL_NODE_CACHE: "report" } },
            "data": { names::NODE_REPORT_KEY: text },
        }))
        .unwrap();
        let manager = names::FIELD_MANAGER_AGENT;
        let client = &self.0.clouds["aws"].client;
        client.apply(&map, manager, Force::Yes).await.unwrap();
    }

    /// What nodes are told, by what the keys end with.
    async fn told(&self) -> Vec<StagingEntry> {
        let client = &self.0.clouds["aws"].client;
        let system = Some(names::SYSTEM_NAMESPACE);
        let secret = client.get::<Secret>(system, names::STAGING_SECRET).await;
        let data = secret.unwrap().and_then(|secret| secret.data);
        let values = data.unwrap_or_default().into_values();
        values
            .map(|value| serde_json::from_slice(&value.0).unwrap())
            .collect()
    }

    async fn fetched(&self) -> Vec<Sha256Digest> {
        let told = self.told().await.into_iter();
        let plans = told.filter_map(|entry| entry.fetch);
        plans
            .map(|plan| {
                assert_eq!(plan.node_cache.unwrap().quota_bytes, SIZE.unsigned_abs());
                plan.manifest_digest
            })
            .collect()
    }

    async fn deployments(&self) -> Vec<Deployment> {
        let client = &self.0.clouds["aws"].client;
        client.list(Some(NS), "").await.unwrap()
    }

    async fn until_staging(&self, version: &str) -> Sha256Digest {
        let staging = |status: &ModelDeploymentStatus| {
            let mut rows = status.clusters.iter();
            rows.any(|r| r.reason == "Staging" && r.message.contains(version))
        };
        self.0.until(NS, NS, "staging", staging).await;
        let fetched = self.fetched().await;
        assert_eq!(fetched.len(), 1, "{fetched:?}");
        fetched[0]
    }
}

fn has_claim(deployment: &Deployment) -> bool {
    let pod = deployment.spec.template.spec.as_ref().unwrap();
    let mut volumes = pod.volumes.iter().flatten();
    volumes.any(|volume| {
        let claim = volume.persistent_volume_claim.as_ref();
        claim.is_some_and(|claim| claim.claim_name == names::CACHE_CLAIM)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_on_the_nodes_before_its_pods_start_and_kept_while_it_may_be_needed() {
    let fleet = Fleet::start().await;
    let world = &fleet.0;
    let (fence, writes) = counting();
    let story = async {
        fleet.says("n1", None).await;
        fleet.says("n2", None).await;
        world.push(NS, NS, "v1", "aws").await;
        let generation = world.rollout(NS, NS, "v1", &["aws"], None).await;
        let one = fleet.until_staging("v1").await;
        fleet.says("n1", Some((one, StagedState::Staged))).await;
        fleet.until_staging("1 of 2").await;
        assert!(
            fleet.deployments().await.is_empty(),
            "pods before the bytes"
        );
        fleet.says("n2", Some((one, StagedState::Staged))).await;
        world.until_complete(NS, NS, generation).await;
        let deployments = fleet.deployments().await;
        assert!(deployments.len() == 1 && deployments.iter().all(has_claim));
        let name = deployments[0].metadata.name.as_ref().unwrap();
        let client = &world.clouds["aws"].client;
        let secret = client.get::<Secret>(Some(NS), name).await.unwrap().unwrap();
        let ByteString(plan) = &secret.data.unwrap()["fetch.json"];
        let plan: FetchPlan = serde_json::from_slice(plan).unwrap();
        assert_eq!(plan.node_cache.unwrap().quota_bytes, SIZE.unsigned_abs());

        // A node that cannot is not waited for.
        world.push(NS, NS, "v2", "aws").await;
        let generation = world.rollout(NS, NS, "v2", &["aws"], None).await;
        let two = fleet.until_staging("v2").await;
        fleet.says("n1", Some((two, StagedState::Failed))).await;
        fleet.says("n2", Some((two, StagedState::Staged))).await;
        world.until_complete(NS, NS, generation).await;
        let gone = async || fleet.deployments().await.len() == 1;
        eventually("v1 has no pods", gone).await;
        let kept = async || {
            let told = fleet.told().await;
            told.iter().any(|e| e.digest == one && e.fetch.is_none())
        };
        assert!(kept().await, "it may be returned to");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let before = writes.lock().unwrap().len();
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let all = writes.lock().unwrap().clone();
        assert_eq!(all[before..], [] as [String; 0], "written in steady state");

        let api = Api::<ModelDeployment>::namespaced(world.client.kube().clone(), NS);
        api.delete(NS, &DeleteParams::default()).await.unwrap();
        let forgotten =
            async || api.get_opt(NS).await.unwrap().is_none() && fleet.told().await.is_empty();
        eventually("nothing is kept", forgotten).await;
    };
    world.operate_while(fence, story).await;
    let status = world.client.get::<ModelDeployment>(Some(NS), NS).await;
    assert!(status.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_agent_says_anything_nobody_waits() {
    let fleet = Fleet::start().await;
    let world = &fleet.0;
    let (fence, _) = counting();
    let story = async {
        world.push(NS, NS, "v1", "aws").await;
        let generation = world.rollout(NS, NS, "v1", &["aws"], None).await;
        world.until_complete(NS, NS, generation).await;
        assert!(fleet.deployments().await.iter().all(has_claim));
        let status = world.status(NS, NS).await;
        assert_eq!(row(&status, "aws").version.as_deref(), Some("v1"));
    };
    world.operate_while(fence, story).await;
}
