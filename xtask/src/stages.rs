//! Named stages with the seconds that each took.

use std::time::Instant;

use crate::shell::say;

/// Stages that ran, in order.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<Stage>,
}

struct Stage {
    name: &'static str,
    seconds: f64,
    failure: Option<String>,
}

impl Stages {
    /// Runs one stage. A failure is kept and told at the end; later stages still run,
    /// so that one run shows everything that is wrong.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) {
        say(format!("── {name}"));
        let start = now();
        let failure = work().err().map(|error| format!("{error:#}"));
        let seconds = start.elapsed().as_secs_f64();
        if let Some(failure) = &failure {
            say(format!("── {name} failed: {failure}"));
        }
        self.done.push(Stage {
            name,
            seconds,
            failure,
        });
    }

    /// Prints the table and fails when a stage failed.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        say("── seconds per stage");
        for Stage {
            name,
            seconds,
            failure,
        } in &self.done
        {
            let verdict = if failure.is_some() { "FAILED" } else { "ok" };
            say(format!("{seconds:>8.1}  {name:<14} {verdict}"));
        }
        let total: f64 = self.done.iter().map(|stage| stage.seconds).sum();
        say(format!("{total:>8.1}  total"));
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|stage| stage.failure.is_some())
            .collect();
        anyhow::ensure!(
            failed.is_empty(),
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
fn now() -> Instant {
    Instant::now()
}
