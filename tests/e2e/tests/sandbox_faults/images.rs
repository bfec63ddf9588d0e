//! Images that are not where they are needed.

use bytes::Bytes;
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use mcdeploy_api::{ModelDeployment, names};
use mcdeploy_e2e::{
    digits::MODEL,
    sandbox::{eventually, expect, faults::NAMESPACE},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    fixture::{Fixture, PATIENCE, assert_no_failure},
    requests::{ask, request},
};

const KIND: &str = "application/vnd.oci.image.manifest.v1+json";
const HUB: &str = "10.203.0.10:5000";
const AWS: &str = "10.203.0.11:5000";
const GCP: &str = "10.203.0.12:5000";

/// Puts an image of a digest of its own under a tag into some registries: the manifest
/// of `mcserve:dev` with an annotation.
async fn image_of_its_own(tag: &str, registries: &[&str]) {
    for registry in registries {
        let path = "/v2/mcserve/manifests/dev";
        let get = request(Method::GET, registry, path, KIND, Bytes::new());
        let (status, manifest) = ask(registry, get).await;
        assert_eq!(status, 200, "{manifest:?}");
        let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["annotations"] = json!({ "test": tag });
        let path = format!("/v2/mcserve/manifests/{tag}");
        let body = serde_json::to_vec(&manifest).unwrap().into();
        let put = request(Method::PUT, registry, &path, KIND, body);
        let (status, answer) = ask(registry, put).await;
        assert_eq!(status, 201, "{answer:?}");
    }
}

/// The image that the deployment names: its digest.
async fn digest(fixture: &Fixture) -> String {
    let image = fixture.deployment().await.spec.container.image;
    let (_, digest) = image.split_once('@').unwrap();
    digest.to_owned()
}

/// Status of a registry's answer about an image.
async fn manifest(registry: &str, digest: &str) -> u16 {
    let path = format!("/v2/mcserve/manifests/{digest}");
    let get = request(Method::GET, registry, &path, KIND, Bytes::new());
    ask(registry, get).await.0
}

