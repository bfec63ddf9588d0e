//! How far one request reaches: which upstreams see it, and how often.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use crate::{
    link::Mode,
    load::{Clients, infer},
    world::{DEADLY, Region, World, config},
};

/// Sends a request that its server does not survive; begun inferences by region.
async fn deadly(world: &World, gateway: &Region) -> Vec<u64> {
    let url = format!("http://{}/v2/models/digits/infer", gateway.address);
    let client = Clients::new().kept().clone();
    let answer = client.post(url).body(DEADLY).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let error = answer.text().await.unwrap();
    assert!(!error.contains("127.0.0.1"), "an address: {error}");
    world.regions.iter().map(Region::begun).collect()
}

#[tokio::test]
async fn what_breaks_its_pod_is_tried_once_more_and_in_another_region() {
    let world = World::start(None, config).await;
    sleep(Duration::from_millis(300)).await;
    let begun = deadly(&world, world.region("gcp")).await;
    assert_eq!(begun[1], 1, "{begun:?}");
    assert_eq!(begun.iter().sum::<u64>(), 2, "{begun:?}");
}

#[tokio::test]
async fn what_breaks_a_pod_of_another_region_reaches_one_more_and_no_third() {
    let world = World::start(None, config).await;
    let gcp = world.region("gcp");
    gcp.pods(Mode::Refuse);
    sleep(Duration::from_secs(2)).await;
    let begun = deadly(&world, gcp).await;
    assert_eq!(begun, [1, 0, 1]);
}

#[tokio::test]
async fn a_model_that_takes_seconds_is_asked_once() {
    let world = World::start(None, config).await;
    for pod in world.regions.iter().flat_map(|r| &r.pods) {
        pod.slow(Duration::from_secs(3));
    }
    sleep(Duration::from_millis(300)).await;
    let client = Clients::new().kept().clone();
    let served = infer(&client, world.region("gcp").address).await.unwrap();
    assert_eq!(served, "gcp");
    let begun: Vec<_> = world.regions.iter().map(Region::begun).collect();
    assert_eq!(begun, [0, 1, 0]);
}

#[tokio::test]
async fn who_waits_where_checks_fail_moves_on() {
    let world = World::start(None, config).await;
    let gcp = world.region("gcp");
    for pod in &gcp.pods {
        pod.slow(Duration::from_secs(20));
    }
    sleep(Duration::from_millis(300)).await;
    let client = Clients::new().kept().clone();
    let start = Instant::now();
    let (served, ()) = tokio::join!(infer(&client, gcp.address), async {
        while gcp.begun() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        gcp.pods(Mode::Freeze);
    });
    assert_ne!(served.unwrap(), "gcp");
    assert!(start.elapsed() < Duration::from_secs(5));
    let begun: u64 = world.regions.iter().map(Region::begun).sum();
    assert_eq!(begun, 2);
}

#[tokio::test]
async fn a_pod_that_refuses_costs_no_try() {
    let world = World::start(None, |cluster| {
        let mut config = config(cluster);
        config.health.enabled = false;
        config.retries.local_tries = 1;
        config
    })
    .await;
    let gcp = world.region("gcp");
    for pod in &gcp.pods[1..] {
        pod.link.set(Mode::Refuse);
    }
    sleep(Duration::from_millis(300)).await;
    let client = Clients::new().kept().clone();
    for _ in 0..20 {
        assert_eq!(infer(&client, gcp.address).await.unwrap(), "gcp");
    }
    assert_eq!(gcp.begun(), 20);
}
