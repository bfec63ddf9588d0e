//! What runs, and what it costs.

use std::{collections::BTreeSet, fs, time::Duration};

use serde::Serialize;

use crate::{Cloud, Fault, SandboxError, api, cgroup, faults, host, lifecycle, node, world::World};

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The sandbox as it is now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether one is recorded on this machine.
    pub up: bool,
    /// One row per cloud, hub first; empty if none is up.
    pub clouds: Vec<CloudStatus>,
    /// Proportional share of memory of all processes of the sandbox, pods included.
    pub pss_bytes: u64,
    /// Resident memory of the same, shared pages counted each time.
    pub rss_bytes: u64,
}

/// One cloud.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudStatus {
    /// Which.
    pub cloud: Cloud,
    /// Its address.
    pub address: String,
    /// Whether its node is ready, asked at the API server from the host.
    pub ready: bool,
    /// What is missing for that; empty if ready.
    pub message: String,
    /// Processes that should run and do not.
    pub missing: Vec<&'static str>,
    /// The fault that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Proportional share of memory, pods included.
    pub pss_bytes: u64,
}

/// Looks at everything.
pub(crate) async fn look() -> Result<Status, SandboxError> {
    if !lifecycle::is_up()? {
        return Ok(Status {
            up: false,
            clouds: Vec::new(),
            pss_bytes: 0,
            rss_bytes: 0,
        });
    }
    let clouds = futures::future::try_join_all(Cloud::ALL.map(look_at)).await?;
    let (pss_bytes, rss_bytes) = memory(&cgroup::all_processes());
    Ok(Status {
        up: true,
        clouds,
        pss_bytes,
        rss_bytes,
    })
}

async fn look_at(cloud: Cloud) -> Result<CloudStatus, SandboxError> {
    let answer = if World::find(cloud)?.is_some() {
        let asked = tokio::time::timeout(ANSWER_WITHIN, async {
            let client = api::client(cloud).await;
            let client = client.map_err(|error| host::chain(&error))?;
            api::node_is_ready(&client, cloud, None).await
        });
        let asked = asked.await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_WITHIN:?}")))
    } else {
        Err("its namespaces are gone".to_owned())
    };
    Ok(CloudStatus {
        cloud,
        address: cloud.address().to_string(),
        ready: answer.is_ok(),
        message: answer.err().unwrap_or_default(),
        missing: node::missing(cloud)?,
        fault: faults::current(cloud)?,
        pss_bytes: memory(&cgroup::cloud_processes(cloud)).0,
    })
}

/// Sum of proportional and of resident memory.
fn memory(processes: &BTreeSet<i32>) -> (u64, u64) {
    let mut sum = (0, 0);
    for pid in processes {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
            continue;
        };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) * 1024
        };
        sum.0 += field("Pss:");
        sum.1 += field("Rss:");
    }
    sum
}
