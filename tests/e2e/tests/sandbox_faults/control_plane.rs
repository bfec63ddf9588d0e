//! The hub and its operator in trouble.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use mcdeploy_api::names;
use mcdeploy_e2e::{
    digits::MODEL,
    sandbox::{
        eventually, expect,
        faults::{self, NAMESPACE},
    },
};

use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, assert_no_failure};

/// Kills every operator pod at once, the leader among them.
async fn kill_operator(fixture: &Fixture) {
    let pods: Api<Pod> = Api::namespaced(fixture.hub.clone(), names::SYSTEM_NAMESPACE);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let found = pods.list(&operators).await.unwrap();
    assert!(!found.items.is_empty(), "no operator pod");
    for pod in found {
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete(&pod.name_any(), &at_once).await.unwrap();
    }
}

/// In each of these clouds there is in the end one revision of the model, no other.
async fn assert_one_revision(fixture: &Fixture, clouds: &[&str]) {
    for &cloud in clouds {
        let client = fixture.sandbox.client(cloud).await.unwrap();
        let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
        let of_model = ListParams::default().labels(&format!("{}={MODEL}", names::LABEL_MODEL));
        eventually("old revisions are gone", PATIENCE, || async {
            let found = deployments.list(&of_model).await?.items;
            expect(found.len() == 1, || {
                format!("{cloud}: {} revisions", found.len())
            })
        })
        .await
        .unwrap();
    }
}

/// What the operator wrote for the model in some clouds: names, labels and specs of its
/// Deployments.
async fn written(fixture: &Fixture, clouds: &[&str]) -> Vec<Value> {
    let mut all = vec![];
    for &cloud in clouds {
        let client = fixture.sandbox.client(cloud).await.unwrap();
        let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
        let of_model = ListParams::default().labels(&format!("{}={MODEL}", names::LABEL_MODEL));
        for one in deployments.list(&of_model).await.unwrap() {
            let (name, labels) = (one.name_any(), one.labels().clone());
            all.push(json!({ "cloud": cloud, "name": name, "labels": labels, "spec": one.spec }));
        }
    }
    all
}

/// The next number of a sequence that a seed begins (`SplitMix64`).
fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[expect(clippy::disallowed_methods, reason = "a test has no arguments")]
fn first_seed() -> u64 {
    let seed = std::env::var("MCDEPLOY_TEST_SEED").ok();
    seed.map_or(2026, |seed| seed.parse().unwrap())
}

#[tokio::test]
async fn fault_c4_operator_killed_at_three_moments_of_a_rollout_ends_as_if_it_was_not() {
    const CHANGED: [&str; 2] = ["aws", "gcp"];
    let fixture = Fixture::new().await;
    let mut seed = first_seed();
    println!("MCDEPLOY_TEST_SEED={seed}");
    let roll = async |version: &str| {
        let words = ["rollout", "--model", version, "--clouds", "aws,gcp"];
        fixture.ok(&[&words[..], &["--no-wait"]].concat()).await;
    };
    let settled = async |version: &str| {
        for cloud in CHANGED {
            fixture.wait_serving(cloud, version).await;
        }
        assert_one_revision(&fixture, &["aws", "gcp", "azure"]).await;
        written(&fixture, &CHANGED).await
    };
    // As it is without a kill.
    let v2 = settled("v2").await;
    roll("v3").await;
    let v3 = settled("v3").await;
    let (mut kills, mut within) = (0, 5000);
    for turn in 0.. {
        let (version, expected) = [("v2", &v2), ("v3", &v3)][turn % 2];
        let load = fixture.load(&["aws", "gcp", "azure"]).await;
        roll(version).await;
        let moment = draw(&mut seed) % within;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if fixture.is_complete().await {
            // Too late for this machine: draw again, sooner.
            within = moment.max(500);
        } else {
            println!("killed {moment} ms after the rollout to {version} began");
            kill_operator(&fixture).await;
            kills += 1;
        }
        assert_eq!(&settled(version).await, expected, "{moment} ms");
        assert_no_failure(load).await;
        if kills == 3 {
            break;
        }
        assert!(turn < 8, "{kills} kills hit a rollout under way");
    }
    let azure = fixture.row("azure").await;
    assert_eq!(azure.version.as_deref(), Some("v2"), "{azure:?}");
}

#[tokio::test]
async fn fault_c3_hub_api_down_is_said_at_once_and_gateways_go_on() {
    let fixture = Fixture::new().await;
    let load = fixture.load(&["aws", "gcp", "azure"]).await;
    fixture.ok(&["sandbox", "outage", "hub"]).await;
    let said = fixture
        .sandbox
        .run(&["rollout", "--model", "v3", "--clouds", "aws"])
        .await
        .unwrap();
    assert_eq!(said.code, Some(1), "{}", said.text());
    assert!(said.text().contains("10.203.0.10"), "{}", said.text());
    assert!(said.took < Duration::from_secs(15), "{:?}", said.took);
    tokio::time::sleep(Duration::from_secs(5)).await;
    fixture.ok(&["sandbox", "heal", "hub"]).await;
    assert_no_failure(load).await;
    fixture
        .ok(&["rollout", "--model", "v3", "--clouds", "aws"])
        .await;
    fixture.wait_serving("aws", "v3").await;
}

#[tokio::test]
async fn fault_a1_hub_api_that_stands_still_delays_a_rollout_and_no_more() {
    let fixture = Fixture::new().await;
    let load = fixture.load(&["aws", "gcp", "azure"]).await;
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
    tokio::time::sleep(Duration::from_secs(3)).await;
    fixture.ok(&["sandbox", "outage", "hub", "--pause"]).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    fixture.ok(&["sandbox", "heal", "hub"]).await;
    for cloud in ["aws", "gcp"] {
        fixture.wait_serving(cloud, "v3").await;
    }
    assert_no_failure(load).await;
}

#[tokio::test]
async fn fault_r4_of_two_rollouts_at_once_the_later_wins_and_nothing_is_mixed() {
    let fixture = Fixture::new().await;
    let [earlier, later] = ["earlier", "later"].map(|at| format!("r4-{at}-{}", std::process::id()));
    for version in [&earlier, &later] {
        fixture.fresh_version(version, &["aws"]).await;
    }
    // However slow the test is, the earlier rollout is not done before the later one is asked for.
    faults::hold_new_pods(&fixture.sandbox, "aws")
        .await
        .unwrap();
    let first = fixture
        .sandbox
        .command(&["rollout", "--model", &earlier, "--clouds", "aws,gcp"])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    fixture.wait_asked(&earlier).await;
    let words = ["rollout", "--model", &later, "--clouds", "aws,gcp"];
    let second = fixture
        .sandbox
        .run(&[&words[..], &["--no-wait"]].concat())
        .await;
    let first = tokio::time::timeout(PATIENCE, first.wait_with_output()).await;
    faults::let_pods_up(&fixture.sandbox, "aws").await.unwrap();
    let second = second.unwrap();
    assert_eq!(second.code, Some(0), "{}", second.text());
    let first = first.expect("the earlier rollout's wait ends").unwrap();
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert_eq!(first.status.code(), Some(6), "{said}");
    assert!(said.contains(&later), "{said}");
    for cloud in ["aws", "gcp"] {
        fixture.wait_serving(cloud, &later).await;
    }
    assert_one_revision(&fixture, &["aws", "gcp"]).await;
}
