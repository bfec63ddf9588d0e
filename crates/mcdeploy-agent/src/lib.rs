//! The agent of one node: brings model versions into the node's cache before their pods
//! start, and removes from it what nobody needs. It decides nothing.
//!
//! | module | role |
//! |---|---|
//! | `wanted` | watches what the operator asks for |
//! | `stager` | fetches, makes room, tries again |
//! | `report` | says how far the node is, when that changes |
//!
//! **Invariants:** before it knows what is wanted it removes nothing; what is wanted, or
//! only to be kept, is never removed; a version is reported as staged only after every byte
//! of it was checked here.

mod clock;
mod report;
mod stager;
mod wanted;

use std::{path::PathBuf, time::Duration};

use mcdeploy_cluster::ClusterClient;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What an agent is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of its node.
    pub node: String,
    /// Name and uid of its pod: the report goes with it. `None`: the report stays.
    pub pod: Option<(String, String)>,
    /// Namespace of the Secret that it watches and of its report.
    pub namespace: String,
    /// The node's cache.
    pub cache: PathBuf,
    /// First and longest pause before a version that could not be had is tried again.
    pub retry: (Duration, Duration),
}

impl Settings {
    /// 10 s, and 10 minutes.
    pub const RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));
}

/// Works until `cancel`.
pub async fn run(client: ClusterClient, settings: Settings, cancel: CancellationToken) {
    let (sender, receiver) = watch::channel(None);
    let follow = wanted::follow(&client, &settings.namespace, sender);
    let report = report::Reporter::new(&client, &settings);
    let stage = stager::run(&settings, receiver, report, &cancel);
    let both = Box::pin(async { tokio::join!(follow, stage) });
    cancel.run_until_cancelled(both).await;
}
