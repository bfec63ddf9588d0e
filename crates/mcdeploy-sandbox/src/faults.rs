//! Outages, and their end.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    Cloud, SandboxError, Say, cgroup, host, node, node::Programs, paths, pause, world::World,
};

/// What is wrong with a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Nothing gets in or out, silently; the inside goes on. With `from`, only to and
    /// from that cloud.
    Partition {
        /// The other side; everybody, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Cloud>,
    },
    /// Every process was killed; data is kept.
    Kill,
    /// Every process stands still.
    Pause,
    /// Some packets are lost, both ways.
    Loss {
        /// How many of a hundred.
        percent: u8,
    },
    /// Bandwidth is limited, both ways.
    Slow {
        /// In the words of `tc`, such as `1mbit`.
        rate: String,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Partition { from: None } => f.write_str("partitioned"),
            Self::Partition { from: Some(from) } => write!(f, "partitioned from {from}"),
            Self::Kill => f.write_str("killed"),
            Self::Pause => f.write_str("paused"),
            Self::Loss { percent } => write!(f, "losing {percent} % of packets"),
            Self::Slow { rate } => write!(f, "slowed to {rate}"),
        }
    }
}

const TABLE: &str = "inet mcdeploy_fault";

fn record(cloud: Cloud) -> PathBuf {
    paths::cloud(cloud).join("fault.json")
}

/// The fault of a cloud.
pub(crate) fn current(cloud: Cloud) -> Result<Option<Fault>, SandboxError> {
    let path = record(cloud);
    let Some(text) = host::read(&path)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_str(&text);
    parsed.map_err(|source| SandboxError::Damaged { path, source })
}

/// Clouds whose processes must not be started by `up`.
pub(crate) fn faulty_clouds() -> Result<BTreeSet<Cloud>, SandboxError> {
    let mut faulty = BTreeSet::new();
    for cloud in Cloud::ALL {
        if current(cloud)?.is_some() {
            faulty.insert(cloud);
        }
    }
    Ok(faulty)
}

/// Breaks a cloud.
pub(crate) async fn outage(cloud: Cloud, fault: &Fault, say: &Say) -> Result<(), SandboxError> {
    let world = World::find(cloud)?.ok_or(SandboxError::NotRunning)?;
    if *fault == (Fault::Partition { from: Some(cloud) }) {
        return Err(SandboxError::Unfit(format!(
            "{cloud} cannot be cut off from itself: name another cloud with --from"
        )));
    }
    if let Some(old) = current(cloud)? {
        if old == *fault {
            say.line(format!("{cloud} is {old} already"));
            return Ok(());
        }
        return Err(SandboxError::Unfit(format!(
            "{cloud} is {old} already; heal it first: mcdeploy sandbox heal {cloud}"
        )));
    }
    // Recorded first: a crash in between must not hide the fault from `heal`.
    let text = serde_json::to_string(fault).unwrap_or_default();
    host::write(&record(cloud), &text)?;
    match fault {
        Fault::Partition { from } => {
            let rules = drop_rules(from.map(addresses).as_deref(), "");
            load(&world, &rules).await?;
        }
        Fault::Loss { percent } => {
            let some = format!("numgen random mod 100 < {percent} ");
            load(&world, &drop_rules(None, &some)).await?;
        }
        Fault::Kill => cgroup::kill_cloud(cloud).await?,
        Fault::Pause => pause::pause(cloud).await?,
        Fault::Slow { rate } => {
            let link = cloud.link();
            let shape = [
                "root", "tbf", "rate", rate, "burst", "16kb", "latency", "200ms",
            ];
            let inside = [&["tc", "qdisc", "replace", "dev", "eth0"], &shape[..]].concat();
            world.run(&inside).await?;
            let outside = [&["tc", "qdisc", "replace", "dev", &link], &shape[..]].concat();
            host::run(outside).await?;
        }
    }
    say.line(format!("{cloud} is {fault}"));
    Ok(())
}

/// Ends every fault of a cloud and starts what does not run.
pub(crate) async fn heal(cloud: Cloud, say: &Say) -> Result<(), SandboxError> {
    let world = World::find(cloud)?.ok_or(SandboxError::NotRunning)?;
    pause::resume(cloud);
    let flush = format!("table {TABLE}\ndelete table {TABLE}\n");
    world.run_with_input(&["nft", "-f", "-"], &flush).await?;
    // There is nothing to delete where nothing was slowed.
    let link = cloud.link();
    let _ = world
        .run(&["tc", "qdisc", "delete", "dev", "eth0", "root"])
        .await;
    let _ = host::run(["tc", "qdisc", "delete", "dev", &link, "root"]).await;
    if !node::missing(cloud)?.is_empty() {
        let programs = Programs::ensure(say).await?;
        node::ensure(cloud, &programs, say).await?;
    }
    host::remove(&record(cloud))?;
    say.line(format!("{cloud} is well"));
    Ok(())
}

async fn load(world: &World, rules: &str) -> Result<(), SandboxError> {
    world.run_with_input(&["nft", "-f", "-"], rules).await?;
    Ok(())
}

/// Everything that a cloud speaks with: its node and its load balancers.
fn addresses(cloud: Cloud) -> String {
    let mut all = vec![cloud.address().to_string()];
    let pool: Vec<_> = cloud.load_balancer_addresses().collect();
    if let (Some(first), Some(last)) = (pool.first(), pool.last()) {
        all.push(format!("{first}-{last}"));
    }
    format!("{{ {} }}", all.join(", "))
}

/// An nft table that drops packets on eth0 before anything else sees them. ARP goes on,
/// so that the cloud is silent and not gone.
fn drop_rules(other_side: Option<&str>, condition: &str) -> String {
    let side = |direction: &str| {
        other_side.map_or_else(String::new, |set| format!("ip {direction} {set} "))
    };
    let (from, to) = (side("saddr"), side("daddr"));
    format!(
        "table {TABLE} {{\n\
           chain in {{\n\
             type filter hook prerouting priority -400;\n\
             iifname \"eth0\" {from}{condition}drop\n\
           }}\n\
           chain out {{\n\
             type filter hook postrouting priority 400;\n\
             oifname \"eth0\" {to}{condition}drop\n\
           }}\n\
         }}\n"
    )
}