/// Takes every image of ours from a node; what runs goes on.
async fn empty_node(cloud: &str) {
    let config = format!("--config=/var/lib/mcdeploy-sandbox/{cloud}/");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let containerd = processes.map(|entry| entry.path()).find(|path| {
        let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        words.contains("containerd") && words.contains(&config)
    });
    let containerd = containerd.expect("containerd of the cloud");
    let pid = containerd.file_name().unwrap().to_str().unwrap().to_owned();
    let ctr = async |words: &[&str]| {
        let inside = ["--target", &pid, "--mount", "--net", "ctr"];
        let socket = ["--address", "/run/containerd/containerd.sock"];
        let mut command = Command::new("nsenter");
        command.args(inside).args(socket);
        let output = command
            .args(["--namespace", "k8s.io", "images"])
            .args(words);
        let output = output.output().await.unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = ctr(&["ls", "-q"]).await;
    let ours = listed.lines().filter(|image| image.contains(":5000/"));
    for image in ours {
        ctr(&["rm", "--sync", image]).await;
    }
    let left = ctr(&["ls", "-q"]).await;
    assert!(!left.contains("mcserve"), "{left}");
}

/// As `kubectl scale` would. Whoever calls it sets back what `mcdeploy.yaml` says, else
/// the next rollout of the project conflicts with it.
async fn set_replicas(fixture: &Fixture, replicas: i32) {
    let all: Api<ModelDeployment> = Api::namespaced(fixture.hub.clone(), NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    let params = PatchParams::default();
    all.patch(MODEL, &params, &patch).await.unwrap();
}

/// Images of the servers of a version in a cluster; pods that are ending are not counted.
async fn server_images(fixture: &Fixture, cluster: &str, version: &str) -> Vec<String> {
    let client = fixture.sandbox.client(cluster).await.unwrap();
    let labels = [(names::LABEL_MODEL, MODEL), (names::LABEL_VERSION, version)];
    let selector = labels
        .map(|(key, value)| format!("{key}={value}"))
        .join(",");
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let found = pods.list(&ListParams::default().labels(&selector)).await;
    let mut pods = found.unwrap().items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    let containers = pods
        .into_iter()
        .flat_map(|pod| pod.spec.unwrap().containers);
    let servers = containers.filter(|container| container.name == names::SERVER_CONTAINER);
    servers.map(|server| server.image.unwrap()).collect()
}

#[tokio::test]
async fn fault_a6_gcp_scales_up_on_an_empty_node_while_aws_is_dark() {
    let fixture = Fixture::new().await;
    let tag = format!("a6-{}", std::process::id());
    // The hub's registry only tells the CLI the digest: it is nobody's mirror.
    image_of_its_own(&tag, &[HUB, AWS]).await;
    let image = format!("registry.mcdeploy.test:5000/mcserve:{tag}");
    let words = ["rollout", "--model", "v3", "--clouds", "aws,gcp", "--image"];
    fixture.ok(&[&words[..], &[&image]].concat()).await;
    let digest = digest(&fixture).await;
    assert_eq!(manifest(GCP, &digest).await, 200, "copied to gcp");
    fixture.ok(&["sandbox", "outage", "aws"]).await;
    empty_node("gcp").await;
    let load = fixture.load(&["gcp"]).await;
    set_replicas(&fixture, 2).await;
    fixture
        .wait_row("gcp", "two pods in gcp", |row| {
            row.ready_replicas == 2 && row.desired_replicas == 2
        })
        .await;
    let images = server_images(&fixture, "gcp", "v3").await;
    assert_no_failure(load).await;
    set_replicas(&fixture, 1).await;
    fixture.ok(&["sandbox", "heal", "aws"]).await;
    eventually("aws is seen again", PATIENCE, || async {
        let row = fixture.row("aws").await;
        expect(row.reachable == mcdeploy_api::Ternary::True, || {
            format!("{row:?}")
        })
    })
    .await
    .unwrap();
    let expected = format!("{GCP}/mcserve@{digest}");
    assert_eq!(images, [expected.clone(), expected]);
}

#[tokio::test]
async fn fault_a6_image_that_no_registry_has_is_said_and_what_serves_goes_on() {
    let fixture = Fixture::new().await;
    let load = fixture.load(&["aws", "gcp", "azure"]).await;
    let image = format!("{AWS}/mcserve@sha256:{:064x}", std::process::id());
    let words = ["rollout", "--model", "v3", "--clouds", "gcp,aws", "--image"];
    let said = fixture.refused(&[&words[..], &[&image]].concat(), 1).await;
    assert!(said.contains("ImageMissing"), "{said}");
    for cloud in ["aws", "gcp"] {
        let row = fixture.row(cloud).await;
        assert_eq!(row.reason, "ImageMissing", "{row:?}");
        assert_eq!(row.version.as_deref(), Some("v2"), "{row:?}");
    }
    assert_no_failure(load).await;
}

#[tokio::test]
async fn fault_a6_registry_down_in_one_cloud_is_said_and_others_finish() {
    let fixture = Fixture::new().await;
    let tag = format!("a6-down-{}", std::process::id());
    image_of_its_own(&tag, &[HUB, AWS]).await;
    let image = format!("registry.mcdeploy.test:5000/mcserve:{tag}");
    let recorded = "/var/lib/mcdeploy-sandbox/gcp/run/registry.pid";
    let recorded = std::fs::read_to_string(recorded).unwrap();
    let pid = recorded.split_whitespace().next().unwrap().to_owned();
    let killed = Command::new("kill").args(["-9", &pid]).status().await;
    assert!(killed.unwrap().success());
    let load = fixture.load(&["aws", "gcp", "azure"]).await;
    let words = [
        "rollout",
        "--model",
        "v3",
        "--clouds",
        "gcp,aws",
        "--timeout",
        "60s",
    ];
    let words = [&words[..], &["--image", &image]].concat();
    let said = fixture.sandbox.run(&words).await.unwrap();
    assert_ne!(said.code, Some(0), "{}", said.text());
    fixture.wait_serving("aws", "v3").await;
    let row = fixture.row("gcp").await;
    assert_eq!(row.reason, "RegistryUnreachable", "{row:?}");
    assert_eq!(row.version.as_deref(), Some("v2"), "{row:?}");
    assert_no_failure(load).await;
    fixture.ok(&["sandbox", "heal", "gcp"]).await;
    fixture.wait_serving("gcp", "v3").await;
}
