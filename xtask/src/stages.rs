//! Named stages with the seconds that each took, and the report about them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;

use crate::shell::{begin_stage, end_stage, output, say};

/// After this all that still runs is ended: whoever waits for a run learns where it stood.
const WHOLE_RUN: Duration = Duration::from_secs(5000);

/// Stages that ran, in order.
pub(crate) struct Stages {
    begin: Instant,
    /// Only these, where some were named.
    only: Vec<String>,
    commit: String,
    clean: bool,
    done: Vec<Stage>,
}

/// A row of the report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stage {
    name: &'static str,
    seconds: f64,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
    #[serde(skip)]
    shown_again: Vec<String>,
}

/// `test-report.json`
#[derive(Serialize)]
struct Report<'a> {
    commit: &'a str,
    /// Whether the work tree held this commit and nothing else when the run began.
    clean: bool,
    passed: bool,
    stages: &'a [Stage],
}

impl Stages {
    /// Begins; with names in `only`, other stages are left out.
    pub(crate) fn begin(only: Vec<String>) -> Self {
        // A tree without git can be tested all the same.
        let commit = output("git", &["rev-parse", "HEAD"]).unwrap_or_default();
        let changes = output("git", &["status", "--porcelain"]).unwrap_or_default();
        Self {
            begin: now(),
            only,
            clean: !commit.is_empty() && changes.is_empty(),
            commit: commit.trim().to_owned(),
            done: vec![],
        }
    }

    /// Runs one stage of at most `minutes`. A failure is kept and told at the end; later
    /// stages still run, so that one run shows everything that is wrong.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        minutes: u64,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) {
        if self.only.is_empty() || self.only.iter().any(|only| only == name) {
            let until = now() + Duration::from_mins(minutes);
            self.run_until(until.min(self.begin + WHOLE_RUN), name, work);
        }
    }

    /// Runs a stage that puts the machine back, also when the time of the whole run is over.
    pub(crate) fn clean_up(
        &mut self,
        name: &'static str,
        minutes: u64,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) {
        self.run_until(now() + Duration::from_mins(minutes), name, work);
    }

    fn run_until(
        &mut self,
        until: Instant,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) {
        say(format!("── {name}"));
        let start = now();
        begin_stage(until);
        let outcome = work();
        let printed = end_stage();
        let seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let mut stage = Stage {
            name,
            seconds,
            verdict: "ok",
            first_failure: None,
            shown_again: vec![],
        };
        if let Err(error) = outcome {
            let failure = format!("{error:#}");
            say(format!("── {name} failed: {failure}"));
            stage.verdict = "FAILED";
            let named = printed.failures().first().cloned();
            stage.first_failure = Some(named.unwrap_or_else(|| failure.clone()));
            stage.shown_again = printed.last().map(str::to_owned).collect();
            stage.shown_again.extend(printed.failures().iter().cloned());
            stage.shown_again.push(failure);
        }
        self.done.push(stage);
    }

    /// Writes the report, prints the table and, last, what failed; fails when a stage did.
    pub(crate) fn finish(self, report: &Path) -> anyhow::Result<()> {
        let failed: Vec<&Stage> = self.done.iter().filter(|s| s.verdict != "ok").collect();
        let passed = failed.is_empty() && !self.done.is_empty();
        let text = serde_json::to_string_pretty(&Report {
            commit: &self.commit,
            clean: self.clean,
            passed: passed && self.only.is_empty(),
            stages: &self.done,
        })?;
        fs::write(report, text).with_context(|| format!("write {}", report.display()))?;
        say("── seconds per stage");
        for Stage {
            name,
            seconds,
            verdict,
            ..
        } in &self.done
        {
            say(format!("{seconds:>8.1}  {name:<14} {verdict}"));
        }
        let total: f64 = self.done.iter().map(|stage| stage.seconds).sum();
        say(format!("{total:>8.1}  total; report: {}", report.display()));
        for stage in &failed {
            say(format!("── the end of {}", stage.name));
            for line in &stage.shown_again {
                say(line);
            }
        }
        anyhow::ensure!(
            !self.done.is_empty(),
            "there is no stage with the name {}",
            self.only.join(" or ")
        );
        anyhow::ensure!(
            passed,
            "{} of {} stages failed: {}",
            failed.len(),
            self.done.len(),
            failed
                .iter()
                .map(|stage| stage.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the one clock of this program")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
