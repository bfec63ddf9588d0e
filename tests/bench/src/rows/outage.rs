//! R14: a provider that is away in the middle of a run.

use std::{collections::BTreeMap, time::Duration};

use mcdeploy_sandbox::testing::Link;
use serde_json::json;

use super::{Size, float};
use crate::{
    child, clock,
    lab::{Bucket, Lab, MODEL},
    report::Row,
};

const TARGETS: [Bucket; 2] = [Bucket::Azure, Bucket::Gcs];
const FILE: u64 = 1 << 20;
/// What each line carries, in bytes a second: slow enough that there is a middle.
const LINE: u64 = 16 << 20;
/// How often the same command is given, as one would who sees it fail.
const RUNS: u32 = 5;
const LOOK: Duration = Duration::from_millis(100);

/// When each object was seen in its target first, since the start.
type Seen = BTreeMap<String, Duration>;

/// S3 to Azure and Google, of which Azure is away for a while.
pub(crate) async fn converge(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let version = "steady";
    let count = size.outage_files;
    let files: Vec<_> = (0..count)
        .map(|n| (format!("object-{n:04}.bin"), FILE))
        .collect();
    lab.files(version, &files)?;
    lab.push(version, Bucket::S3).await?;
    lab.reset_counts();
    for bucket in TARGETS {
        lab.proxy(bucket).set_bandwidth(Some(LINE));
    }
    let run = Box::pin(run(lab, version, size)).await;
    for bucket in TARGETS {
        lab.proxy(bucket).heal();
    }
    let (seen, runs) = run?;
    let objects = FILE * count as u64;
    let sent: u64 = TARGETS
        .iter()
        .map(|bucket| lab.proxy(*bucket).counts().sent_bytes)
        .sum();
    let read = lab.proxy(Bucket::S3).counts().received_bytes;
    for bucket in [Bucket::S3, Bucket::Azure, Bucket::Gcs] {
        lab.forget(bucket, version).await?;
    }
    let twice = float(sent) / float(objects * 2) - 1.0;
    let lags = |seen: &[Duration], percent: usize| {
        let at = (seen.len() * percent).div_ceil(100).max(1) - 1;
        seen.get(at).map_or(f64::NAN, Duration::as_secs_f64)
    };
    let mut all: Vec<_> = seen.values().copied().collect();
    all.sort();
    let converged = float(all.len() as u64) / float(2 * count as u64);
    let p99 = lags(&all, 99);
    Ok(Row::new(
        (
            "R14",
            "seconds from the start to 99 % of the objects in their targets, one of two providers away in the middle",
            "100 % of the objects converge within 15 min, at most 10 % of the egress twice",
        ),
        p99,
        None,
        converged >= 1.0 && p99 <= 900.0 && twice <= 0.1,
        json!({
            "outageSeconds": size.outage_seconds,
            "objects": 2 * count,
            "converged": converged,
            "lagSeconds": {"p50": lags(&all, 50), "p99": p99, "max": lags(&all, 100)},
            "egressTwice": twice,
            "readBySize": float(read) / float(objects),
            "commandsGiven": runs,
        }),
    ))
}

/// Runs until all is there, with an outage in the middle. Gives what was seen, and how
/// often the command was given.
async fn run(lab: &Lab, version: &str, size: &Size) -> anyhow::Result<(Seen, u32)> {
    let start = clock::now();
    let half = FILE * size.outage_files as u64 / 2;
    let outage = async {
        let proxy = lab.proxy(Bucket::Azure);
        while proxy.counts().sent_bytes < half {
            tokio::time::sleep(LOOK).await;
        }
        proxy.set_link(Link::Down);
        tokio::time::sleep(Duration::from_secs(size.outage_seconds)).await;
        proxy.set_link(Link::Up);
    };
    let copy = async {
        for n in 1..=RUNS {
            let done = child::run(lab.replicate(version, Bucket::S3, &TARGETS)?).await?;
            if done.code == Some(0) {
                return Ok(n);
            }
        }
        anyhow::bail!("{RUNS} runs did not do it")
    };
    let mut seen = Seen::new();
    let watch = async {
        loop {
            for bucket in TARGETS {
                let store = lab.store(bucket).await?;
                let prefix = format!("{MODEL}/{version}/object-");
                for object in store.list(&prefix, lab.cancel()).await? {
                    let name = format!("{} {}", bucket.name(), object.key);
                    seen.entry(name).or_insert_with(|| start.elapsed());
                }
            }
            if seen.len() >= 2 * size.outage_files {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let work = async { tokio::join!(copy, outage, watch) };
    let (runs, (), watched) = tokio::time::timeout(Duration::from_mins(5), Box::pin(work)).await?;
    watched?;
    Ok((seen, runs?))
}
