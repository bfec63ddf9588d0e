//! `artifacts gc --versions` and `--remove` against a hub that refers to versions, and real
//! stores that hold them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::{apps::v1::ControllerRevision, core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use mcdeploy_api::{ModelDeployment, ModelVersion, Sha256Digest, StoreAccess, names};
use mcdeploy_sandbox::testing::{FakeGcs, Versitygw};
use mcdeploy_store::{Store, StoredState, list_versions, open, push_version};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::World;

const MODEL: &str = "letters";

struct Fleet {
    world: World,
    stores: BTreeMap<&'static str, Arc<dyn Store>>,
    digests: BTreeMap<&'static str, Sha256Digest>,
    _servers: (Versitygw, FakeGcs),
}

impl Fleet {
    async fn start() -> Self {
        let world = World::start().await;
        let servers = (
            Versitygw::start().await.unwrap(),
            FakeGcs::start().await.unwrap(),
        );
        let mut stores = BTreeMap::new();
        for (name, access) in [("aws", servers.0.access()), ("gcp", servers.1.access())] {
            register(&world, name, &access).await;
            stores.insert(name, open(&access).await.unwrap());
        }
        let mut fleet = Self {
            world,
            stores,
            digests: BTreeMap::new(),
            _servers: servers,
        };
        for version in ["v1", "v2", "v3", "v4", "v5"] {
            fleet.push(version).await;
        }
        // Ages are whole seconds.
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        fleet
    }

    async fn push(&mut self, version: &'static str) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("model.onnx"), version).unwrap();
        for store in self.stores.values() {
            let cancel = CancellationToken::new();
            let pushed = push_version(store.as_ref(), dir.path(), MODEL, version, &|_| {}, &cancel);
            let digest = pushed.await.unwrap().manifest_digest;
            self.digests.insert(version, digest);
        }
    }

    /// v4 has a `ModelVersion`, and nothing refers to it. v2 is recorded, v3 serves, v5 is
    /// asked for. Nothing knows v1.
    async fn refer(&self) {
        let world = &self.world;
        let versions: Api<ModelVersion> = world.namespaced();
        let spec = json!({
            "model": MODEL, "version": "v4", "manifestDigest": self.digests["v4"],
            "sizeBytes": 2, "storeRef": {"name": "aws"},
        });
        let object = json!({"metadata": {"name": "letters-v4"}, "spec": spec});
        let object = serde_json::from_value(object).unwrap();
        versions
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        let deployments: Api<ModelDeployment> = world.namespaced();
        let image = crate::IMAGE;
        let object = json!({
            "metadata": {"name": MODEL},
            "spec": {
                "modelVersionRef": {"name": "letters-v5"}, "container": {"image": image},
                "placement": {"providers": ["aws"]},
            },
        });
        let object = serde_json::from_value(object).unwrap();
        deployments
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        let row = json!({
            "cluster": "aws", "provider": "aws", "reachable": "True", "revision": "3333333333",
            "version": "v3", "desiredReplicas": 1, "readyReplicas": 1, "weight": 100,
            "artifactBytes": 2, "reason": "AsDesired",
        });
        let status = json!({
            "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "ModelDeployment",
            "status": {"clusters": [row], "conditions": []},
        });
        let params = PatchParams::apply("test-operator").force();
        let patch = Patch::Apply(&status);
        deployments
            .patch_status(MODEL, &params, &patch)
            .await
            .unwrap();
        for (revision, version) in [("2222222222", "v2"), ("3333333333", "v3")] {
            let data = json!({
                "model": MODEL, "version": version, "container": {"image": image},
                "manifestDigest": self.digests[version], "rendered": null,
            });
            self.record(revision, &data).await;
        }
    }

