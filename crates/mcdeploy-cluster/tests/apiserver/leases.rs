//! Elections on a real Lease.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use mcdeploy_cluster::{
    ClusterClient, Delete,
    lease::{LeaderElection, LeaderHandle, LeaseName, Timing},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::support::{Shared, namespace};

const TIMING: Timing = Timing {
    lease: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry: Duration::from_millis(200),
};
const PATIENCE: Duration = Duration::from_secs(20);

struct Candidate {
    handle: LeaderHandle,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

fn name(namespace: &str) -> LeaseName {
    LeaseName {
        namespace: namespace.to_owned(),
        name: "operator".to_owned(),
    }
}

fn candidate(client: &ClusterClient, namespace: &str, identity: &str) -> Candidate {
    let election = LeaderElection::new(client, name(namespace), identity, TIMING);
    let handle = election.handle();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(election.run(cancel.clone()));
    Candidate {
        handle,
        cancel,
        task,
    }
}

async fn leads(candidate: &mut Candidate) -> i64 {
    let leading = tokio::time::timeout(PATIENCE, candidate.handle.leading());
    leading.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_gives_the_lease_to_the_next_at_once() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "lease-handover").await;
    let mut a = candidate(&client, &ns, "a");
    assert_eq!(leads(&mut a).await, 1);
    let mut b = candidate(&client, &ns, "b");
    tokio::time::sleep(TIMING.retry * 3).await;
    assert_eq!(b.handle.term(), None);
    let began = Instant::now();
    a.cancel.cancel();
    a.task.await.unwrap();
    assert_eq!(leads(&mut b).await, 2);
    assert!(began.elapsed() < TIMING.lease, "{:?}", began.elapsed());
    assert_eq!(a.handle.term(), None);
    b.cancel.cancel();
    b.task.await.unwrap();
}

/// The first candidate's runtime is stopped as a whole, as SIGSTOP would; its handle is
/// asked from outside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_leader_is_none_when_another_leads() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "lease-pause").await;
    let (pause, paused) = std::sync::mpsc::channel::<()>();
    let (send, receive) = tokio::sync::oneshot::channel();
    let inner = Shared::get();
    let lease_ns = ns.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let client = inner.client();
            let mut a = candidate(&client, &lease_ns, "a");
            leads(&mut a).await;
            let _ = send.send(a.handle.clone());
            // Everything on this runtime stands still until the channel closes.
            let _ = paused.recv();
            let handle = a.handle.clone();
            tokio::time::sleep(TIMING.retry * 3).await;
            let still = handle.term();
            a.cancel.cancel();
            a.task.await.unwrap();
            still
        })
    });
    let old: LeaderHandle = receive.await.unwrap();
    let mut b = candidate(&client, &ns, "b");
    let began = Instant::now();
    while b.handle.term().is_none() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let both = old.term().is_some() && b.handle.term().is_some();
        assert!(!both, "two leaders");
    }
    assert_eq!(old.term(), None);
    assert_eq!(leads(&mut b).await, 2);
    drop(pause);
    assert_eq!(
        thread.join().unwrap(),
        None,
        "the woken leader does not lead"
    );
    assert!(b.handle.term().is_some());
    b.cancel.cancel();
    b.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_lease_is_made_again_with_a_higher_term() {
    let shared = Shared::get();
    let client = shared.client();
    let ns = namespace(&client, "lease-deleted").await;
    let mut a = candidate(&client, &ns, "a");
    let term = leads(&mut a).await;
    client
        .delete::<Lease>(Some(&ns), "operator", Delete::default())
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, a.handle.lost(term))
        .await
        .unwrap();
    assert!(leads(&mut a).await > term);
    a.cancel.cancel();
    a.task.await.unwrap();
}
