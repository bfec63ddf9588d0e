//! `cargo xtask bench eval`: our metrics beside those of scikit-learn, on the same rows, in
//! turns, in one run; and whether an endpoint is asked as often as was stated.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use mcdeploy_sandbox::{
    Say,
    tools::{self, Tool},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    child::{self, Usage},
    clock,
    report::{self, Row, median},
    say,
};

const SCRIPT: &str = include_str!("eval/metrics.py");
/// Runs of ours, and of scikit-learn where it is quick.
const TURNS: usize = 3;

/// `mcdeploy-bench eval`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the report goes.
    #[arg(long)]
    report: PathBuf,
    /// The `mcdeploy-bench-eval` that is measured.
    #[arg(long)]
    measured: PathBuf,
}

/// What both programs print.
#[derive(Debug, Deserialize)]
struct Found {
    seconds: f64,
    values: Vec<f64>,
}

/// What `rate` prints.
#[derive(Debug, Deserialize)]
struct Rate {
    wanted: f64,
    found: f64,
}

struct Bench<'a> {
    measured: &'a Path,
    script: PathBuf,
    site: PathBuf,
    desk: tempfile::TempDir,
}

impl Bench<'_> {
    async fn ours(&self, arguments: &[&str]) -> anyhow::Result<Usage> {
        let mut command = on_one_core(self.measured);
        command.args(arguments);
        child::run(command)
            .await?
            .expect_success("mcdeploy-bench-eval")
    }

    async fn theirs(&self, file: &str, draws: &str) -> anyhow::Result<Usage> {
        let mut command = on_one_core(Path::new("python3"));
        command
            .arg(&self.script)
            .args([file, draws])
            .env("PYTHONPATH", &self.site);
        child::run(command).await?.expect_success("metrics.py")
    }

    /// Both programs in turns, `turns` of theirs: seconds of each turn, and what they used.
    async fn side_by_side(&self, rows: usize, draws: usize, turns: usize) -> anyhow::Result<Pair> {
        let file = self.desk.path().join(format!("{rows}.bin"));
        let (file, rows, draws) = (
            file.display().to_string(),
            rows.to_string(),
            draws.to_string(),
        );
        self.ours(&["data", "--rows", &rows, "--file", &file])
            .await?;
        let mut pair = Pair::default();
        for turn in 0..TURNS {
            let used = self
                .ours(&["metrics", "--file", &file, "--draws", &draws])
                .await?;
            let ours: Found = serde_json::from_str(&used.printed)?;
            pair.ours.push(ours.seconds);
            pair.peak_bytes = pair.peak_bytes.max(used.peak_bytes);
            if turn >= turns {
                continue;
            }
            let used = self.theirs(&file, &draws).await?;
            let theirs: Found = serde_json::from_str(&used.printed)?;
            pair.theirs.push(theirs.seconds);
            pair.their_peak_bytes = pair.their_peak_bytes.max(used.peak_bytes);
            let both = ours.values.iter().zip(&theirs.values);
            let same = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9;
            ensure!(
                ours.values.len() == theirs.values.len() && both.clone().all(same),
                "values differ: {:?} and {:?}",
                ours.values,
                theirs.values
            );
            pair.values = ours.values;
        }
        Ok(pair)
    }

    async fn rate(&self, wanted: f64, requests: usize) -> anyhow::Result<Rate> {
        let (wanted, requests) = (wanted.to_string(), requests.to_string());
        let arguments = [
            "rate",
            "--wanted",
            &wanted,
            "--requests",
            &requests,
            "--answer-ms",
            "80",
        ];
        Ok(serde_json::from_str(&self.ours(&arguments).await?.printed)?)
    }
}

#[derive(Debug, Default)]
struct Pair {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    peak_bytes: u64,
    their_peak_bytes: u64,
    values: Vec<f64>,
}

/// Neither may use a core that the other has not.
fn on_one_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(program);
    command
}

/// Measures, and writes the report.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let start = clock::now();
    let package = tools::ensure(Tool::Sklearn, &Say::stderr()).await?;
    let site = package
        .ancestors()
        .nth(2)
        .context("a directory of packages")?;
    let desk = tempfile::tempdir()?;
    let script = desk.path().join("metrics.py");
    std::fs::write(&script, SCRIPT)?;
    let bench = Bench {
        measured: &args.measured,
        script,
        site: site.to_owned(),
        desk,
    };
    let mut rows = vec![];
    let drawn = bench.side_by_side(10_000, 1000, 1).await?;
    rows.push(row(
        "E1",
        "accuracy, macro F1, ROC-AUC one-vs-rest and log loss of 10,000 x 10 with 1,000 bootstrap draws, seconds",
        "at most 1 s, and 0.1 of scikit-learn's time",
        &drawn,
        |seconds, ratio| seconds <= 1.0 && ratio <= 0.1,
    ));
    let once = bench.side_by_side(1_000_000, 0, TURNS).await?;
    rows.push(row(
        "E2",
        "the same of 1,000,000 x 10 once, seconds",
        "at most 2 GB, and 0.2 of scikit-learn's time",
        &once,
        |_, ratio| once.peak_bytes <= 2_000_000_000 && ratio <= 0.2,
    ));
    for (goal, wanted, requests) in [("E3", 50.0, 500), ("E4", 400.0, 4000)] {
        rows.push(asked(goal, &bench.rate(wanted, requests).await?));
    }
    for row in &rows {
        let word = if row.pass { "met" } else { "NOT MET" };
        say(&format!(
            "{} {word}: {}, baseline {:?} ({})",
            row.goal, row.ours, row.baseline, row.what
        ));
    }
    let run = json!({
        "seconds": start.elapsed().as_secs(),
        "against": ["scikit-learn 1.9.1"],
        "cores": 1,
    });
    report::write("EvalBench", &args.report, &rows, &[], &run)?;
    let met = rows.iter().filter(|row| row.pass).count();
    say(&format!(
        "{met} of {} goals met; report in {}",
        rows.len(),
        args.report.display()
    ));
    Ok(())
}

fn row(
    goal: &'static str,
    what: &'static str,
    mark: &'static str,
    pair: &Pair,
    pass: impl Fn(f64, f64) -> bool,
) -> Row {
    let (ours, theirs) = (median(pair.ours.clone()), median(pair.theirs.clone()));
    let detail = json!({
        "ours": pair.ours,
        "scikitLearn": pair.theirs,
        "peakBytes": pair.peak_bytes,
        "scikitLearnPeakBytes": pair.their_peak_bytes,
        "values": pair.values,
    });
    Row::new(
        (goal, what, mark),
        ours,
        Some(theirs),
        pass(ours, ours / theirs),
        detail,
    )
}

fn asked(goal: &'static str, rate: &Rate) -> Row {
    let what = "requests a second to an endpoint that takes 80 ms to answer";
    let pass = (rate.found / rate.wanted - 1.0).abs() <= 0.05;
    let detail = json!({"wanted": rate.wanted});
    Row::new(
        (goal, what, "within 5 % of the rate"),
        rate.found,
        Some(rate.wanted),
        pass,
        detail,
    )
}
