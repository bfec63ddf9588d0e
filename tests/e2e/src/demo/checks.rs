//! What must be reached. Pure.

use serde::Serialize;

use super::{
    OutageReport, RATE, Report, Way,
    outage::{DARK, GRACE},
};

/// One number that must be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What is measured.
    pub name: String,
    /// What must hold, in words.
    pub wanted: String,
    /// What was measured.
    pub got: f64,
    /// Whether it holds.
    pub passed: bool,
    /// A figure of speed: told, and no failure, because a busy machine misses it too.
    /// Benches judge speed.
    pub only_told: bool,
}

impl Check {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and megabytes are far below 2^52"
    )]
    fn at_most(name: &str, got: usize, most: usize) -> Self {
        Self::at_most_f(name, got as f64, most as f64)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and megabytes are far below 2^52"
    )]
    fn at_least(name: &str, got: usize, least: usize) -> Self {
        Self {
            name: name.to_owned(),
            wanted: format!("at least {least}"),
            got: got as f64,
            passed: got >= least,
            only_told: false,
        }
    }

    fn at_most_f(name: &str, got: f64, most: f64) -> Self {
        Self {
            name: name.to_owned(),
            wanted: format!("at most {most}"),
            got,
            passed: got <= most,
            only_told: false,
        }
    }

    fn speed(name: &str, got: f64, most: f64) -> Self {
        Self {
            only_told: true,
            ..Self::at_most_f(name, got, most)
        }
    }

    /// Whether the demo failed by it.
    pub fn has_failed(&self) -> bool {
        !self.passed && !self.only_told
    }
}

/// Everything that the report lets one check. With `complete`, a part that did not run
/// is a failed check of its own; otherwise it is left out.
pub(super) fn all(report: &Report, complete: bool) -> Vec<Check> {
    let mut checks = vec![];
    for (step, most) in [("up", 90.0), ("rollout v3", 30.0)] {
        if let Some(seconds) = report.seconds(step) {
            let name = format!("{step}, seconds");
            checks.push(Check::speed(&name, seconds, most));
        }
    }
    checks.extend(size_checks(report));
    if let Some(lead) = report.wave_lead_seconds {
        let name = "gcp's first v3 answer after aws's, seconds";
        checks.push(Check {
            name: name.to_owned(),
            wanted: "at least 0".to_owned(),
            got: lead,
            passed: lead >= 0.0,
            only_told: false,
        });
    }
    for (rollout, counts) in &report.under_rollout {
        let name = format!("failed during {rollout}");
        checks.push(Check::at_most(&name, counts.failed, 0));
        let name = format!("requests during {rollout}");
        let seconds = report.seconds(rollout).unwrap_or(0.0);
        checks.push(Check::at_least(&name, counts.sent, expected(3, seconds)));
    }
    for outage in &report.outages {
        checks.extend(outage_checks(outage));
    }
    if let Some(counts) = &report.all_addresses {
        let name = "failed at all for the client with all addresses";
        checks.push(Check::at_most(name, counts.failed, 0));
        checks.push(Check::at_most("wrong answers for it", counts.wrong, 0));
    }
    checks.push(Check::at_most("wrong answers", report.load.wrong, 0));
    // Half of the requests want one; some have to open it first.
    let (reused, sent) = (report.load.reused, report.load.sent);
    let name = "requests on kept-alive connections";
    checks.push(Check::at_least(name, reused, sent / 4));
    let name = "requests on connections of their own";
    checks.push(Check::at_least(name, sent - reused, sent / 4));
    let crossed = report.load.crossed;
    checks.push(Check::at_least("answers from another region", crossed, 1));
    if complete {
        let known = |bytes: u64| usize::from(bytes > 0);
        for (name, got, least) in [
            ("outages seen to their end", report.outages.len(), 4),
            ("rollouts under load", report.under_rollout.len(), 2),
            (
                "waves seen one after the other",
                usize::from(report.wave_lead_seconds.is_some()),
                1,
            ),
            (
                "operator's memory was seen",
                known(report.operator_peak_rss_bytes),
                1,
            ),
            (
                "the sandbox's memory was seen",
                known(report.sandbox_pss_bytes),
                1,
            ),
        ] {
            checks.push(Check::at_least(name, got, least));
        }
    }
    checks
}

/// Requests that so many targets get within a time, and some room: the last ones may not
/// have ended.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few thousand at the most"
)]
fn expected(targets: u32, seconds: f64) -> usize {
    (f64::from(targets * RATE) * seconds * 0.8) as usize
}

fn size_checks(report: &Report) -> Vec<Check> {
    let mega = |bytes: u64| usize::try_from(bytes / 1_000_000).unwrap_or(usize::MAX);
    let mut checks = vec![];
    if report.sandbox_pss_bytes > 0 {
        let pss = mega(report.sandbox_pss_bytes);
        checks.push(Check::at_most("all four clusters (PSS), MB", pss, 5000));
    }
    if report.operator_peak_rss_bytes > 0 {
        let peak = mega(report.operator_peak_rss_bytes);
        checks.push(Check::at_most("operator's peak (RSS), MB", peak, 60));
    }
    if report.help_seconds > 0.0 {
        let millis = report.help_seconds * 1000.0;
        checks.push(Check::speed("mcdeploy --help, ms", millis, 20.0));
    }
    checks
}

