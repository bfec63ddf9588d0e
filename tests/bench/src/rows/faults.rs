//! R1 and R11: what goes wrong and is not told.

use std::process::Command;

use mcdeploy_sandbox::testing::{Fault, ProxyRequest};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde_json::json;

use super::{Size, float};
use crate::{
    child,
    lab::{Bucket, Lab, MODEL, one_file},
    report::Row,
};

/// Length of the object that is broken: three parts, the last one short.
const LENGTH: u64 = 40 << 20;

/// R1: flipped bits and cut bodies, on the way out of S3 and on the way into each sink.
pub(crate) async fn flips(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let version = "fragile";
    let dir = lab.files(version, &one_file(LENGTH))?;
    let expected = std::fs::read(dir.join("weights.bin"))?;
    lab.push(version, Bucket::S3).await?;
    let mut random = SmallRng::seed_from_u64(11);
    let mut silent = [0, 0];
    let mut failed = [0, 0];
    let mut injected = 0;
    for sink in [Bucket::Second, Bucket::Azure, Bucket::Gcs] {
        for _ in 0..size.faults {
            let fault = fault(&mut random);
            injected += 1;
            for (tool, silent) in silent.iter_mut().enumerate() {
                lab.forget(sink, version).await?;
                let command = copy(lab, tool, version, sink)?;
                inject(lab, sink, fault);
                let run = child::run(command).await;
                for bucket in Bucket::CLOUDS {
                    lab.proxy(bucket).heal();
                }
                if run?.code != Some(0) {
                    failed[tool] += 1;
                    continue;
                }
                let there = lab.read(sink, version, "weights.bin").await?;
                *silent += u64::from(there != expected);
            }
        }
        lab.forget(sink, version).await?;
    }
    Ok(Row::new(
        (
            "R1",
            "wrong bytes that were called a success",
            "0; the source is a multipart object without MD5",
        ),
        float(silent[0]),
        Some(float(silent[1])),
        silent[0] == 0,
        json!({
            "faults": injected,
            "endedWithAnError": {"ours": failed[0], "rclone": failed[1]},
            "repairedOnTheWay": {
                "ours": injected - failed[0] - silent[0],
                "rclone": injected - failed[1] - silent[1],
            },
        }),
    ))
}

fn copy(lab: &Lab, tool: usize, version: &str, sink: Bucket) -> anyhow::Result<Command> {
    Ok(match tool {
        0 => lab.replicate(version, Bucket::S3, &[sink])?,
        _ => lab.rclone_copy(version, Bucket::S3, sink),
    })
}

fn fault(random: &mut SmallRng) -> Fault {
    let at_byte = random.random_range(0..4 << 20);
    match random.random_range(0..4) {
        0 => Fault::FlipAnswer { at_byte },
        1 => Fault::FlipRequest { at_byte },
        2 => Fault::ResetAnswer {
            after_bytes: at_byte,
        },
        _ => Fault::ResetRequest {
            after_bytes: at_byte,
        },
    }
}

/// Breaks one body of at least a few MiB, out of the source or into the sink.
fn inject(lab: &Lab, sink: Bucket, fault: Fault) {
    let is_read = matches!(fault, Fault::FlipAnswer { .. } | Fault::ResetAnswer { .. });
    let is_large_read = |request: &ProxyRequest| {
        request.method == "GET" && request.path.ends_with("weights.bin") && request.query.len() < 40
    };
    let is_large_write = |request: &ProxyRequest| request.body_bytes > 4 << 20;
    if is_read {
        lab.proxy(Bucket::S3).inject_times(1, fault, is_large_read);
    } else {
        lab.proxy(sink).inject_times(1, fault, is_large_write);
    }
}

/// R11: writers of different bytes under one name, all at once.
pub(crate) async fn race(lab: &Lab, size: &Size) -> anyhow::Result<Row> {
    let dirs: Vec<_> = (0..size.racers)
        .map(|racer| {
            let dir = lab.home().join(format!("racer-{racer}"));
            std::fs::create_dir_all(dir.join("race"))?;
            let bytes = format!("bytes of racer {racer:03}").repeat(5000);
            std::fs::write(dir.join("race/file.bin"), bytes)?;
            Ok(dir.display().to_string())
        })
        .collect::<anyhow::Result<_>>()?;
    let mut winners = [vec![], vec![]];
    let mut others_typed = true;
    for bucket in Bucket::CLOUDS {
        let (name, url) = (format!("{MODEL}:race"), lab.url(bucket)?);
        let ours = dirs
            .iter()
            .map(|dir| lab.mcdeploy(&["artifacts", "push", &name, "--dir", dir, "--store", &url]));
        let codes = all_at_once(ours.collect()).await?;
        winners[0].push(codes.iter().filter(|code| **code == Some(0)).count());
        others_typed &= codes.iter().all(|code| matches!(code, Some(0 | 6)));
        lab.forget(bucket, "race").await?;
        let rclone = dirs.iter().map(|dir| {
            let from = format!("{dir}/race/file.bin");
            let to = format!("{}/file.bin", Lab::remote(bucket, "race"));
            lab.rclone(&["copyto", "--immutable", &from, &to])
        });
        let codes = all_at_once(rclone.collect()).await?;
        winners[1].push(codes.iter().filter(|code| **code == Some(0)).count());
        lab.forget(bucket, "race").await?;
    }
    let most = |winners: &[usize]| float(winners.iter().max().copied().unwrap_or(0) as u64);
    Ok(Row::new(
        (
            "R11",
            "writers of different bytes that were told they won, most of 3 providers",
            "exactly 1 on each, the others a typed conflict",
        ),
        most(&winners[0]),
        Some(most(&winners[1])),
        winners[0].iter().all(|count| *count == 1) && others_typed,
        json!({
            "writers": size.racers,
            "winners": {"ours": winners[0], "rcloneImmutable": winners[1]},
            "othersTyped": others_typed,
        }),
    ))
}

async fn all_at_once(commands: Vec<Command>) -> anyhow::Result<Vec<Option<i32>>> {
    let runs: Vec<_> = commands
        .into_iter()
        .map(|command| tokio::spawn(child::run(command)))
        .collect();
    let mut codes = vec![];
    for run in runs {
        codes.push(run.await??.code);
    }
    Ok(codes)
}
