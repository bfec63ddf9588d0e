//! R2 and R12: proving that nothing has to be done.

use mcdeploy_sandbox::testing::Exchange;
use serde_json::json;

use super::{Size, float};
use crate::{
    child,
    lab::{Bucket, Lab, MODEL, small_files},
    report::{Row, median},
};

/// Files of the audited version; three times as many replicas.
const FILES: usize = 334;

/// R2: a thousand replicas on three providers.
pub(crate) async fn audit(lab: &Lab) -> anyhow::Result<Row> {
    let version = "audit";
    lab.files(version, &small_files(FILES))?;
    lab.push(version, Bucket::S3).await?;
    let others = [Bucket::Azure, Bucket::Gcs];
    let fill = child::run(lab.replicate(version, Bucket::S3, &others)?).await?;
    fill.expect_success("filling the targets")?;
    let urls: Vec<String> = Bucket::CLOUDS
        .iter()
        .map(|bucket| lab.url(*bucket))
        .collect::<Result<_, _>>()?;
    let name = format!("{MODEL}:{version}");
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let args = [&["artifacts", "verify", &name, "-o", "json"], &urls[..]].concat();
    lab.reset_counts();
    let run = child::run(lab.mcdeploy(&args)).await?;
    let run = run.expect_success("mcdeploy artifacts verify")?;
    let requests = Bucket::CLOUDS.map(|bucket| lab.proxy(bucket).counts().requests);
    let payload: u64 = Bucket::CLOUDS
        .iter()
        .map(|bucket| payload(lab, *bucket))
        .sum();
    let unverifiable = run.printed.matches("\"readFiles\": 0").count() != 3;
    lab.reset_counts();
    let mut baseline_ms = 0.0;
    for to in others {
        let (from, to) = (Lab::remote(Bucket::S3, version), Lab::remote(to, version));
        let check = lab.rclone(&["check", "--download", &from, &to]);
        let check = child::run(check).await?.expect_success("rclone check")?;
        baseline_ms += float(check.wall_ms);
    }
    let read = Bucket::CLOUDS.map(|bucket| lab.proxy(bucket).counts().received_bytes);
    let most = requests.iter().max().copied().unwrap_or(0);
    let per_replica = float(most) / float(FILES as u64);
    let (read, payload) = (float(read.iter().sum()), float(payload));
    Ok(Row::new(
        (
            "R2",
            "bytes of files read to audit about 1000 replicas on 3 providers",
            "0, at most 2 requests a replica, none unverifiable; on GCS no request per object",
        ),
        payload,
        Some(read),
        payload == 0.0 && per_replica <= 2.0 && !unverifiable && requests[2] <= 20,
        json!({
            "replicas": FILES * 3,
            "requests": {"s3": requests[0], "azure": requests[1], "gcs": requests[2]},
            "wallMs": run.wall_ms,
            "rcloneCheckDownloadWallMs": baseline_ms,
        }),
    ))
}

/// Bytes of answers that are a file's own bytes.
fn payload(lab: &Lab, bucket: Bucket) -> u64 {
    let is_file = |exchange: &&Exchange| {
        let request = &exchange.request;
        // Google's metadata is asked for by GET too; only a media request carries bytes.
        let is_metadata = request.path.contains("/o/") && !request.query.contains("alt=media");
        request.method == "GET"
            && request.path.contains("file-")
            && !is_metadata
            && !request.query.contains("comp=blocklist")
            && !request.query.contains("attributes")
    };
    let exchanges = lab.proxy(bucket).exchanges();
    let files = exchanges.iter().filter(is_file);
    files.map(|exchange| exchange.received_bytes).sum()
}

/// R12: a copy of many objects that are all there.
pub(crate) async fn no_op(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let version = "many";
    lab.files(version, &small_files(size.many_files))?;
    lab.push(version, Bucket::S3).await?;
    let (from, to) = (Bucket::S3, Bucket::Second);
    let fill = child::run(lab.replicate(version, from, &[to])?).await?;
    fill.expect_success("filling the target")?;
    let (remote_from, remote_to) = (Lab::remote(from, version), Lab::remote(to, version));
    let s5_from = format!("{}*", Lab::s5_url(from, version));
    let s5_to = Lab::s5_url(to, version);
    let mut walls = [vec![], vec![], vec![]];
    let mut requests = [0; 3];
    for _ in 0..size.repeats {
        let commands = [
            lab.replicate(version, from, &[to])?,
            lab.rclone(&["sync", "--checksum", &remote_from, &remote_to]),
            lab.s5cmd(&["sync", "--size-only", &s5_from, &s5_to]),
        ];
        for (tool, command) in commands.into_iter().enumerate() {
            lab.reset_counts();
            let run = child::run(command).await?.expect_success("a sync")?;
            walls[tool].push(float(run.wall_ms));
            requests[tool] = lab.proxy(Bucket::S3).counts().requests;
        }
    }
    let pages = 2 * (size.many_files as u64).div_ceil(1000);
    let wall = walls.map(median);
    let best = wall[1].min(wall[2]);
    Ok(Row::new(
        (
            "R12",
            "wall milliseconds of a copy that has nothing to do, S3 to S3",
            "<= 0.7 of the better of rclone and s5cmd; requests <= pages of listings + 10",
        ),
        wall[0],
        Some(best),
        wall[0] <= 0.7 * best && requests[0] <= pages + 10,
        json!({
            "files": size.many_files,
            "listingPages": pages,
            "requests": {"ours": requests[0], "rclone": requests[1], "s5cmd": requests[2]},
            "wallMs": {"rclone": wall[1], "s5cmd": wall[2]},
        }),
    ))
}
