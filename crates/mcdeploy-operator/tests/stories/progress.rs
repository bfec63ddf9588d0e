//! How far a transfer is can be seen while it runs, at little cost, and nothing is left of
//! it afterwards.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use mcdeploy_api::{CopyProgress, ModelVersion, ReplicaState, StoreReplicaStatus};
use mcdeploy_cluster::Fence;
use tokio::time::Instant;

use crate::cloud::{SLOW_BYTES, World};

const NS: &str = "default";

type Writes = Arc<Mutex<Vec<(Instant, String)>>>;

/// A fence that lets everything through and notes when.
fn timing() -> (Fence, Writes) {
    let writes = Writes::default();
    let log = Arc::clone(&writes);
    let fence: Fence = Arc::new(move |call| {
        log.lock().unwrap().push((Instant::now(), call.to_string()));
        true
    });
    (fence, writes)
}

async fn entry(world: &World, store: &str) -> Option<StoreReplicaStatus> {
    let found = world.client.get::<ModelVersion>(Some(NS), "slow-v1").await;
    let status = found.unwrap()?.status?;
    status.stores.into_iter().find(|entry| entry.store == store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_is_seen_once_a_second_and_then_nothing_is_written() {
    let clouds = ["aws", "gcp"];
    let world = World::start(&clouds).await;
    world.logs.is_slow.store(true, Ordering::SeqCst);
    world.push(NS, "slow", "v1", "aws").await;
    let (fence, writes) = timing();
    let story = async {
        let generation = world.rollout(NS, "slow", "v1", &clouds, None).await;
        let (mut seen, mut in_rows): (Vec<CopyProgress>, Vec<i64>) = (vec![], vec![]);
        let watching = async {
            loop {
                if let Some(found) = entry(&world, "gcp").await
                    && let Some(progress) = found.progress
                    && seen.last() != Some(&progress)
                {
                    assert_eq!(found.state, ReplicaState::Copying);
                    seen.push(progress);
                }
                let status = world.status(NS, "slow").await;
                let rows = status.clusters.iter().filter(|row| row.cluster == "gcp");
                in_rows.extend(
                    rows.map(|row| row.artifact_bytes)
                        .filter(|bytes| *bytes > 0),
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = watching => {}
            () = world.until_complete(NS, "slow", generation) => {}
        }
        // A line ten times a second, for four seconds.
        assert!((2..=6).contains(&seen.len()), "{seen:#?}");
        let bytes: Vec<_> = seen.iter().map(|progress| progress.copied_bytes).collect();
        assert!(bytes.is_sorted(), "{bytes:?}");
        let last = seen.last().unwrap();
        assert_eq!(last.total_bytes, i64::try_from(SLOW_BYTES).unwrap());
        assert_eq!((last.bytes_per_second, last.repeats), (1_000, 1));
        assert!(
            in_rows.iter().any(|row| bytes.contains(row)),
            "{in_rows:?} {bytes:?}"
        );
        // What the log said last is forgotten before this.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let before = writes.lock().unwrap().len();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let all = writes.lock().unwrap().clone();
        assert_eq!(all[before..], [], "written in steady state");
        let whole = entry(&world, "gcp").await.unwrap();
        assert_eq!(
            (whole.state, whole.progress),
            (ReplicaState::Verified, None)
        );
    };
    let bounded = tokio::time::timeout(Duration::from_mins(2), story);
    world.operate_while(fence, bounded).await.unwrap();
    let writes = writes.lock().unwrap();
    let of_version = writes
        .iter()
        .filter(|(_, call)| call.contains("ModelVersion"));
    let times: Vec<Instant> = of_version.map(|(at, _)| *at).collect();
    assert!(times.len() >= 4, "{writes:?}");
    for pair in times.windows(2) {
        let between = pair[1] - pair[0];
        assert!(between >= Duration::from_millis(980), "{between:?}");
    }
}
