//! Images that are copied to the registry of each cloud before anything starts there.
//! Registries, manifests and bytes are real.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Secret};
use kube::api::{Api, Patch, PatchParams};
use mcdeploy_api::{MemberCluster, ModelDeploymentStatus, Sha256Digest, names};
use mcdeploy_cluster::{Fence, Force};
use mcdeploy_registry::{Credentials, ImageState, Repository, RepositoryAddress, image_state};
use mcdeploy_sandbox::testing::TestRegistry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::eventually;
use crate::{
    cloud::{World, always, condition, counting, model_deployment},
    prepare, row,
};

const BOTH: [&str; 2] = ["aws", "gcp"];

/// Two clouds, each with a registry of its own.
struct Fleet {
    world: World,
    aws: TestRegistry,
    gcp: TestRegistry,
}

impl Fleet {
    async fn start() -> Self {
        let world = World::start(&BOTH).await;
        let fleet = Self {
            world,
            aws: TestRegistry::start().await.unwrap(),
            gcp: TestRegistry::start().await.unwrap(),
        };
        fleet.pull_from("aws", fleet.aws.authority()).await;
        fleet.pull_from("gcp", fleet.gcp.authority()).await;
        fleet
    }

    async fn pull_from(&self, cluster: &str, prefix: &str) {
        let registry = json!({ "prefix": prefix, "plainHttp": true });
        let patch = Patch::Merge(json!({ "spec": { "imageRegistry": registry } }));
        let api = Api::<MemberCluster>::all(self.world.client.kube().clone());
        let params = PatchParams::default();
        api.patch(cluster, &params, &patch).await.unwrap();
    }

    /// A version in the store of aws, served by this image.
    async fn rollout(&self, ns: &str, version: &str, image: &str) -> i64 {
        self.world.push(ns, ns, version, "aws").await;
        let mut object = model_deployment(ns, ns, version, &BOTH, None);
        image.clone_into(&mut object.spec.container.image);
        let manager = names::FIELD_MANAGER_CLI;
        let applied = self.world.client.apply(&object, manager, Force::Yes).await;
        applied.unwrap().metadata.generation.unwrap()
    }

    async fn is_whole(&self, registry: &TestRegistry, digest: &Sha256Digest) -> bool {
        let address = RepositoryAddress {
            registry: registry.authority().to_owned(),
            name: "mcserve".to_owned(),
            plain_http: true,
        };
        let repository = Repository::new(address, Credentials::Anonymous);
        let cancel = CancellationToken::new();
        let state = image_state(&repository, digest, &cancel).await;
        state.unwrap() == ImageState::Whole
    }

    /// What pods of a namespace pull, in one cluster.
    async fn pulled(&self, cluster: &str, ns: &str) -> Vec<String> {
        let client = &self.world.clouds[cluster].client;
        let found: Vec<Deployment> = client.list(Some(ns), "").await.unwrap();
        let images = found.into_iter().map(|deployment| {
            let pod = deployment.spec.template.spec.unwrap();
            let mut containers = pod.containers.into_iter();
            let server = containers.find(|c| c.name == names::SERVER_CONTAINER);
            server.unwrap().image.unwrap()
        });
        images.collect()
    }