fn outage_checks(outage: &OutageReport) -> Vec<Check> {
    let OutageReport {
        way,
        after,
        first_two_seconds: first,
        relied_on_lost,
        ..
    } = outage;
    let relied = format!("answers by the cloud that is then lost, elsewhere, {way:?}");
    let relied = Check::at_least(&relied, *relied_on_lost, 1);
    let crossed = format!("answers from another region in the outage, {way:?}");
    let crossed = Check::at_least(&crossed, first.crossed + after.crossed, 1);
    let name = format!("failed from 2 s after the fault, {way:?}");
    match way {
        Way::Weighted | Way::PodsDown | Way::AllAddresses => {
            let load = format!("requests of that time, {way:?}");
            // To the surviving gateways, or of the client that has all addresses.
            let targets = if *way == Way::AllAddresses { 1 } else { 2 };
            let sent = expected(targets, DARK.saturating_sub(GRACE).as_secs_f64());
            let mut checks = vec![
                Check::at_most(&name, after.failed, 0),
                Check::at_least(&load, after.sent, sent),
            ];
            if *way == Way::AllAddresses {
                // It goes elsewhere by itself; without need it would prove nothing.
                let name = "requests of that time that had to ask a second gateway";
                let retried = first.retried + after.retried;
                checks.push(Check::at_least(name, retried, 1));
            } else {
                checks.extend([relied, crossed]);
            }
            checks
        }
        // A stray time-out is no proof: the lost cloud has a third of the weight.
        Way::Control => vec![
            relied,
            Check::at_least(&name, after.failed, after.sent / 10),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{demo::Step, load::Counts};

    fn outage(way: Way, failed: usize) -> OutageReport {
        OutageReport {
            way,
            command_seconds: 0.1,
            relied_on_lost: 1,
            first_two_seconds: Counts::default(),
            after: Counts {
                sent: 800,
                failed,
                crossed: 1,
                ..Counts::default()
            },
            recovery_seconds: 0.0,
            back_seconds: 0.0,
        }
    }

    fn failing(report: &Report) -> Vec<String> {
        let checks = all(report, false);
        let failed = checks.into_iter().filter(Check::has_failed);
        failed.map(|check| check.name).collect()
    }

    #[test]
    fn a_failure_fails_every_outage_but_the_control_run_which_needs_one() {
        let mut report = Report::default();
        report.load.crossed = 1;
        report.outages = vec![outage(Way::Weighted, 0), outage(Way::Control, 80)];
        assert_eq!(failing(&report), Vec::<String>::new());
        report.outages = vec![outage(Way::Weighted, 1), outage(Way::Control, 79)];
        assert_eq!(
            failing(&report),
            [
                "failed from 2 s after the fault, Weighted",
                "failed from 2 s after the fault, Control"
            ]
        );
    }

    #[test]
    fn a_slow_machine_is_told_and_fails_nothing() {
        let mut report = Report::default();
        report.load.crossed = 1;
        report.help_seconds = 2.0;
        report.steps = vec![Step::new("up", Duration::from_mins(20))];
        assert_eq!(failing(&report), Vec::<String>::new());
        let slow = all(&report, false).iter().filter(|c| !c.passed).count();
        assert_eq!(slow, 2);
    }

    #[test]
    fn no_answer_from_another_region_fails() {
        assert_eq!(failing(&Report::default()), ["answers from another region"]);
    }

    #[test]
    fn an_outage_of_a_cloud_that_nobody_else_relied_on_is_no_proof() {
        let mut report = Report::default();
        report.load.crossed = 1;
        for way in [Way::Weighted, Way::PodsDown, Way::Control] {
            let mut outage = outage(way, if way == Way::Control { 80 } else { 0 });
            outage.relied_on_lost = 0;
            report.outages = vec![outage];
            assert_eq!(failing(&report).len(), 1, "{way:?}");
        }
    }

    #[test]
    fn a_client_with_all_addresses_that_never_needed_a_second_is_no_proof() {
        let mut report = Report::default();
        report.load.crossed = 1;
        report.outages = vec![outage(Way::AllAddresses, 0)];
        let missing = "requests of that time that had to ask a second gateway";
        assert_eq!(failing(&report), [missing]);
        report.outages[0].after.retried = 1;
        assert_eq!(failing(&report), Vec::<String>::new());
    }

    #[test]
    fn a_rollout_or_an_outage_without_load_is_no_proof() {
        let mut report = Report::default();
        report.load.crossed = 1;
        report.steps = vec![Step::new("rollout v3", Duration::from_secs(10))];
        let mut counts = Counts {
            sent: 1199,
            ..Counts::default()
        };
        report
            .under_rollout
            .insert("rollout v3".to_owned(), counts.clone());
        assert_eq!(failing(&report), ["requests during rollout v3"]);
        counts.sent = 1200;
        report.under_rollout.insert("rollout v3".to_owned(), counts);
        assert_eq!(failing(&report), Vec::<String>::new());
        let mut outage = outage(Way::PodsDown, 0);
        outage.after.sent = 639;
        report.outages = vec![outage];
        assert_eq!(failing(&report), ["requests of that time, PodsDown"]);
    }

    #[test]
    fn a_load_on_one_kind_of_connection_only_fails() {
        let mut report = Report::default();
        report.load.crossed = 1;
        for (reused, missing) in [
            (10, "kept-alive connections"),
            (90, "connections of their own"),
        ] {
            (report.load.sent, report.load.reused) = (100, reused);
            assert_eq!(failing(&report), [format!("requests on {missing}")]);
        }
    }

    #[test]
    fn waves_at_the_same_time_fail() {
        let mut report = Report::default();
        report.load.crossed = 1;
        report.wave_lead_seconds = Some(-0.5);
        assert_eq!(
            failing(&report),
            ["gcp's first v3 answer after aws's, seconds"]
        );
    }
}
