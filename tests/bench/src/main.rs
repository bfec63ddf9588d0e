//! `cargo xtask bench replication`: goals R1 to R14 of the replication, measured against
//! rclone and s5cmd on the same servers, in turns, in one run. `cargo xtask bench eval`: see
//! `eval`.
//!
//! A goal that is not met is a row with `pass: false`; one that could not be measured is
//! absent, with the reason. Bytes and requests are counted by proxies in front of the
//! servers; processor time and memory are those of the tool alone.

mod child;
mod clock;
mod eval;
mod lab;
mod report;
mod rows;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use serde_json::json;

use crate::{
    lab::{Bucket, Lab, one_file},
    report::Row,
    rows::{Size, audit, copies, fanout, faults, outage, planner, relay, resume},
};

/// Measures.
#[derive(Parser)]
enum Bench {
    /// Replication.
    Replication(Args),
    /// Metrics of answers, and asking for them.
    Eval(eval::Args),
}

/// Measures replication.
#[derive(clap::Args)]
struct Args {
    /// Where the report goes.
    #[arg(long)]
    report: PathBuf,
    /// The `mcdeploy` that is measured.
    #[arg(long)]
    mcdeploy: PathBuf,
    /// Large objects, many repeats.
    #[arg(long)]
    full: bool,
    /// Only these goals, such as R4,R12.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn say(line: &str) {
    // A closed stderr is no reason to stop.
    let _closed = writeln!(std::io::stderr(), "{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let measured = match Bench::parse() {
        Bench::Replication(args) => Box::pin(run(&args)).await,
        Bench::Eval(args) => Box::pin(eval::run(&args)).await,
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What was measured so far.
struct Measured<'a> {
    args: &'a Args,
    rows: Vec<Row>,
    absent: Vec<(&'static str, String)>,
}

impl Measured<'_> {
    fn wants(&self, goals: &[&str]) -> bool {
        let only = &self.args.only;
        only.is_empty() || goals.iter().any(|goal| only.iter().any(|o| o == goal))
    }

    /// Takes rows in, or says why there are none: one goal's trouble must not hide the
    /// others.
    fn take(&mut self, goals: &[&'static str], measured: anyhow::Result<Vec<Row>>) {
        match measured {
            Ok(rows) => {
                for row in &rows {
                    let word = if row.pass { "met" } else { "NOT MET" };
                    let (goal, ours, baseline) = (row.goal, row.ours, row.baseline);
                    say(&format!(
                        "{goal} {word}: {ours}, baseline {baseline:?} ({})",
                        row.what
                    ));
                }
                self.rows.extend(rows);
            }
            Err(error) => {
                for goal in goals {
                    say(&format!("{goal} could not be measured: {error:#}"));
                    self.absent.push((goal, format!("{error:#}")));
                }
            }
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let size = if args.full { Size::FULL } else { Size::SHORT };
    let start = clock::now();
    let mut bench = Measured {
        args,
        rows: vec![],
        absent: vec![],
    };
    if bench.wants(&["R8"]) {
        bench.take(&["R8"], planner::measure().map(|row| vec![row]));
    }
    let lab = Lab::start(&args.mcdeploy).await?;
    measure(&mut bench, &lab, &size).await?;
    bench
        .rows
        .sort_by_key(|row| row.goal[1..].parse::<u32>().unwrap_or(0));
    let run = json!({
        "form": if args.full { "full" } else { "short" },
        "size": size,
        "seconds": start.elapsed().as_secs(),
        "against": ["rclone 1.75.2", "s5cmd 2.3.0"],
        "servers": ["versitygw", "azurite", "fake-gcs-server"],
    });
    report::write(
        "ReplicationBench",
        &args.report,
        &bench.rows,
        &bench.absent,
        &run,
    )?;
    let met = bench.rows.iter().filter(|row| row.pass).count();
    let (all, file) = (bench.rows.len(), args.report.display());
    say(&format!("{met} of {all} goals met; report in {file}"));
    Ok(())
}

async fn measure(bench: &mut Measured<'_>, lab: &Lab, size: &Size) -> anyhow::Result<()> {
    if bench.wants(&["R3", "R4", "R5", "R6", "R7", "R9"]) {
        lab.files("large", &one_file(size.large_bytes))?;
        lab.push("large", Bucket::S3).await?;
    }
    if bench.wants(&["R5", "R7"]) {
        bench.take(&["R5", "R7"], copies::cost(lab, size).await);
    }
    if bench.wants(&["R3", "R9"]) {
        bench.take(&["R3", "R9"], fanout::measure(lab, size).await);
    }
    if bench.wants(&["R4"]) {
        bench.take(&["R4"], one(resume::killed(lab, size).await));
    }
    if bench.wants(&["R6"]) {
        bench.take(&["R6"], one(copies::wall(lab, size).await));
    }
    if bench.wants(&["R2"]) {
        bench.take(&["R2"], one(audit::audit(lab).await));
    }
    if bench.wants(&["R12"]) {
        bench.take(&["R12"], one(audit::no_op(lab, size).await));
    }
    if bench.wants(&["R10"]) {
        bench.take(&["R10"], one(resume::delta(lab).await));
    }
    if bench.wants(&["R13"]) {
        bench.take(&["R13"], one(relay::chain(lab, size).await));
    }
    if bench.wants(&["R14"]) {
        bench.take(&["R14"], one(outage::converge(lab, size).await));
    }
    if bench.wants(&["R11"]) {
        bench.take(&["R11"], one(faults::race(lab, size).await));
    }
    if bench.wants(&["R1"]) {
        bench.take(&["R1"], one(faults::flips(lab, size).await));
    }
    Ok(())
}

fn one(row: anyhow::Result<Row>) -> anyhow::Result<Vec<Row>> {
    row.map(|row| vec![row])
}
