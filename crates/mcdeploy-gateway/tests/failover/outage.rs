//! Outages under load: no request fails from 2 s after the fault.

use std::time::Duration;

use mcdeploy_gateway::Config;
use tokio::time::{Instant, sleep};

use crate::{
    link::Mode,
    load::{Samples, load},
    world::{World, config, control, revision},
};

/// Requests may fail for this long after a fault.
const BOUND: Duration = Duration::from_secs(2);
/// Before the fault, and from it on.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_millis(4500);

struct Outcome {
    samples: Samples,
    fault: Instant,
}

impl Outcome {
    fn assert_survived(&self) {
        let late = self.samples.failed_from(self.fault + BOUND);
        assert!(late.is_empty(), "{} failed late: {:?}", late.len(), late[0]);
        self.assert_worth_something();
        println!(
            "{} sent, {} failed, {} crossed",
            self.samples.0.len(),
            self.samples.failed(),
            self.samples.crossed()
        );
    }

    /// A run in which nothing crossed regions, or hardly anything was sent, proves nothing.
    fn assert_worth_something(&self) {
        assert!(self.samples.crossed() > 0, "no request crossed regions");
        assert!(self.samples.0.len() > 400, "{}", self.samples.0.len());
    }
}

/// Load on the gateways of gcp and azure, with a fault in the middle.
async fn run(
    weights: Option<[i32; 3]>,
    settings: impl Fn(&str) -> Config,
    fault: impl AsyncFnOnce(&World),
) -> Outcome {
    let world = World::start(weights, settings).await;
    sleep(Duration::from_millis(300)).await;
    let survivors = [world.region("gcp"), world.region("azure")];
    let (samples, fault) = tokio::join!(load(&survivors, BEFORE + AFTER), async {
        sleep(BEFORE).await;
        let at = Instant::now();
        fault(&world).await;
        at
    });
    Outcome { samples, fault }
}

fn lose_aws(world: &World, mode: Mode) {
    let aws = world.region("aws");
    aws.link.set(mode);
    aws.pods(mode);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_goes_dark_costs_nothing_after_two_seconds() {
    let dark = async |world: &World| lose_aws(world, Mode::BlackHole);
    run(Some([1; 3]), config, dark).await.assert_survived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_refuses_costs_nothing_after_two_seconds() {
    let refuse = async |world: &World| lose_aws(world, Mode::Refuse);
    run(Some([1; 3]), config, refuse).await.assert_survived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_freezes_costs_nothing_after_two_seconds() {
    let freeze = async |world: &World| lose_aws(world, Mode::Freeze);
    run(Some([1; 3]), config, freeze).await.assert_survived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_that_stand_by_take_over_from_the_one_that_goes_dark() {
    let dark = async |world: &World| lose_aws(world, Mode::BlackHole);
    let outcome = run(Some([100, 0, 0]), config, dark).await;
    outcome.assert_survived();
    let before = outcome.samples.0.iter().filter(|s| s.end < outcome.fault);
    assert!(
        before.clone().all(|s| s.result.as_deref() == Ok("aws")),
        "one that stands by served before its turn"
    );
    let last = outcome.samples.0.iter().max_by_key(|s| s.end).unwrap();
    assert_ne!(last.result.as_deref(), Ok("aws"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_its_pods_lives_on_others() {
    let down = async |world: &World| world.region("gcp").pods(Mode::Refuse);
    let outcome = run(None, config, down).await;
    outcome.assert_survived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_vanish_are_left_for_other_regions() {
    let vanish = async |world: &World| world.region("gcp").pods(Mode::BlackHole);
    run(None, config, vanish).await.assert_survived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_freeze_are_left_for_other_regions() {
    let freeze = async |world: &World| world.region("gcp").pods(Mode::Freeze);
    run(None, config, freeze).await.assert_survived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_flaps_costs_nothing_after_two_seconds() {
    let flap = async |world: &World| {
        for _ in 0..2 {
            lose_aws(world, Mode::BlackHole);
            sleep(Duration::from_secs(1)).await;
            lose_aws(world, Mode::Pass);
            sleep(Duration::from_secs(1)).await;
        }
    };
    run(Some([1; 3]), config, flap).await.assert_survived();
}

/// The same run with retries and checks off: the assertion above must be able to fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_retries_and_checks_the_same_outage_is_seen_by_clients() {
    for (weight, mode) in [(Some([1; 3]), Mode::BlackHole), (None, Mode::Refuse)] {
        let fault = async |world: &World| {
            if weight.is_some() {
                lose_aws(world, mode);
            } else {
                world.region("gcp").pods(mode);
            }
        };
        let outcome = run(weight, control, fault).await;
        let late = outcome.samples.failed_from(outcome.fault + BOUND);
        assert!(late.len() > 50, "only {} failed", late.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_that_change_under_load_cost_nothing() {
    let mut world = World::start(None, config).await;
    sleep(Duration::from_millis(300)).await;
    let mut late = Samples::default();
    for step in [0, 100, 0, 50, 100] {
        let regions: Vec<_> = world.regions.iter().collect();
        late.0
            .extend(load(&regions, Duration::from_millis(400)).await.0);
        world.publish(&[
            revision("aaaaaaaaaa", 100 - step),
            revision("bbbbbbbbbb", step),
        ]);
    }
    assert_eq!(late.failed(), 0, "{:?}", late.failed_from(late.0[0].end));
    assert!(late.0.len() > 200);
}
