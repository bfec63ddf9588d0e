//! R5, R6 and R7: processor time, wall time and memory of one large object's copy.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};

use super::{Size, float};
use crate::{
    child::{self, Usage},
    lab::{Bucket, Lab, one_file},
    report::{Row, median},
};

const GIB: f64 = 1_073_741_824.0;

/// Runs of two or three tools, in turns.
struct Turns {
    runs: Vec<Vec<Usage>>,
}

impl Turns {
    fn median(&self, tool: usize, value: impl Fn(&Usage) -> u64) -> f64 {
        median(
            self.runs[tool]
                .iter()
                .map(|usage| float(value(usage)))
                .collect(),
        )
    }
}

async fn turns(
    lab: &Lab,
    size: &Size,
    (version, to): (&str, Bucket),
    tools: &[&dyn Fn() -> anyhow::Result<Command>],
) -> anyhow::Result<Turns> {
    let mut runs = vec![vec![]; tools.len()];
    for _ in 0..size.repeats {
        for (tool, runs) in tools.iter().zip(&mut runs) {
            lab.forget(to, version).await?;
            let usage = child::run(tool()?).await?;
            runs.push(usage.expect_success("a copy")?);
        }
    }
    lab.forget(to, version).await?;
    Ok(Turns { runs })
}

/// R5 and R7: S3 to S3, both sides verified.
pub(crate) async fn cost(lab: &Lab, size: &Size) -> anyhow::Result<Vec<Row>> {
    let version = "large";
    let (from, to) = (Bucket::S3, Bucket::Second);
    let ours = || lab.replicate(version, from, &[to]);
    let tuned = || Ok(lab.rclone_copy(version, from, to));
    let plain = || Ok(lab.rclone_copy_plain(version, from, to));
    let runs = turns(lab, size, (version, to), &[&ours, &tuned, &plain]).await?;
    let gib = float(size.large_bytes) / GIB;
    let cpu = [0, 1, 2].map(|tool| runs.median(tool, |usage| usage.cpu_ms) / 1000.0 / gib);
    let r5 = Row::new(
        (
            "R5",
            "processor seconds per GiB, S3 to S3, both verifying",
            "<= 0.8 of rclone tuned, <= 0.6 of rclone's defaults",
        ),
        cpu[0],
        Some(cpu[1]),
        cpu[0] <= 0.8 * cpu[1] && cpu[0] <= 0.6 * cpu[2],
        json!({"rcloneTuned": cpu[1], "rcloneDefaults": cpu[2], "runs": runs.runs}),
    );
    let peak = [0, 1].map(|tool| runs.median(tool, |usage| usage.peak_bytes));
    lab.files("larger", &one_file(size.larger_bytes))?;
    lab.push("larger", from).await?;
    let ours = || lab.replicate("larger", from, &[to]);
    let once = Size {
        repeats: 1,
        ..*size
    };
    let larger = turns(lab, &once, ("larger", to), &[&ours]).await?;
    lab.forget(from, "larger").await?;
    let growth = larger.median(0, |usage| usage.peak_bytes) / peak[0];
    let most = larger.median(0, |usage| usage.peak_bytes).max(peak[0]);
    let r7 = Row::new(
        (
            "R7",
            "peak memory in MiB, S3 to S3, by default; rclone 16 MiB x 8",
            "<= 0.5 of rclone, growth <= 1.15, <= 256 MiB whatever the size",
        ),
        peak[0] / 1_048_576.0,
        Some(peak[1] / 1_048_576.0),
        peak[0] <= 0.5 * peak[1] && growth <= 1.15 && most <= 268_435_456.0,
        json!({
            "growth": growth,
            "fromBytes": size.large_bytes,
            "toBytes": size.larger_bytes,
        }),
    );
    Ok(vec![r5, r7])
}

/// R6: every pair of clouds, and Google's with latency.
pub(crate) async fn wall(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let version = "large";
    let mut worst: f64 = 0.0;
    let mut pairs: Vec<Value> = vec![];
    let mut sums = [0.0, 0.0];
    let all = Bucket::CLOUDS
        .iter()
        .flat_map(|from| Bucket::CLOUDS.map(|to| (*from, to)))
        .filter(|(from, to)| from != to);
    for (from, to) in all {
        if from != Bucket::S3 {
            let fill = child::run(lab.replicate(version, Bucket::S3, &[from])?).await?;
            fill.expect_success("filling the source")?;
        }
        // Every turn begins with an empty target, which must not be where the version is from.
        let target = if to == Bucket::S3 { Bucket::Second } else { to };
        let wall = pair(lab, size, from, target).await?;
        worst = worst.max(wall[0] / wall[1]);
        sums = [sums[0] + wall[0], sums[1] + wall[1]];
        pairs.push(json!({
            "from": from.name(), "to": to.name(), "oursMs": wall[0], "rcloneMs": wall[1],
        }));
        if from != Bucket::S3 {
            lab.forget(from, version).await?;
        }
    }
    lab.set_latency(Duration::from_millis(20));
    let slow = pair(lab, size, Bucket::S3, Bucket::Gcs).await;
    lab.set_latency(Duration::ZERO);
    let slow = slow?;
    let google = slow[0] / slow[1];
    Ok(Row {
        ratio: Some(crate::report::round(worst)),
        ..Row::new(
            (
                "R6",
                "wall milliseconds over the six pairs of clouds; the ratio is the worst pair's",
                "<= 1.0 for every pair, to GCS with 20 ms latency <= 0.6",
            ),
            sums[0],
            Some(sums[1]),
            worst <= 1.0 && google <= 0.6,
            json!({
                "bytes": size.large_bytes,
                "pairs": pairs,
                "toGcsWith20ms": {"oursMs": slow[0], "rcloneMs": slow[1], "ratio": google},
            }),
        )
    })
}

async fn pair(lab: &Lab, size: &Size, from: Bucket, to: Bucket) -> anyhow::Result<[f64; 2]> {
    let version = "large";
    let ours = || lab.replicate(version, from, &[to]);
    let tuned = || Ok(lab.rclone_copy(version, from, to));
    let runs = turns(lab, size, (version, to), &[&ours, &tuned]).await?;
    Ok([0, 1].map(|tool| runs.median(tool, |usage| usage.wall_ms)))
}
