//! R3 and R9: one object to three targets, by bytes on the wire and by their price.

use std::collections::BTreeSet;

use mcdeploy_plan::transfer::{Location, PriceBook};
use serde_json::{Value, json};

use super::{Size, float};
use crate::{
    child,
    lab::{Bucket, Lab},
    report::{Row, median},
};

const TARGETS: [Bucket; 3] = [Bucket::Second, Bucket::Azure, Bucket::Gcs];

/// What one way to fill three targets did.
#[derive(Default)]
struct Way {
    read_bytes: Vec<f64>,
    wall_ms: Vec<f64>,
    usd: Vec<f64>,
    planned_usd: f64,
}

/// Both rows.
pub(crate) async fn measure(lab: &Lab, size: &Size) -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut rclone) = (Way::default(), Way::default());
    for _ in 0..size.repeats {
        forget(lab).await?;
        lab.reset_counts();
        let run = child::run(lab.replicate("large", Bucket::S3, &TARGETS)?).await?;
        let run = run.expect_success("mcdeploy artifacts replicate")?;
        ours.planned_usd = planned(&run.printed)?;
        ours.wall_ms.push(float(run.wall_ms));
        count(lab, &mut ours)?;
        forget(lab).await?;
        lab.reset_counts();
        let mut wall = 0.0;
        for to in TARGETS {
            let run = child::run(lab.rclone_copy("large", Bucket::S3, to)).await?;
            wall += float(run.expect_success("rclone copy")?.wall_ms);
        }
        rclone.wall_ms.push(wall);
        count(lab, &mut rclone)?;
    }
    forget(lab).await?;
    let read = |way: &Way| median(way.read_bytes.clone()) / float(size.large_bytes);
    let wall = median(ours.wall_ms.clone()) / median(rclone.wall_ms.clone());
    let usd = median(ours.usd.clone());
    let r3 = Row::new(
        (
            "R3",
            "bytes read from the source by object size, one to three targets",
            "<= 1.02, wall <= 0.6 of three rclone copies",
        ),
        read(&ours),
        Some(read(&rclone)),
        read(&ours) <= 1.02 && wall <= 0.6,
        json!({"wallRatio": wall, "oursWallMs": ours.wall_ms, "rcloneWallMs": rclone.wall_ms}),
    );
    let off = (usd - ours.planned_usd).abs() / ours.planned_usd;
    let r9 = Row::new(
        (
            "R9",
            "US dollars by counted bytes, one to three targets",
            "the plan's price, 1 % more or less",
        ),
        usd,
        Some(median(rclone.usd.clone())),
        off <= 0.01,
        json!({"plannedUsd": ours.planned_usd, "off": off}),
    );
    Ok(vec![r3, r9])
}

async fn forget(lab: &Lab) -> anyhow::Result<()> {
    for to in TARGETS {
        lab.forget(to, "large").await?;
    }
    Ok(())
}

fn planned(printed: &str) -> anyhow::Result<f64> {
    let report: Value = serde_json::from_str(printed)?;
    let usd = report["price"]["usd"].as_str().unwrap_or_default();
    Ok(usd.parse()?)
}

/// Bytes at the source, and the price of all that left the source's region.
fn count(lab: &Lab, way: &mut Way) -> anyhow::Result<()> {
    let book = PriceBook::builtin()?;
    way.read_bytes
        .push(float(lab.proxy(Bucket::S3).counts().received_bytes));
    let mut usd = 0.0;
    for to in [Bucket::Azure, Bucket::Gcs] {
        let (from, to_location): (Location, Location) = (Bucket::S3.location(), to.location());
        let entry = book.price(&from, &to_location, &BTreeSet::new());
        let bytes = lab.proxy(to).counts().sent_bytes;
        let charge = entry.map(|entry| entry.charge.cost(entry.charge.free_bytes(), bytes));
        usd += charge.map_or(f64::NAN, |charge| float(charge.0) / 1e9);
    }
    way.usd.push(usd);
    Ok(())
}
