//! R4 and R10: bytes that are sent again.

use std::process::Command;

use serde_json::json;

use super::{Size, float};
use crate::{
    child,
    lab::{Bucket, Lab, one_file},
    report::Row,
};

/// R4: killed half way, run again. What was in flight is lost, a few parts whatever the
/// object's length, so it is the larger object that shows what resuming is worth.
pub(crate) async fn killed(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let version = "larger";
    lab.files(version, &one_file(size.larger_bytes))?;
    lab.push(version, Bucket::S3).await?;
    let mut sent = vec![];
    for ours in [true, false] {
        let command = || -> anyhow::Result<Command> {
            if ours {
                return lab.replicate(version, Bucket::S3, &[Bucket::Azure]);
            }
            Ok(lab.rclone_copy(version, Bucket::S3, Bucket::Azure))
        };
        lab.forget(Bucket::Azure, version).await?;
        lab.reset_counts();
        let (proxy, half) = (lab.proxy(Bucket::Azure), size.larger_bytes / 2);
        let killed = child::run_until(command()?, move || proxy.counts().sent_bytes >= half);
        let killed = killed.await?;
        anyhow::ensure!(killed.code.is_none(), "it ended before it was killed");
        child::run(command()?)
            .await?
            .expect_success("the second run")?;
        sent.push(float(lab.proxy(Bucket::Azure).counts().sent_bytes) / float(size.larger_bytes));
    }
    lab.forget(Bucket::Azure, version).await?;
    lab.forget(Bucket::S3, version).await?;
    Ok(Row::new(
        (
            "R4",
            "bytes sent by object size, killed at half, run again, S3 to Azure",
            "<= 1.10",
        ),
        sent[0],
        Some(sent[1]),
        sent[0] <= 1.10,
        json!({"bytes": size.larger_bytes}),
    ))
}

/// R10: a new version of which one file in a hundred is another.
pub(crate) async fn delta(lab: &Lab) -> anyhow::Result<Row> {
    const FILE: u64 = 1 << 20;
    let files: Vec<(String, u64)> = (0..100).map(|i| (format!("t-{i:03}.bin"), FILE)).collect();
    for version in ["d1", "d2"] {
        lab.files(version, &files)?;
        if version == "d2" {
            let changed = lab.home().join("models/d2/t-050.bin");
            std::fs::write(changed, vec![7; usize::try_from(FILE)?])?;
        }
        lab.push(version, Bucket::S3).await?;
    }
    let total = float(FILE * 100);
    let mut sent = vec![];
    for ours in [true, false] {
        for version in ["d1", "d2"] {
            lab.reset_counts();
            let command = if ours {
                lab.replicate(version, Bucket::S3, &[Bucket::Gcs])?
            } else {
                lab.rclone_copy(version, Bucket::S3, Bucket::Gcs)
            };
            child::run(command).await?.expect_success("a copy")?;
        }
        sent.push(float(lab.proxy(Bucket::Gcs).counts().sent_bytes) / total);
        for version in ["d1", "d2"] {
            lab.forget(Bucket::Gcs, version).await?;
        }
    }
    Ok(Row::new(
        (
            "R10",
            "bytes sent by version size, one file in a hundred changed, S3 to GCS",
            "<= 0.05",
        ),
        sent[0],
        Some(sent[1]),
        sent[0] <= 0.05,
        json!({"files": 100, "fileBytes": FILE}),
    ))
}
