//! R13: how soon the last store of a chain of relays has a version.

use serde_json::json;
use tokio::task::JoinHandle;

use super::{Size, float};
use crate::{
    child::{self, Usage},
    clock,
    lab::{Bucket, Lab, one_file},
    report::{Row, median},
};

/// Each is filled from the one before.
const CHAIN: [Bucket; 4] = [Bucket::S3, Bucket::Azure, Bucket::Gcs, Bucket::Second];
/// What the line of each provider carries each way, in bytes a second: with the processors
/// of one machine as the bound, nothing could be gained by doing two hops at once.
const LINE: u64 = 16 << 20;
const FILE: u64 = 4 << 20;

/// Hop after hop, against all hops at once.
pub(crate) async fn chain(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let count = size.relay_bytes / FILE;
    let files: Vec<_> = (0..count)
        .map(|n| (format!("shard-{n:03}.bin"), FILE))
        .collect();
    let many = measure(lab, ("shards", &files), size.repeats).await?;
    let one = measure(lab, ("whole", &one_file(size.relay_bytes)), 1).await?;
    let ratio = many[1] / many[0];
    Ok(Row::new(
        (
            "R13",
            "milliseconds until the last of 3 stores in a chain is whole, all hops at once by hop after hop",
            "<= 0.5",
        ),
        many[1],
        Some(many[0]),
        ratio <= 0.5,
        json!({
            "bytes": size.relay_bytes,
            "files": count,
            "lineBytesPerSecond": LINE,
            "chain": CHAIN.map(Bucket::name),
            "oneFile": {
                "ratio": one[1] / one[0],
                "pipelinedMs": one[1],
                "hopByHopMs": one[0],
                "why": "a file of S3 and Azure can be read when it is whole; only Google's parts can before",
            },
        }),
    ))
}

async fn measure(
    lab: &Lab,
    (version, files): (&str, &[(String, u64)]),
    repeats: usize,
) -> anyhow::Result<[f64; 2]> {
    lab.files(version, files)?;
    lab.push(version, CHAIN[0]).await?;
    for bucket in Bucket::CLOUDS {
        lab.proxy(bucket).set_bandwidth(Some(LINE));
    }
    let measured = turns(lab, version, repeats).await;
    for bucket in Bucket::CLOUDS {
        lab.proxy(bucket).heal();
    }
    lab.forget(CHAIN[0], version).await?;
    measured
}

async fn turns(lab: &Lab, version: &str, repeats: usize) -> anyhow::Result<[f64; 2]> {
    let mut walls = [vec![], vec![]];
    for _ in 0..repeats {
        for (at_once, walls) in [false, true].into_iter().zip(&mut walls) {
            for to in &CHAIN[1..] {
                lab.forget(*to, version).await?;
            }
            let start = clock::now();
            hops(lab, version, at_once).await?;
            walls.push(float(u64::try_from(start.elapsed().as_millis())?));
        }
    }
    for to in &CHAIN[1..] {
        lab.forget(*to, version).await?;
    }
    Ok(walls.map(median))
}

async fn hops(lab: &Lab, version: &str, at_once: bool) -> anyhow::Result<()> {
    let mut running = vec![];
    for (n, pair) in CHAIN.windows(2).enumerate() {
        let mut command = lab.replicate(version, pair[0], &pair[1..])?;
        if at_once && n > 0 {
            command.arg("--follow");
        }
        running.push(tokio::spawn(child::run(command)));
        if !at_once {
            end(&mut running).await?;
        }
    }
    end(&mut running).await
}

async fn end(running: &mut Vec<JoinHandle<anyhow::Result<Usage>>>) -> anyhow::Result<()> {
    for hop in running.drain(..) {
        hop.await??.expect_success("a hop")?;
    }
    Ok(())
}
