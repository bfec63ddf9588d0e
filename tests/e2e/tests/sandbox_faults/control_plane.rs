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
    sandbox::{eventually, expect, faults::NAMESPACE},
};

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

#[tokio::test]
async fn fault_c4_operator_killed_at_three_moments_of_a_rollout_ends_as_if_it_was_not() {
    let fixture = Fixture::new().await;
    // Milliseconds after the start of the rollout: drawn once, kept for repetition.
    for (moment, version) in [(700, "v3"), (4300, "v2"), (9100, "v3")] {
        let load = fixture.load(&["aws", "gcp", "azure"]).await;
        fixture
            .ok(&[
                "rollout",
                "--model",
                version,
                "--clouds",
                "aws,gcp",
                "--no-wait",
            ])
            .await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        kill_operator(&fixture).await;
        for cloud in ["aws", "gcp"] {
            fixture.wait_serving(cloud, version).await;
        }
        assert_one_revision(&fixture, &["aws", "gcp", "azure"]).await;
        assert_no_failure(load).await;
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
    let first = fixture
        .sandbox
        .command(&["rollout", "--model", "v3", "--clouds", "aws,gcp"])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    fixture.fresh_version("v4", &["aws"]).await;
    fixture
        .ok(&["rollout", "--model", "v4", "--clouds", "aws,gcp"])
        .await;
    let first = tokio::time::timeout(PATIENCE, first.wait_with_output()).await;
    let first = first.expect("the earlier rollout's wait ends").unwrap();
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    // It may have been done already; if not, it says who came after it.
    if first.status.code() != Some(0) {
        assert_eq!(first.status.code(), Some(6), "{said}");
        assert!(said.contains("v4"), "{said}");
    }
    for cloud in ["aws", "gcp"] {
        fixture.wait_serving(cloud, "v4").await;
    }
    assert_one_revision(&fixture, &["aws", "gcp"]).await;
}
