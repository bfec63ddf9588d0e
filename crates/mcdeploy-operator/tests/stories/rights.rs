//! The hub as a member's chart lets it be: rights in the namespaces that it names.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use mcdeploy_api::{ModelDeploymentStatus, Provider, Ternary};
use mcdeploy_cluster::{Delete, MemberRegistration, register_member};

use super::eventually;
use crate::{
    cloud::{World, always},
    prepare, row,
};

const NS: &str = "default";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_charts_default_rights_are_enough_for_a_rollout_and_for_watching_it() {
    let world = World::start(&["aws"]).await;
    install_chart(&world, "aws");
    world.act_as_hub("aws").await;
    let story = async {
        rolled_out_twice(&world).await;
        what_was_deleted_comes_back_before_the_next_look(&world).await;
        a_namespace_that_is_not_named_is_told(&world).await;
    };
    let bounded = tokio::time::timeout(std::time::Duration::from_mins(3), story);
    world.operate_while(always(), bounded).await.unwrap();
}

async fn pods(world: &World, namespace: &str) -> Vec<Deployment> {
    let aws = &world.clouds["aws"].client;
    aws.list::<Deployment>(Some(namespace), "").await.unwrap()
}

async fn rolled_out_twice(world: &World) {
    for version in ["v1", "v2"] {
        world.push(NS, "rights", version, "aws").await;
        let generation = world.rollout(NS, "rights", version, &["aws"], None).await;
        world.until_complete(NS, "rights", generation).await;
    }
    eventually("v1's pods are gone", async || {
        pods(world, NS).await.len() == 1
    })
    .await;
}

/// The next look that nothing wakes is half a minute away.
async fn what_was_deleted_comes_back_before_the_next_look(world: &World) {
    // The last looks of the rollout end.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let aws = &world.clouds["aws"].client;
    let [found] = &pods(world, NS).await[..] else {
        panic!("one revision serves");
    };
    let name = found.metadata.name.clone().unwrap();
    let gone = aws.delete::<Deployment>(Some(NS), &name, Delete::default());
    assert!(gone.await.unwrap());
    let comes_back = eventually("the pods are back", async || {
        !pods(world, NS).await.is_empty()
    });
    let at_once = std::time::Duration::from_secs(12);
    let waited = tokio::time::timeout(at_once, comes_back).await;
    waited.expect("nobody watched the namespace");
}

async fn a_namespace_that_is_not_named_is_told(world: &World) {
    let ns = "not-named";
    prepare(world, ns).await;
    let aws = &world.clouds["aws"].client;
    aws.ensure_namespace(ns).await.unwrap();
    world.push(ns, "unnamed", "v1", "aws").await;
    world.rollout(ns, "unnamed", "v1", &["aws"], None).await;
    let told = |status: &ModelDeploymentStatus| {
        let mut rows = status.clusters.iter();
        rows.any(|row| row.reason == "AuthFailed")
    };
    let status = world.until(ns, "unnamed", "told", told).await;
    let aws_row = row(&status, "aws");
    assert_eq!(aws_row.reachable, Ternary::Unknown);
    let next = r#"member.namespaces only: is "not-named" one of them?"#;
    assert!(aws_row.message.contains(next), "{}", aws_row.message);
    assert!(pods(world, ns).await.is_empty());
    let services = aws.list::<Service>(Some(ns), "").await.unwrap();
    assert!(services.is_empty());
}

impl World {
    /// As `mcdeploy clusters add` does: from now on the operator has a token of the
    /// account that the chart makes, and no other right.
    async fn act_as_hub(&self, name: &str) {
        let cloud = &self.clouds[name];
        let request = MemberRegistration {
            image_registry: None,
            node_cache: None,
            name: name.to_owned(),
            provider: Provider::Aws,
            region: "here".to_owned(),
            jurisdiction: None,
            artifact_store: name.to_owned(),
            ingress: Some(cloud.gateway.address.clone()),
            server: None,
            token_lifetime: MemberRegistration::TOKEN_LIFETIME,
        };
        let done = register_member(&self.client, &cloud.client, &request).await;
        done.unwrap();
    }
}

/// The chart as a user installs it in a member, with no value that is not required.
fn install_chart(world: &World, name: &str) {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/mcdeploy");
    let arguments = [
        "install",
        "mcdeploy",
        chart,
        "--namespace=mcdeploy-system",
        "--set=member.enabled=true",
        &format!("--set=member.cluster={name}"),
        "--set=image.repository=registry.test/mcdeployd",
        &format!("--set=image.digest=sha256:{}", "a".repeat(64)),
    ];
    world.clouds[name].server.helm(&arguments).unwrap();
}
