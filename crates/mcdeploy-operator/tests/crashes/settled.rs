//! Waiting for many cases at once.
//!
//! Each cluster is looked at once a turn, for all cases together: looks of their own, two
//! for every case, cloud and turn, were most of what the API servers had to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job};
use kube::ResourceExt as _;
use mcdeploy_api::{Epoch, ModelDeployment, TrafficPolicy, names};
use mcdeploy_cluster::ClusterError;

use super::Case;
use crate::cloud::{Cloud, World, condition};

const TURN: Duration = Duration::from_millis(300);
/// Ten times what it takes on two cores that have other work too.
const TURNS: usize = 1500;

/// Waits until the rollouts of this generation are complete, and the old revisions'
/// objects and the transfers are gone.
pub(super) async fn settle(world: &World, cases: &[Case], generation: i64) {
    let mut last = String::new();
    for _ in 0..TURNS {
        last = match open(world, cases, generation).await {
            Ok(open) if open.is_empty() => return,
            Ok(open) => open.join("\n"),
            // A look that a busy API server did not answer in time says nothing.
            Err(error) => error.to_string(),
        };
        tokio::time::sleep(TURN).await;
    }
    panic!("these are still open: {last}");
}

/// The epoch of each policy, by the deployment's name.
pub(super) async fn epochs(world: &World) -> BTreeMap<String, Epoch> {
    for _ in 0..TURNS {
        if let Ok(policies) = world.client.list::<TrafficPolicy>(None, "").await {
            let decided = policies.into_iter().filter_map(|policy| {
                let name = policy.name_any();
                Some((name, policy.status?.epoch?))
            });
            return decided.collect();
        }
        tokio::time::sleep(TURN).await;
    }
    panic!("the hub does not answer");
}

/// What is still to come, in words.
async fn open(world: &World, cases: &[Case], generation: i64) -> Result<Vec<String>, ClusterError> {
    let deployments = world.client.list::<ModelDeployment>(None, "").await?;
    let complete = deployments.into_iter().filter(|deployment| {
        let status = deployment.status.as_ref();
        status.is_some_and(|status| {
            status.observed_generation == Some(generation)
                && condition(&status.conditions, "Complete") == "True"
        })
    });
    let complete: BTreeSet<String> = complete.map(|found| found.name_any()).collect();
    // The policy says so last.
    let policies = world.client.list::<TrafficPolicy>(None, "").await?;
    let ready = policies.into_iter().filter(|policy| {
        let status = policy.status.as_ref();
        status.is_some_and(|status| condition(&status.conditions, "Ready") == "True")
    });
    let ready: BTreeSet<String> = ready.map(|found| found.name_any()).collect();
    let mut open = Vec::new();
    for case in cases {
        let model = &case.model;
        if !complete.contains(model) {
            open.push(format!("{case} ({model}): the rollout"));
        } else if !ready.contains(model) {
            open.push(format!("{case} ({model}): the policy's word"));
        }
    }
    if open.is_empty() {
        for cloud in world.clouds.values() {
            let left = left_in(cloud, cases).await?;
            open.extend(left.map(|what| format!("{}: {what}", cloud.name)));
        }
    }
    Ok(open)
}

/// Objects that are to go from a cloud, and snapshots that its gateway has not taken.
async fn left_in(
    cloud: &Cloud,
    cases: &[Case],
) -> Result<impl Iterator<Item = String>, ClusterError> {
    let pods = cloud.client.list::<Deployment>(None, "").await?;
    let jobs = cloud.client.list::<Job>(None, "").await?;
    let mut left = Vec::new();
    for case in cases {
        let model = &case.model;
        let own = pods
            .iter()
            .filter(|found| found.namespace().as_ref() == Some(model));
        let own = own.count();
        let copies = jobs
            .iter()
            .filter(|job| job.labels().get(names::LABEL_MODEL) == Some(model));
        let copies = copies.count();
        let (routes, _) = cloud.gateway.routes(model, model);
        if (own, copies, routes.len()) != (1, 0, 1) {
            let routes = routes.len();
            left.push(format!(
                "{case} ({model}): {own} Deployments, {copies} Jobs, {routes} routes"
            ));
        }
    }
    Ok(left.into_iter())
}
