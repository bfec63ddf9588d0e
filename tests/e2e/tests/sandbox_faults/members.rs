//! Member clusters and gateways in trouble.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret, Service},
};
use kube::{Api, Resource, ResourceExt as _, api::ListParams};
use mcdeploy_api::{Epoch, RoutingSnapshot, Ternary, names};
use mcdeploy_e2e::{
    digits::MODEL,
    sandbox::{
        CLOUDS,
        faults::{NAMESPACE, set_gateway_args, set_weights},
    },
};
use serde::de::DeserializeOwned;

use crate::fixture::{Fixture, assert_no_failure};

/// What the operator put into a cloud for the model, by kind and name, and the epoch that
/// gateways there are told.
async fn contents(fixture: &Fixture, cloud: &str) -> (Vec<String>, Epoch) {
    async fn named<K>(client: &kube::Client, kind: &str) -> Vec<String>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned,
        K: std::fmt::Debug,
    {
        let of_model = ListParams::default().labels(&format!("{}={MODEL}", names::LABEL_MODEL));
        let all = Api::<K>::namespaced(client.clone(), NAMESPACE);
        let found = all.list(&of_model).await.unwrap();
        let named = found.iter().map(|one| format!("{kind} {}", one.name_any()));
        named.collect()
    }
    let client = fixture.sandbox.client(cloud).await.unwrap();
    let objects = [
        named::<Deployment>(&client, "Deployment").await,
        named::<Service>(&client, "Service").await,
        named::<Secret>(&client, "Secret").await,
    ];
    let snapshots: Api<RoutingSnapshot> = Api::namespaced(client, NAMESPACE);
    let epoch = snapshots.get(MODEL).await.unwrap().spec.epoch;
    (objects.concat(), epoch)
}

/// Everything that was there is there again after contact was lost, whatever came since.
async fn assert_kept(fixture: &Fixture, cloud: &str, before: &[String]) {
    assert!(before.len() >= 3, "{before:?}");
    let (after, _) = contents(fixture, cloud).await;
    let gone: Vec<_> = before.iter().filter(|one| !after.contains(one)).collect();
    assert!(gone.is_empty(), "{gone:?} of {before:?}, now {after:?}");
}

#[tokio::test]
async fn fault_p3_member_unreachable_from_the_start_is_unknown_and_the_rest_goes_on() {
    let fixture = Fixture::new().await;
    let (before, epoch) = contents(&fixture, "gcp").await;
    // From the hub only, so that the test can look inside meanwhile.
    let outage = ["sandbox", "outage", "gcp", "--from", "hub"];
    fixture.ok(&outage).await;
    let load = fixture.load(&["aws", "azure"]).await;
    let words = ["rollout", "--model", "v3", "--timeout", "90s"];
    let said = fixture.sandbox.run(&words).await.unwrap();
    // Given up on, or still waited for: as the time of this machine has it.
    assert!(matches!(said.code, Some(1 | 124)), "{}", said.text());
    assert!(said.text().contains("Unreachable"), "{}", said.text());
    fixture.wait_serving("aws", "v3").await;
    fixture.wait_serving("azure", "v3").await;
    let row = fixture.row("gcp").await;
    assert_eq!(row.reachable, Ternary::Unknown, "{row:?}");
    assert_eq!(row.version.as_deref(), Some("v2"), "{row:?}");
    assert_no_failure(load).await;
    let (during, told) = contents(&fixture, "gcp").await;
    assert_eq!(
        (&during, told),
        (&before, epoch),
        "nothing is written there"
    );
    fixture.ok(&["sandbox", "heal", "gcp"]).await;
    fixture.wait_serving("gcp", "v3").await;
}

#[tokio::test]
async fn fault_p3_member_lost_in_the_middle_of_a_rollout_is_unknown_and_the_rest_goes_on() {
    let fixture = Fixture::new().await;
    fixture
        .ok(&[
            "rollout",
            "--model",
            "v3",
            "--clouds",
            "aws,gcp",
            "--no-wait",
        ])
        .await;
    fixture.wait_begun("aws").await;
    let (before, _) = contents(&fixture, "aws").await;
    fixture.ok(&["sandbox", "outage", "aws"]).await;
    let load = fixture.load(&["gcp", "azure"]).await;
    fixture.wait_serving("gcp", "v3").await;
    fixture
        .wait_row("aws", "aws is unknown", |row| {
            row.reachable == Ternary::Unknown
        })
        .await;
    assert_no_failure(load).await;
    let row = fixture.row("aws").await;
    assert_eq!(
        row.version.as_deref(),
        Some("v2"),
        "it was lost in the middle"
    );
    fixture.ok(&["sandbox", "heal", "aws"]).await;
    assert_kept(&fixture, "aws", &before).await;
    fixture.wait_serving("aws", "v3").await;
}

#[tokio::test]
async fn fault_a2_watch_that_is_cut_is_taken_up_again() {
    let fixture = Fixture::new().await;
    let load = fixture.load(&["gcp"]).await;
    let recorded = "/var/lib/mcdeploy-sandbox/gcp/run/kube-apiserver.pid";
    let recorded = std::fs::read_to_string(recorded).unwrap();
    let pid = recorded.split_whitespace().next().unwrap().to_owned();
    let killed = tokio::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(killed.await.unwrap().success());
    tokio::time::sleep(Duration::from_secs(5)).await;
    fixture.ok(&["sandbox", "heal", "gcp"]).await;
    fixture
        .wait_row("gcp", "gcp is seen again", |row| {
            row.reachable == Ternary::True
        })
        .await;
    // Only a gateway that watches again takes this.
    let even = CLOUDS.map(|cloud| (cloud, 1));
    set_weights(&fixture.sandbox, MODEL, &even).await.unwrap();
    set_weights(&fixture.sandbox, MODEL, &[]).await.unwrap();
    assert_no_failure(load).await;
}

#[tokio::test]
async fn fault_c6_gateway_that_cannot_write_its_state_serves_on_and_does_not_crash() {
    let fixture = Fixture::new().await;
    let change = |args: &mut Vec<String>| {
        args.retain(|arg| !arg.starts_with("--state-dir"));
        args.push("--state-dir=/proc/none".to_owned());
    };
    let before = set_gateway_args(&fixture.sandbox, "azure", change)
        .await
        .unwrap();
    let load = fixture.load(&["azure"]).await;
    fixture
        .ok(&["rollout", "--model", "v3", "--clouds", "azure"])
        .await;
    assert_no_failure(load).await;
    let client = fixture.sandbox.client("azure").await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client, names::SYSTEM_NAMESPACE);
    let gateways = ListParams::default().labels("app.kubernetes.io/component=gateway");
    let restarts = pods
        .list(&gateways)
        .await
        .unwrap()
        .items
        .iter()
        .flat_map(|pod| {
            let statuses = pod.status.clone().unwrap_or_default().container_statuses;
            statuses.unwrap_or_default()
        })
        .map(|status| status.restart_count)
        .sum::<i32>();
    assert_eq!(restarts, 0);
    let client = fixture.sandbox.client("azure").await.unwrap();
    let snapshot = Api::<RoutingSnapshot>::namespaced(client, NAMESPACE);
    let snapshot = snapshot.get(MODEL).await.unwrap();
    let told = snapshot.status.unwrap_or_default().applied;
    let told = told
        .iter()
        .filter_map(|gateway| gateway.not_kept.as_deref());
    assert!(told.clone().any(|reason| reason.contains("/proc/none")));
    let restore = |args: &mut Vec<String>| *args = before;
    set_gateway_args(&fixture.sandbox, "azure", restore)
        .await
        .unwrap();
}