    /// Jobs and their Secrets that are left in any cluster.
    async fn left(&self) -> usize {
        let mut left = 0;
        for cloud in self.world.clouds.values() {
            let system = Some(names::SYSTEM_NAMESPACE);
            left += cloud.client.list::<Job>(system, "").await.unwrap().len();
            left += cloud.client.list::<Secret>(system, "").await.unwrap().len();
        }
        left
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_copied_by_digest_before_pods_pull_it_from_their_own_registry() {
    let fleet = Fleet::start().await;
    let (world, ns) = (&fleet.world, "images");
    prepare(world, ns).await;
    let digest = fleet.aws.put_image("mcserve", "one").await.unwrap();
    let (fence, writes) = counting();
    let story = async {
        let image = format!("registry.test/mcserve@{digest}");
        let generation = fleet.rollout(ns, "v1", &image).await;
        world.until_complete(ns, ns, generation).await;
        for (cluster, registry) in [("aws", &fleet.aws), ("gcp", &fleet.gcp)] {
            assert!(fleet.is_whole(registry, &digest).await, "{cluster}");
            let expected = format!("{}/mcserve@{digest}", registry.authority());
            assert_eq!(fleet.pulled(cluster, ns).await, [expected]);
        }
        eventually("no Job is left", async || fleet.left().await == 0).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let before = writes.lock().unwrap().len();
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let all = writes.lock().unwrap().clone();
        assert_eq!(all[before..], [] as [String; 0], "written in steady state");
        let at = |what: &[&str]| {
            let mut calls = all.iter();
            calls.position(|call| what.iter().all(|word| call.contains(word)))
        };
        let (copied, applied) = (at(&["Job", "copy-image"]), at(&["gcp", "Deployment"]));
        assert!(copied.is_some() && copied < applied, "{all:#?}");
    };
    world.operate_while(fence, story).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_had_starts_nothing_and_is_said() {
    let fleet = Fleet::start().await;
    let (world, ns) = (&fleet.world, "absent");
    prepare(world, ns).await;
    let digest = fleet.aws.put_image("mcserve", "one").await.unwrap();
    let (aws, other) = (fleet.aws.authority(), Sha256Digest::of("never pushed"));
    let story = async {
        let image = format!("{aws}/mcserve@{digest}");
        let generation = fleet.rollout(ns, "v1", &image).await;
        world.until_complete(ns, ns, generation).await;
        // Named where it is to be, and not there.
        fleet
            .rollout(ns, "v2", &format!("{aws}/mcserve@{other}"))
            .await;
        told(world, ns, "ImageMissing", &other.to_string()).await;
        // A registry that nobody knows, and that does not answer.
        let silent = format!("127.0.0.1:1/mcserve@{other}");
        fleet.rollout(ns, "v3", &silent).await;
        told(world, ns, "ImageCopyFailed", "127.0.0.1:1/mcserve").await;
        let status = world.status(ns, ns).await;
        for cluster in BOTH {
            assert_eq!(row(&status, cluster).version.as_deref(), Some("v1"));
            assert_eq!(fleet.pulled(cluster, ns).await.len(), 1, "only v1 has pods");
        }
        // The mirror of gcp is down: aws goes on, and gcp when it has one again.
        let two = fleet.aws.put_image("mcserve", "two").await.unwrap();
        fleet.pull_from("gcp", "127.0.0.1:1").await;
        let image = format!("registry.test/mcserve@{two}");
        let generation = fleet.rollout(ns, "v4", &image).await;
        let half = |status: &ModelDeploymentStatus| {
            let (aws, gcp) = (row(status, "aws"), row(status, "gcp"));
            aws.version.as_deref() == Some("v4") && gcp.reason == "RegistryUnreachable"
        };
        world.until(ns, ns, "v4 in aws alone", half).await;
        fleet.pull_from("gcp", fleet.gcp.authority()).await;
        world.until_complete(ns, ns, generation).await;
    };
    world.operate_while(always(), story).await;
}

/// Both rows say why, and the rollout is blocked rather than waiting for ever.
async fn told(world: &World, ns: &str, reason: &str, words: &str) {
    let said = |status: &ModelDeploymentStatus| {
        let blocked = condition(&status.conditions, "Progressing") == "False";
        let row = |cluster| row(status, cluster);
        let says = |cluster| row(cluster).reason == reason && row(cluster).message.contains(words);
        blocked && BOTH.into_iter().all(says)
    };
    world.until(ns, ns, reason, said).await;
}

/// The operator is killed after each write that has to do with the copy, and another one
/// goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_any_write_of_a_copy_leaves_no_job_and_no_credentials() {
    let fleet = Fleet::start().await;
    let (world, ns) = (&fleet.world, "crash");
    prepare(world, ns).await;
    for writes in 0..6 {
        let text = format!("image {writes}");
        let digest = fleet.aws.put_image("mcserve", &text).await.unwrap();
        let image = format!("registry.test/mcserve@{digest}");
        let version = format!("v{writes}");
        let generation = fleet.rollout(ns, &version, &image).await;
        let made = Arc::new(AtomicUsize::new(0));
        let dead = Arc::clone(&made);
        let fence: Fence = Arc::new(move |call| {
            let copies = call.object.contains("copy-image");
            let before = made.load(Ordering::SeqCst);
            if before > writes {
                return false;
            }
            made.fetch_add(usize::from(copies), Ordering::SeqCst);
            made.load(Ordering::SeqCst) <= writes
        });
        // Three writes start a copy and two end it: then there is nothing to die at.
        let story = async {
            if writes < 5 {
                let is_dead = async || dead.load(Ordering::SeqCst) > writes;
                eventually("the operator died", is_dead).await;
            } else {
                world.until_complete(ns, ns, generation).await;
            }
        };
        world.operate_while(fence, story).await;
        let story = async {
            world.until_complete(ns, ns, generation).await;
            eventually("no Job is left", async || fleet.left().await == 0).await;
        };
        world.operate_while(always(), story).await;
        assert!(fleet.is_whole(&fleet.gcp, &digest).await, "{writes}");
    }
}
