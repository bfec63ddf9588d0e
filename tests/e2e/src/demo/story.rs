//! What the demo says on the screen.

use std::{io::Write, time::Duration};

use super::{Check, OutageReport};
use crate::load::Counts;

/// Writes to standard output. An output that is gone is no reason to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Story;

impl Story {
    /// One line.
    pub fn say(self, line: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }

    /// Why it ended early.
    pub fn trouble(self, why: &str) {
        self.say(&format!("\nThe demo ended early: {why}"));
    }

    pub(super) fn step(self, title: &str, command: &str) {
        self.say(&format!("\n== {title}\n$ {command}"));
    }

    pub(super) fn took(self, took: Duration) {
        self.say(&format!("   {:.1} s", took.as_secs_f64()));
    }

    pub(super) fn counts(self, who: &str, counts: &Counts) {
        let Counts {
            sent,
            failed,
            wrong,
            crossed,
            retried,
            reused,
            answers,
            reasons,
        } = counts;
        self.say(&format!(
            "   {who}: {sent} requests ({reused} on kept-alive connections), {failed} failed, \
             {wrong} wrong, {crossed} answered by another region"
        ));
        if *retried > 0 {
            self.say(&format!("   {retried} of them had to ask a second gateway"));
        }
        let list: Vec<String> = answers
            .iter()
            .map(|(who, count)| format!("{who} {count}"))
            .collect();
        if !list.is_empty() {
            self.say(&format!("   answers by: {}", list.join(", ")));
        }
        for (reason, count) in reasons.iter().take(5) {
            self.say(&format!("   {count} x {reason}"));
        }
    }

    pub(super) fn outage(self, report: &OutageReport) {
        self.say(&format!(
            "   before it, {} answers elsewhere came from the cloud that is lost",
            report.relied_on_lost
        ));
        self.counts("First 2 s", &report.first_two_seconds);
        self.counts("From then on", &report.after);
        self.say(&format!(
            "   last failure {:.1} s after the fault; back {:.1} s after the heal",
            report.recovery_seconds, report.back_seconds
        ));
    }

    pub(super) fn checks(self, checks: &[Check]) {
        self.say("\n== What must be reached");
        for check in checks {
            let mark = match (check.passed, check.has_failed()) {
                (true, _) => "ok  ",
                (false, true) => "FAIL",
                (false, false) => "slow",
            };
            let got = (check.got * 10.0).round() / 10.0;
            self.say(&format!("{mark} {}: {got} ({})", check.name, check.wanted));
        }
    }
}
