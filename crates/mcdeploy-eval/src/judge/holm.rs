//! From estimates to verdicts.

use crate::{
    gate::{Confidence, MetricGate},
    interval::{Estimate, Method},
    report::{Check, Evidence, Interval, Reason, Requirement, Verdict},
    value::number,
};

/// A check without its verdict.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) place: Option<String>,
    pub(super) slice: std::collections::BTreeMap<String, String>,
    pub(super) metric: MetricGate,
    pub(super) requirement: Requirement,
    pub(super) bound: f64,
    pub(super) evidence: Evidence,
    /// Of what has the bound; none where the evidence says why there is none.
    pub(super) estimate: Option<Estimate>,
}

impl Open {
    fn p_pass(&self) -> f64 {
        self.estimate
            .as_ref()
            .map_or(1.0, |estimate| match self.requirement {
                Requirement::LowerBound => estimate.low_reaches(self.bound),
                Requirement::UpperBound | Requirement::MaxDecrease => {
                    estimate.high_reaches(self.bound)
                }
            })
    }

    /// Of missing the bound, however little.
    fn p_fail(&self) -> f64 {
        self.estimate
            .as_ref()
            .map_or(1.0, |estimate| match self.requirement {
                Requirement::LowerBound => estimate.high_reaches(self.bound),
                Requirement::UpperBound | Requirement::MaxDecrease => {
                    estimate.low_reaches(self.bound)
                }
            })
    }
}

/// A decision of one side: the level that the check was held to, and whether it held.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    alpha: f64,
    rejected: bool,
}

/// Steps down from the smallest p-value until one is too large. In the order of `p`.
fn holm(p: &[f64], alpha: f64) -> Vec<Step> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut steps = vec![
        Step {
            alpha,
            rejected: false
        };
        p.len()
    ];
    let mut stopped_at = None;
    for (rank, index) in order.into_iter().enumerate() {
        let own = stopped_at.unwrap_or(alpha / number(p.len() - rank));
        let rejected = stopped_at.is_none() && p[index] <= own;
        if !rejected {
            stopped_at = Some(own);
        }
        steps[index] = Step {
            alpha: own,
            rejected,
        };
    }
    steps
}

/// Decides all checks, in their order.
pub(super) fn decide(open: Vec<Open>, confidence: Confidence) -> Vec<Check> {
    let alpha = 1.0 - confidence.level;
    let mut pass = vec![None; open.len()];
    let mut fail = vec![None; open.len()];
    for critical in [true, false] {
        let family: Vec<usize> = (0..open.len())
            .filter(|index| open[*index].metric.critical == critical)
            .collect();
        let p_pass: Vec<f64> = family.iter().map(|index| open[*index].p_pass()).collect();
        let p_fail: Vec<f64> = family.iter().map(|index| open[*index].p_fail()).collect();
        let steps = holm(&p_pass, alpha).into_iter().zip(holm(&p_fail, alpha));
        for (index, (passed, failed)) in family.into_iter().zip(steps) {
            pass[index] = Some(passed);
            fail[index] = Some(failed);
        }
    }
    let steps = pass.into_iter().zip(fail);
    let decided = open.into_iter().zip(steps).map(|(open, (pass, fail))| {
        let none = Step {
            alpha,
            rejected: false,
        };
        decided(open, pass.unwrap_or(none), fail.unwrap_or(none), confidence)
    });
    decided.collect()
}

fn decided(open: Open, pass: Step, fail: Step, confidence: Confidence) -> Check {
    let (p_pass, p_fail) = (open.p_pass(), open.p_fail());
    let verdict = match (pass.rejected, fail.rejected) {
        (true, false) => Verdict::Pass,
        (false, true) => Verdict::Fail,
        (true, true) | (false, false) => Verdict::Inconclusive,
    };
    let mut evidence = open.evidence;
    if let Some(estimate) = &open.estimate {
        let (low_alpha, high_alpha) = match open.requirement {
            Requirement::LowerBound => (pass.alpha, fail.alpha),
            Requirement::UpperBound | Requirement::MaxDecrease => (fail.alpha, pass.alpha),
        };
        evidence.interval = Some(Interval {
            low: estimate.low(low_alpha),
            high: estimate.high(high_alpha),
            low_alpha,
            high_alpha,
            method: estimate.method(),
            p_pass,
            p_fail,
        });
        evidence.reason = match verdict {
            Verdict::Pass => Reason::Clears,
            Verdict::Fail => Reason::Misses,
            Verdict::Inconclusive => straddles(estimate, pass.alpha.min(fail.alpha), confidence),
        };
    }
    Check {
        place: open.place,
        slice: open.slice,
        metric: open.metric,
        requirement: open.requirement,
        bound: open.bound,
        verdict,
        evidence,
    }
}

fn straddles(estimate: &Estimate, alpha: f64, confidence: Confidence) -> Reason {
    let draws = number(confidence.resamples + 1);
    if estimate.method() == Method::BCa && alpha * draws < 1.0 {
        let enough = (1..=1_000_000).find(|count| number(*count) * alpha >= 1.0);
        return Reason::TooFewResamples {
            needed: enough.unwrap_or(1_000_000),
        };
    }
    Reason::Straddles
}

#[cfg(test)]
mod tests {
    use super::holm;

    #[test]
    fn holm_stops_at_the_first_p_value_that_is_too_large() {
        let steps = holm(&[0.03, 0.01, 0.04, 0.005], 0.05);
        let rejected: Vec<bool> = steps.iter().map(|step| step.rejected).collect();
        assert_eq!(rejected, [false, true, false, true]);
        assert!((steps[3].alpha - 0.0125).abs() < 1e-12);
        // What comes after the stop is held to the level at which it stopped.
        assert!((steps[0].alpha - 0.025).abs() < 1e-12);
        assert!((steps[2].alpha - 0.025).abs() < 1e-12);
    }
}