    async fn record(&self, revision: &str, data: &Value) {
        let object = json!({
            "metadata": {"name": format!("letters-{revision}"), "labels": {
                names::LABEL_DEPLOYMENT: MODEL, names::LABEL_REVISION: revision,
            }},
            "data": data, "revision": 1,
        });
        let records: Api<ControllerRevision> = self.world.namespaced();
        let object = serde_json::from_value(object).unwrap();
        records
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    fn gc(&self, rest: &[&str], code: i32, in_stderr: &str) -> Vec<String> {
        let args = ["artifacts", "gc", "-o", "json", "--older-than", "1s"];
        let ran = self.world.run(&[&args[..], rest].concat());
        ran.check(code, in_stderr);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let word = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
        let shown = report["versions"].as_array().unwrap().iter().map(|item| {
            let words = ["store", "version", "action", "reason"].map(|key| word(item, key));
            words.join(" ")
        });
        shown.collect()
    }

    async fn whole(&self, store: &str) -> Vec<String> {
        let cancel = CancellationToken::new();
        let found = list_versions(self.stores[store].as_ref(), Some(MODEL), &cancel).await;
        let found = found.unwrap().into_iter();
        let whole = found.filter(|version| version.state == StoredState::Whole);
        whole.map(|version| version.version).collect()
    }
}

async fn register(world: &World, name: &str, access: &StoreAccess) {
    let mut spec = serde_json::to_value(&access.spec).unwrap();
    if !access.secret.0.is_empty() {
        spec["auth"] = json!({"secretRef": {"name": format!("store-{name}")}});
        let system = names::SYSTEM_NAMESPACE;
        let path = format!("api/v1/namespaces/{system}");
        world
            .apply(&path, "v1", "Namespace", json!({"metadata": {}}))
            .await;
        let secrets: Api<Secret> = Api::namespaced(world.client.clone(), system);
        let object = json!({
            "metadata": {"name": format!("store-{name}")}, "stringData": access.secret.0,
        });
        let object = serde_json::from_value(object).unwrap();
        secrets
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    let path = format!("apis/mcdeploy.dev/v1alpha1/artifactstores/{name}");
    let object = json!({"metadata": {}, "spec": spec});
    world
        .apply(&path, "mcdeploy.dev/v1alpha1", "ArtifactStore", object)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_only_when_nothing_in_the_hub_needs_them() {
    let fleet = Fleet::start().await;
    fleet.refer().await;
    let all = ["v1", "v2", "v3", "v4", "v5"];
    let versions = ["--versions", "--keep", "0"];

    // One record that cannot be read may refer to anything.
    fleet.record("1111111111", &json!({"model": 7})).await;
    let yes = ["--versions", "--keep", "0", "--yes"];
    let shown = fleet.gc(&yes, 1, "every version stays: revision 1111111111");
    assert!(
        shown.contains(&"aws v1 Keep UnknownReferences".to_owned()),
        "{shown:?}"
    );
    assert_eq!(fleet.whole("aws").await, all);
    let records: Api<ControllerRevision> = fleet.world.namespaced();
    let params = DeleteParams::default();
    records.delete("letters-1111111111", &params).await.unwrap();

    let expected = |action: &str| {
        [
            format!("aws v1 {action} Unneeded"),
            "aws v2 Keep RollbackTarget".to_owned(),
            "aws v3 Keep InUse".to_owned(),
            "aws v4 Keep LastReplica".to_owned(),
            "aws v5 Keep InUse".to_owned(),
            format!("gcp v1 {action} Unneeded"),
            "gcp v2 Keep RollbackTarget".to_owned(),
            "gcp v3 Keep InUse".to_owned(),
            format!("gcp v4 {action} Unneeded"),
            "gcp v5 Keep InUse".to_owned(),
        ]
    };
    assert_eq!(fleet.gc(&versions, 0, ""), expected("Remove"));
    assert_eq!(fleet.whole("gcp").await, all, "a dry run removes nothing");
    let kept = fleet.gc(&["--versions", "--keep", "9"], 0, "");
    assert!(
        !kept.iter().any(|line| line.ends_with("Unneeded")),
        "{kept:?}"
    );
    // A copy in a store that is not named counts too.
    let only_gcp = fleet.gc(&["gcp", "--versions", "--keep", "0"], 0, "");
    assert_eq!(only_gcp, expected("Remove")[5..]);

    assert_eq!(fleet.gc(&yes, 0, ""), expected("Removed"));
    assert_eq!(fleet.whole("aws").await, ["v2", "v3", "v4", "v5"]);
    assert_eq!(fleet.whole("gcp").await, ["v2", "v3", "v5"]);
    let shown = fleet.gc(&yes, 0, "");
    assert!(
        !shown.iter().any(|line| line.ends_with("Unneeded")),
        "{shown:?}"
    );

    // Naming a version does not override what needs it.
    let named = fleet.gc(&["--remove", "letters:v3", "--yes"], 0, "");
    assert_eq!(named, ["aws v3 Keep InUse", "gcp v3 Keep InUse"]);
    let model_versions: Api<ModelVersion> = fleet.world.namespaced();
    model_versions.delete("letters-v4", &params).await.unwrap();
    let named = fleet.gc(&["--remove", "letters:v4", "--yes"], 0, "");
    assert_eq!(named, ["aws v4 Removed Unneeded"]);
    assert_eq!(fleet.whole("aws").await, ["v2", "v3", "v5"]);
}
