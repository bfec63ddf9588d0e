//! What every test begins with: all clouds well, v2 in each of them.

use std::{sync::Arc, time::Duration};

use kube::{Api, Client};
use mcdeploy_api::{ClusterStatus, Condition, ModelDeployment, RoutingSnapshot};
use mcdeploy_e2e::{
    digits::{Digits, MODEL},
    load::{Client as LoadClient, Counts, Load, Options, Serving, Target},
    sandbox::{CLOUDS, Said, Sandbox, eventually, expect, faults::NAMESPACE},
};
use tokio::sync::{Mutex, MutexGuard};

/// There is one sandbox on a machine.
static ONE: Mutex<()> = Mutex::const_new(());
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
    pub(crate) hub: Client,
    _alone: MutexGuard<'static, ()>,
}

impl Fixture {
    /// All clouds well, v2 of the example in each of them.
    pub(crate) async fn new() -> Self {
        let alone = ONE.lock().await;
        let sandbox = Sandbox::new().unwrap();
        sandbox.connect().await.expect("a sandbox is up");
        for cloud in ["hub", "aws", "gcp", "azure"] {
            run(&sandbox, &["sandbox", "heal", cloud]).await;
        }
        let hub = sandbox.client("hub").await.unwrap();
        for version in ["v2", "v3"] {
            run(&sandbox, &["push", version]).await;
        }
        run(
            &sandbox,
            &["rollout", "--model", "v2", "--clouds", "aws,gcp,azure"],
        )
        .await;
        Self {
            sandbox,
            hub,
            _alone: alone,
        }
    }

    /// Runs a command that must succeed.
    pub(crate) async fn ok(&self, words: &[&str]) -> Said {
        run(&self.sandbox, words).await
    }

    /// Runs a command that must fail with this exit code, and gives what it said.
    pub(crate) async fn refused(&self, words: &[&str], code: i32) -> String {
        let said = self.sandbox.run(words).await.unwrap();
        assert_eq!(said.code, Some(code), "{}\n{}", said.command, said.text());
        said.text()
    }

    /// A version with the bytes of v3 under a name of its own, in these stores.
    pub(crate) async fn fresh_version(&self, version: &str, stores: &[&str]) {
        let models = self.sandbox.project().join("models");
        let dir = models.join(version);
        std::fs::create_dir_all(&dir).unwrap();
        let mut bytes = std::fs::read(models.join("v3/model.onnx")).unwrap();
        // An unknown field of the outermost message: readers pass over it.
        let tag = format!("{version} of {}", std::process::id());
        bytes.extend([0xfa, 0x7f, u8::try_from(tag.len()).unwrap()]);
        bytes.extend(tag.as_bytes());
        std::fs::write(dir.join("model.onnx"), bytes).unwrap();
        for store in stores {
            self.ok(&["push", version, "--store", store]).await;
        }
    }

    pub(crate) async fn deployment(&self) -> ModelDeployment {
        let deployments: Api<ModelDeployment> = Api::namespaced(self.hub.clone(), NAMESPACE);
        deployments.get(MODEL).await.unwrap()
    }

    /// A cluster's row.
    pub(crate) async fn row(&self, cluster: &str) -> ClusterStatus {
        let status = self.deployment().await.status.unwrap_or_default();
        let row = status
            .clusters
            .into_iter()
            .find(|row| row.cluster == cluster);
        row.unwrap_or_else(|| panic!("no row of {cluster}"))
    }

    /// The revisions that a cluster's gateways route by: version and weight of each.
    pub(crate) async fn weights(&self, cluster: &str) -> Vec<(String, i32)> {
        let client = self.sandbox.client(cluster).await.unwrap();
        let snapshots: Api<RoutingSnapshot> = Api::namespaced(client, NAMESPACE);
        let routes = snapshots.get(MODEL).await.unwrap().spec.revisions;
        let pairs = routes
            .into_iter()
            .map(|route| (route.version, route.weight));
        pairs.collect()
    }

    /// Waits, looking often, until a new revision is brought up in a cluster.
    pub(crate) async fn wait_begun(&self, cluster: &str) {
        let begun = async || self.row(cluster).await.next_revision.is_some();
        soon(&format!("a new revision in {cluster}"), begun).await;
    }

    /// Waits, looking often, until the deployment asks for a version.
    pub(crate) async fn wait_asked(&self, version: &str) {
        let name = format!("{MODEL}-{version}");
        let asked = async || self.deployment().await.spec.model_version_ref.name == name;
        soon(&format!("a rollout to {version}"), asked).await;
    }

    /// Whether the operator has done everything that the newest rollout asks for.
    pub(crate) async fn is_complete(&self) -> bool {
        let deployment = self.deployment().await;
        let status = deployment.status.unwrap_or_default();
        let is_done = |found: &Condition| found.type_ == "Complete" && found.status == "True";
        status.observed_generation == deployment.metadata.generation
            && status.conditions.iter().any(is_done)
    }

    /// Waits until a row is as it should be.
    pub(crate) async fn wait_row(
        &self,
        cluster: &str,
        what: &str,
        holds: impl Fn(&ClusterStatus) -> bool,
    ) {
        eventually(what, PATIENCE, || async {
            let row = self.row(cluster).await;
            expect(holds(&row), || format!("{row:?}"))
        })
        .await
        .unwrap();
    }

    /// Waits until a version serves in a cluster and nothing else does.
    pub(crate) async fn wait_serving(&self, cluster: &str, version: &str) {
        let what = format!("{version} serves in {cluster}");
        self.wait_row(cluster, &what, |row| {
            row.version.as_deref() == Some(version) && row.weight > 0 && row.ready_replicas > 0
        })
        .await;
    }

    /// Load to some gateways; answers of v2 and v3 are right everywhere.
    pub(crate) async fn load(&self, clouds: &[&str]) -> Load {
        let serving = Serving::default();
        for cloud in CLOUDS {
            serving.set(cloud, &["v2", "v3"]);
        }
        let mut targets = vec![];
        for &cloud in clouds {
            let address = self.sandbox.gateway(cloud).await.unwrap();
            targets.push(Target {
                name: cloud.to_owned(),
                gateways: vec![(cloud.to_owned(), address)],
                client: LoadClient::Single,
            });
        }
        let options = Options {
            model: MODEL.to_owned(),
            rate: 20,
            timeout: Duration::from_secs(5),
        };
        Load::start(targets, Arc::new(Digits::read().unwrap()), options, serving)
    }
}

/// Waits, looking often, until it holds.
async fn soon(what: &str, holds: impl AsyncFn() -> bool) {
    let until = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, until).await;
    assert!(reached.is_ok(), "{what}: not in {PATIENCE:?}");
}

/// Ends a load that must not have failed.
pub(crate) async fn assert_no_failure(load: Load) {
    let counts = Counts::of(&load.stop().await);
    assert!(counts.sent > 20, "{counts:?}");
    assert_eq!((counts.failed, counts.wrong), (0, 0), "{counts:?}");
}

async fn run(sandbox: &Sandbox, words: &[&str]) -> Said {
    let said = sandbox.run(words).await.unwrap();
    said.ok().unwrap_or_else(|error| panic!("{error:#}"))
}
