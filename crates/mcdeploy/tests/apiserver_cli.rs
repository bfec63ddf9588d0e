//! The program against a real API server with our CRDs, and no operator: the test plays
//! the operator where a rollout has to end.

#![cfg(test)]

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use mcdeploy_api::{
    ArtifactStore, MemberCluster, ModelDeployment, ModelRollout, ModelVersion, TrafficPolicy,
    all_crds, names::ANNOTATION_REQUESTED_BY,
};
use mcdeploy_sandbox::testing::TestApiServer;
use serde_json::{Value, json};
use tokio::time::Instant;

mod collecting;
mod image;
mod reaching;
mod watching;

const IMAGE: &str =
    "registry.test/mcserve@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

struct World {
    server: TestApiServer,
    client: Client,
    dir: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let server = TestApiServer::start().await.unwrap();
        let client = server.client().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("kubeconfig"), server.kubeconfig()).unwrap();
        let world = Self {
            server,
            client,
            dir,
        };
        world.install_crds().await;
        for (name, provider) in [("aws", "aws"), ("azure", "azure"), ("gcp", "gcp")] {
            world.create_member(name, provider).await;
        }
        for version in ["v2", "v3"] {
            world.create_version(version).await;
        }
        world.project(&format!("model: digits\nimage: {IMAGE}\n"));
        world
    }

    async fn install_crds(&self) {
        let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
            Api::all(self.client.clone());
        for crd in all_crds() {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        for crd in all_crds() {
            let name = crd.name_any();
            let established = kube::runtime::conditions::is_crd_established();
            let wait = kube::runtime::wait::await_condition(crds.clone(), &name, established);
            tokio::time::timeout(Duration::from_secs(20), wait)
                .await
                .unwrap()
                .unwrap();
        }
    }

    async fn create_member(&self, name: &str, provider: &str) {
        let object = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "provider": provider, "region": "r-1",
                "access": {"kubeconfigSecretRef": {"name": format!("cluster-{name}")}},
                "artifactStoreRef": {"name": provider},
            },
        }));
        let members: Api<MemberCluster> = Api::all(self.client.clone());
        members
            .create(&PostParams::default(), &object.unwrap())
            .await
            .unwrap();
    }

    async fn create_version(&self, version: &str) {
        let digest = mcdeploy_api::Sha256Digest::of(version);
        let object = serde_json::from_value(json!({
            "metadata": {"name": format!("digits-{version}")},
            "spec": {
                "model": "digits", "version": version, "manifestDigest": digest,
                "sizeBytes": 1000, "storeRef": {"name": "aws"},
            },
        }));
        let versions: Api<ModelVersion> = self.namespaced();
        versions
            .create(&PostParams::default(), &object.unwrap())
            .await
            .unwrap();
    }

    fn namespaced<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Server-side applies an object at a path.
    async fn apply(&self, path: &str, api_version: &str, kind: &str, mut object: Value) {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(path.rsplit('/').next());
        let uri = format!("/{path}?fieldManager=test&force=true");
        let request = http::Request::patch(uri)
            .header("content-type", "application/apply-patch+yaml")
            .body(object.to_string().into_bytes());
        self.client.request_text(request.unwrap()).await.unwrap();
    }

    fn project(&self, text: &str) {
        std::fs::write(self.dir.path().join("mcdeploy.yaml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        command(self.dir.path(), args)
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    async fn deployment(&self) -> Option<ModelDeployment> {
        self.namespaced().get_opt("digits").await.unwrap()
    }

    /// What an operator would write for the current generation.
    async fn play_operator(&self, generation: i64, complete: bool, steps: &[(&str, &str)]) {
        let name = format!("digits-{generation}");
        let rollouts: Api<ModelRollout> = self.namespaced();
        let waves: Vec<Value> = steps
            .iter()
            .map(|step| json!({"clusters": [step.0]}))
            .collect();
        let rollout = json!({
            "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "ModelRollout",
            "metadata": {"name": name},
            "spec": {
                "deploymentRef": {"name": "digits"}, "deploymentGeneration": generation,
                "toRevision": "0123456789", "toVersion": "v3", "waves": waves,
            },
        });
        let params = PatchParams::apply("test-operator").force();
        rollouts
            .patch(&name, &params, &Patch::Apply(&rollout))
            .await
            .unwrap();
        let steps: Vec<Value> = steps
            .iter()
            .map(|(cluster, state)| {
                json!({"cluster": cluster, "state": state, "reason": "ImagePullFailed", "message": "as played"})
            })
            .collect();
        let condition = json!({
            "type": "Complete", "status": if complete { "True" } else { "False" },
            "reason": if complete { "AsDesired" } else { "Incomplete" }, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let status = json!({
            "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "ModelRollout",
            "status": {"conditions": [condition], "steps": steps},
        });
        rollouts
            .patch_status(&name, &params, &Patch::Apply(&status))
            .await
            .unwrap();
    }

    /// Waits until the deployment has a generation.
    async fn generation(&self, least: i64) {
        for _ in 0..100 {
            let now = self.deployment().await.and_then(|d| d.metadata.generation);
            if now >= Some(least) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the deployment never reached generation {least}");
    }
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
    command.current_dir(dir).args(args);
    command
        .env_clear()
        .env("KUBECONFIG", dir.join("kubeconfig"))
        .env("USER", "ann");
    command
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn check(&self, code: i32, in_stderr: &str) -> &Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        assert!(
            self.stderr.contains(in_stderr),
            "{in_stderr:?} is not in: {}",
            self.stderr
        );
        self
    }
}

fn wait(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}

fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// One server for all: a start takes seconds.
#[tokio::test(flavor = "multi_thread")]
async fn rollouts_against_a_real_api_server() {
    let world = World::start().await;
    nothing_is_applied_for_a_wrong_request(&world).await;
    first_rollout_is_placement_and_scope(&world).await;
    later_rollout_sets_scope_only(&world).await;
    outside_the_placement_is_refused(&world).await;
    blocked_cluster_ends_the_wait(&world).await;
    later_rollout_ends_the_wait(&world).await;
    interruption_detaches(&world).await;
    watching::two_rollouts_at_once_do_not_mix(&world).await;
    watching::status_is_watched(&world);
    watching::a_terminal_is_drawn_on_and_keeps_the_last_rows(&world).await;
    image::a_tag_is_said_and_deployed_as_its_digest(&world).await;
    policy_follows_the_project_file(&world).await;
    reading_commands(&world);
    other_manager_is_a_conflict(&world).await;
    clusters_are_added(&world).await;
    an_inventory_is_added(&world).await;
    silent_hub_is_told_at_once(&world);
}

async fn nothing_is_applied_for_a_wrong_request(world: &World) {
    let rollout = |rest: &[&str]| {
        let mut args = vec!["rollout"];
        args.extend(rest);
        world.run(&args)
    };
    rollout(&["--model", "v9", "--clouds", "aws"])
        .check(5, "no version \"v9\"")
        .check(5, "there are v2, v3");
    rollout(&["--model", "v3", "--clouds", "asw"]).check(2, "did you mean \"aws\"?");
    rollout(&["--model", "v3", "--clouds", "onprem"])
        .check(5, "no member cluster is in cloud \"onprem\"");
    rollout(&["--model", "v3", "--clusters", "awz"]).check(5, "did you mean \"aws\"?");
    rollout(&["--model", "v3"]).check(2, "--clouds or --clusters must say where");
    let closed = "registry.test/mcserve:dev";
    let mirror = "registry.test=http://127.0.0.1:9";
    rollout(&[
        "--model",
        "v3",
        "--clouds",
        "aws",
        "--image",
        closed,
        "--registry-mirror",
        mirror,
    ])
    .check(1, "cannot look it up at its mirror 127.0.0.1:9");
    assert!(world.deployment().await.is_none());
    let policies: Api<TrafficPolicy> = world.namespaced();
    assert_eq!(
        policies
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
}

async fn first_rollout_is_placement_and_scope(world: &World) {
    let args = [
        "rollout",
        "--model",
        "v2",
        "--clouds",
        "gcp,aws",
        "--no-wait",
        "-o",
        "json",
    ];
    let ran = world.run(&args);
    ran.check(0, "new deployment of digits v2")
        .check(0, "gcp, then aws");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["rollout"], "digits-1");
    assert_eq!(report["image"], IMAGE);
    let deployment = world.deployment().await.unwrap();
    let spec = serde_json::to_value(&deployment.spec).unwrap();
    assert_eq!(spec["placement"], json!({"providers": ["gcp", "aws"]}));
    assert_eq!(spec["scope"], spec["placement"]);
    assert_eq!(spec["replicas"], 1);
    let by = &deployment.annotations()[ANNOTATION_REQUESTED_BY];
    assert!(by.starts_with("ann@"), "{by}");
}

async fn later_rollout_sets_scope_only(world: &World) {
    let child = world.spawn(&["rollout", "--model", "v3", "--clouds", "aws"]);
    world.generation(2).await;
    world.play_operator(2, false, &[("aws", "Running")]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.play_operator(2, true, &[("aws", "Done")]).await;
    let ran = wait(child);
    ran.check(0, "left as they are: gcp").check(0, "aws: done");
    let mut told: Vec<_> = ran
        .stderr
        .lines()
        .filter(|l| l.starts_with("aws: "))
        .collect();
    let all = told.len();
    told.dedup();
    assert_eq!(told.len(), all, "a line for each change: {}", ran.stderr);
    assert!(ran.stdout.contains("digits-2 Complete"), "{}", ran.stdout);
    let spec = serde_json::to_value(&world.deployment().await.unwrap().spec).unwrap();
    assert_eq!(spec["placement"], json!({"providers": ["gcp", "aws"]}));
    assert_eq!(spec["scope"], json!({"providers": ["aws"]}));
    // The same again is complete at once, and is no new generation.
    world
        .run(&["rollout", "--model", "v3", "--clouds", "aws"])
        .check(0, "");
    assert_eq!(
        world.deployment().await.unwrap().metadata.generation,
        Some(2)
    );
}

async fn outside_the_placement_is_refused(world: &World) {
    world
        .run(&["rollout", "--model", "v2", "--clouds", "azure"])
        .check(2, "cloud \"azure\" is not in the placement of \"digits\"")
        .check(2, "kubectl patch modeldeployment digits");
    assert_eq!(
        world.deployment().await.unwrap().metadata.generation,
        Some(2)
    );
}

async fn blocked_cluster_ends_the_wait(world: &World) {
    let child = world.spawn(&["rollout", "--model", "v3", "--clouds", "gcp,aws"]);
    world.generation(3).await;
    world
        .play_operator(3, false, &[("gcp", "Blocked"), ("aws", "Done")])
        .await;
    wait(child).check(1, "gcp: ImagePullFailed (as played)");
    let ran = world.run(&[
        "rollout",
        "--model",
        "v2",
        "--clouds",
        "aws",
        "--timeout",
        "1s",
    ]);
    ran.check(124, "is not complete after 1s");
}

async fn later_rollout_ends_the_wait(world: &World) {
    let first = world.spawn(&["rollout", "--model", "v3", "--clouds", "aws"]);
    world.generation(5).await;
    world
        .run(&["rollout", "--model", "v2", "--clouds", "gcp", "--no-wait"])
        .check(0, "");
    wait(first).check(6, "gave way to digits-6 (digits-v2), asked for by ann@");
}

async fn interruption_detaches(world: &World) {
    let words = ["rollout", "--model", "v3", "--kubeconfig", "./kubeconfig"];
    let child = world.spawn(&words);
    world.generation(7).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    interrupt(&child);
    let ran = wait(child);
    ran.check(130, "goes on in the hub").check(
        130,
        "mcdeploy status digits -n default -w --kubeconfig ./kubeconfig",
    );
    let spec = serde_json::to_value(&world.deployment().await.unwrap().spec).unwrap();
    assert_eq!(spec.get("scope"), None, "the whole placement");
}

async fn policy_follows_the_project_file(world: &World) {
    let policies: Api<TrafficPolicy> = world.namespaced();
    assert_eq!(
        policies
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    let more = "repeatable: false\nweights: {aws: 1, gcp: 3}\n";
    world.project(&format!("model: digits\nimage: {IMAGE}\n{more}"));
    world
        .run(&["rollout", "--model", "v3", "--no-wait"])
        .check(0, "");
    let policy = policies.get("digits").await.unwrap();
    assert!(!policy.spec.repeatable);
    assert_eq!(policy.spec.weights.len(), 2);
    world.project(&format!("model: digits\nimage: {IMAGE}\n"));
    world
        .run(&["rollout", "--model", "v3", "--no-wait"])
        .check(0, "");
    let policy = policies.get("digits").await.unwrap();
    assert!(policy.spec.repeatable && policy.spec.weights.is_empty());
    world.project("model: digits\nweights: {asw: 1}\n");
    world
        .run(&["rollout", "--model", "v3"])
        .check(2, "mcdeploy.yaml:2:16: weights: there is no member cluster")
        .check(2, "did you mean \"aws\"?");
    world.project("modle: digits\n");
    world
        .run(&["rollout", "--model", "v3"])
        .check(2, "mcdeploy.yaml:1:1: unknown field `modle`");
    world.project(&format!("model: digits\nimage: {IMAGE}\n"));
}

fn reading_commands(world: &World) {
    let names = world.run(&["get", "mv", "-o", "name"]);
    assert_eq!(
        names.stdout,
        "modelversion.mcdeploy.dev/digits-v2\nmodelversion.mcdeploy.dev/digits-v3\n"
    );
    let table = world.run(&["clusters", "ls"]);
    assert!(
        table.stdout.starts_with("NAME    PROVIDER   REGION"),
        "{}",
        table.stdout
    );
    let yaml = world.run(&["get", "md", "digits", "-o", "yaml"]);
    assert!(
        yaml.stdout
            .contains("modelVersionRef:\n    name: digits-v3"),
        "{}",
        yaml.stdout
    );
    assert!(!yaml.stdout.contains("managedFields"));
    world
        .run(&["get", "md", "nothing"])
        .check(5, "\"nothing\" not found");
    world
        .run(&["get", "modelversoin"])
        .check(2, "did you mean \"modelversions\"?");
    let status = world.run(&["status", "-o", "json"]);
    status.check(1, "");
    let report: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(report["deployments"][0]["modelVersion"], "digits-v3");
    world
        .run(&["status", "digist"])
        .check(5, "did you mean \"digits\"?");
    let version = world.run(&["version"]);
    version.check(0, "");
    assert!(
        version.stdout.contains("CRDs: v1alpha1"),
        "{}",
        version.stdout
    );
    // A reader that goes away is no error.
    let mut piped = world.spawn(&["get", "mv", "-o", "yaml"]);
    drop(piped.stdout.take());
    let ran = wait(piped);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

async fn other_manager_is_a_conflict(world: &World) {
    let deployments: Api<ModelDeployment> = world.namespaced();
    let params = PatchParams::apply("argocd").force();
    let mut spec = serde_json::to_value(&world.deployment().await.unwrap().spec).unwrap();
    spec["modelVersionRef"]["name"] = json!("digits-v2");
    let object =
        json!({"apiVersion": "mcdeploy.dev/v1alpha1", "kind": "ModelDeployment", "spec": spec});
    deployments
        .patch("digits", &params, &Patch::Apply(&object))
        .await
        .unwrap();
    let policies: Api<TrafficPolicy> = world.namespaced();
    let before = policies.get("digits").await.unwrap().spec;
    let more = "weights: {aws: 1, gcp: 5}\n";
    world.project(&format!("model: digits\nimage: {IMAGE}\n{more}"));
    world
        .run(&["rollout", "--model", "v3", "--no-wait"])
        .check(6, "argocd");
    let after = policies.get("digits").await.unwrap().spec;
    assert_eq!(after, before, "a refused rollout leaves no weights behind");
    world.project(&format!("model: digits\nimage: {IMAGE}\n"));
}

/// The server is its own member here.
async fn clusters_are_added(world: &World) {
    let add = |more: &[&str]| {
        let mut args = vec![
            "clusters",
            "add",
            "aws-2",
            "--region",
            "us-east-2",
            "--store",
            "aws",
        ];
        args.extend(["--member-kubeconfig", "kubeconfig"]);
        args.extend(more);
        world.run(&args)
    };
    add(&["--provider", "aws"]).check(5, "the hub has no namespace mcdeploy-system");
    world
        .apply(
            "api/v1/namespaces/mcdeploy-system",
            "v1",
            "Namespace",
            json!({}),
        )
        .await;
    add(&["--provider", "aws"]).check(5, "has no ServiceAccount mcdeploy-hub");
    let system = "api/v1/namespaces/mcdeploy-system";
    let account = format!("{system}/serviceaccounts/mcdeploy-hub");
    world
        .apply(&account, "v1", "ServiceAccount", json!({}))
        .await;
    add(&["--provider", "aws"]).check(4, "the token minted in cluster aws-2 does not work");
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "mcdeploy-hub", "namespace": "mcdeploy-system"}],
    });
    let version = "rbac.authorization.k8s.io/v1";
    let path = format!("apis/{version}/clusterrolebindings/hub");
    world
        .apply(&path, version, "ClusterRoleBinding", binding)
        .await;
    let ran = add(&["--provider", "aws"]);
    ran.check(0, "the token ends");
    assert_eq!(ran.stdout, "membercluster.mcdeploy.dev/aws-2 applied\n");
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(world.client.clone(), "mcdeploy-system");
    let secret = secrets.get("cluster-aws-2").await.unwrap();
    let kubeconfig = String::from_utf8(secret.data.unwrap()["kubeconfig"].0.clone()).unwrap();
    assert!(
        kubeconfig.contains("token:") && !kubeconfig.contains("exec"),
        "no other login"
    );
    // The same again renews; another provider under the name is refused.
    add(&["--provider", "aws"]).check(0, "");
    add(&["--provider", "gcp"]).check(6, "is already known with provider aws");
    let ran = world.run(&["clusters", "ls", "-o", "name"]);
    assert!(
        ran.stdout.contains("membercluster.mcdeploy.dev/aws-2\n"),
        "{}",
        ran.stdout
    );
}

/// The same program twice: what is kept, and that nothing changes the second time.
async fn an_inventory_is_added(world: &World) {
    let eks = json!({"eks": {
        "clusterName": "one", "region": "eu-west-1", "accountId": "123456789012",
        "roleArn": "arn:aws:iam::123456789012:role/hub",
        "endpoint": "https://eks.example.com", "caData": "Zm9v",
    }});
    let mut fleet = json!({
        "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "FleetInventory",
        "clusters": [{"name": "aws-3", "provider": "aws", "region": "eu-west-1",
            "jurisdiction": "EU", "artifactStoreRef": "aws-3", "access": eks}],
        "stores": [{"name": "aws-3", "provider": "aws", "region": "eu-west-1",
            "jurisdiction": "IE", "location": {"s3": {"bucket": "models"}},
            "auth": {"ambient": {}}}],
    });
    let add = |fleet: &Value| {
        std::fs::write(world.dir.path().join("fleet.json"), fleet.to_string()).unwrap();
        world.run(&["clusters", "add", "-f", "fleet.json"])
    };
    let members: Api<MemberCluster> = Api::all(world.client.clone());
    would_be_added(world, &fleet, ["create", "create"]);
    assert!(members.get_opt("aws-3").await.unwrap().is_none());
    let ran = add(&fleet);
    ran.check(0, "");
    let told = "kept and not used by the hub yet";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    let first = members.get("aws-3").await.unwrap();
    assert_eq!(serde_json::to_value(&first.spec.access).unwrap(), eks);
    assert_eq!(first.spec.jurisdiction.as_deref(), Some("EU"));
    let stores: Api<ArtifactStore> = Api::all(world.client.clone());
    let store = stores.get("aws-3").await.unwrap();
    assert_eq!(store.spec.jurisdiction.as_deref(), Some("IE"));
    add(&fleet).check(0, "");
    let second = members.get("aws-3").await.unwrap();
    assert_eq!(second.resource_version(), first.resource_version());
    would_be_added(world, &fleet, ["unchanged", "unchanged"]);
    fleet["clusters"][0]["jurisdiction"] = json!("IE");
    would_be_added(world, &fleet, ["unchanged", "change"]);
    fleet["clusters"][0]["jurisdiction"] = json!("EU");
    an_entry_that_the_hub_refuses_leaves_all_out(world).await;
    // A way in that works replaces one that does not yet, and is kept.
    let mut args = vec!["clusters", "add", "aws-3", "--provider", "aws"];
    args.extend(["--region", "eu-west-1", "--store", "aws-3"]);
    args.extend(["--member-kubeconfig", "kubeconfig"]);
    world.run(&args).check(0, "");
    add(&fleet).check(0, "");
    let now = members.get("aws-3").await.unwrap();
    assert_eq!(now.spec.access.kind(), "kubeconfigSecretRef");
    assert_eq!(now.spec.jurisdiction.as_deref(), Some("EU"));
    fleet["clusters"][0]["jurisdiction"] = json!("US");
    add(&fleet).check(
        2,
        "cluster \"aws-3\": jurisdiction \"US\" contradicts region",
    );
}

/// Asks the hub what an inventory of one store and one cluster would do.
fn would_be_added(world: &World, fleet: &Value, expected: [&str; 2]) {
    std::fs::write(world.dir.path().join("fleet.json"), fleet.to_string()).unwrap();
    let ran = world.run(&[
        "clusters",
        "add",
        "-f",
        "fleet.json",
        "--dry-run",
        "-o",
        "json",
    ]);
    ran.check(0, "");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let entries = report["entries"].as_array().unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, expected);
}

/// The provider of a store that is there is immutable, which only the hub knows.
async fn an_entry_that_the_hub_refuses_leaves_all_out(world: &World) {
    let store = |name: &str| {
        json!({"name": name, "provider": "onprem", "region": "lab",
            "location": {"s3": {"bucket": "models", "endpoint": "http://s3.lab"}},
            "auth": {"ambient": {}}})
    };
    let fleet = json!({
        "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "FleetInventory", "clusters": [],
        "stores": [store("lab-9"), store("aws-3")],
    });
    std::fs::write(world.dir.path().join("fleet.json"), fleet.to_string()).unwrap();
    for more in [&[][..], &["--dry-run"][..]] {
        let ran = world.run(&[&["clusters", "add", "-f", "fleet.json"], more].concat());
        ran.check(1, "nothing was applied")
            .check(1, "provider is immutable");
    }
    let stores: Api<ArtifactStore> = Api::all(world.client.clone());
    assert!(stores.get_opt("lab-9").await.unwrap().is_none());
}

fn silent_hub_is_told_at_once(world: &World) {
    world.server.freeze(true).unwrap();
    let begin = Instant::now();
    let ran = world.run(&["status"]);
    world.server.freeze(false).unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    ran.check(1, "does not answer").check(1, world.server.url());
}

#[test]
fn a_hub_that_is_down_is_told_at_once_with_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "hub",
        "clusters": [{"name": "hub", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "me", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "me"}}],
    });
    std::fs::write(dir.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
    let run = |args: &[&str]| Ran::of(command(dir.path(), args).output().unwrap());
    let begin = Instant::now();
    for args in [
        &["status"][..],
        &["get", "md"],
        &["rollout", "--model", "digits:v3", "--clouds", "aws"],
    ] {
        let ran = run(args);
        ran.check(1, "the hub at https://127.0.0.1:9/ does not answer")
            .check(1, "hint: gateways go on serving");
        assert!(!ran.stderr.contains("secret-token"));
    }
    assert!(begin.elapsed() < Duration::from_secs(9));
    run(&["version"]).check(0, "warning:");
    run(&["status", "--context", "other"]).check(2, "it has the contexts: hub");
    run(&["status", "--kubeconfig", "/nowhere"]).check(2, "cannot use /nowhere");
}

#[test]
fn init_writes_one_file_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| Ran::of(command(dir.path(), args).output().unwrap());
    run(&["init", "digits"]).check(0, "next:");
    let path = dir.path().join("mcdeploy.yaml");
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(before.contains("model: digits\n"));
    run(&["init"]).check(6, "exists already and is left as it is");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    writeln!(file, "replicas: -1").unwrap();
    run(&["status"]).check(2, "replicas is -1: expected 1 to 1000");
}

#[test]
fn help_is_fast() {
    let dir = tempfile::tempdir().unwrap();
    // On a machine that is busy with other tests; the demo measures the median.
    let fastest = (0..10).map(|_| {
        let begin = Instant::now();
        let ran = Ran::of(command(dir.path(), &["--help"]).output().unwrap());
        assert_eq!(ran.code, 0);
        begin.elapsed()
    });
    assert!(fastest.min().unwrap() < Duration::from_millis(20));
}
