//! Verdicts: every bound on every part of the rows, corrected for how many there are.
//!
//! Errors are held twice, by Holm (1979) each: among all checks that decide, the probability
//! that any passes whose truth misses its bound is at most `1 - level`, and so is that of any
//! failing whose truth reaches it. Checks that do not decide are a family of their own and
//! cost the others nothing.

mod collect;
mod describe;
mod holm;

pub use self::describe::{Described, describe};

use crate::{
    gate::{Gate, MetricGate, MetricName},
    input::{Baseline, Candidate, InputError, Truth},
    metric::{Metric, MetricError},
    report::{Outcome, Report, Verdict},
};

/// Why a gate cannot judge. All of them are permanent: the gate has to change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JudgeError {
    /// There is nothing to judge by.
    #[error("`metrics` is empty; name at least one with a bound")]
    NoMetrics,
    /// A metric has no bound.
    #[error(
        "metric {name} (`metrics[{index}]`) has none of `lowerBound`, `upperBound` and `maxDecrease`; give one"
    )]
    NoBound {
        /// Place in the list.
        index: usize,
        /// Which.
        name: MetricName,
    },
    /// A bound is no number, or bounds contradict each other.
    #[error("metric {name} (`metrics[{index}]`): {problem}")]
    Bound {
        /// Place in the list.
        index: usize,
        /// Which.
        name: MetricName,
        /// What is wrong.
        problem: &'static str,
    },
    /// `confidence` is out of range.
    #[error("`confidence.{field}` is {found}, expected {expected}")]
    Confidence {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: f64,
        /// Its range.
        expected: &'static str,
    },
    /// A slice names no column.
    #[error("`slices[{index}].columns` is empty; name at least one column")]
    NoColumns {
        /// Place in the list.
        index: usize,
    },
    /// A metric says what it cannot.
    #[error("`metrics[{index}]`")]
    Metric {
        /// Place in the list.
        index: usize,
        /// What.
        #[source]
        source: MetricError,
    },
    /// The incumbent's answers are to other rows.
    #[error("the incumbent")]
    Baseline {
        /// What.
        #[source]
        source: InputError,
    },
}

/// One of several places that a version answers from, judged together.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Region or cloud.
    pub name: &'a str,
    /// What it answered there.
    pub candidate: &'a Candidate,
    /// What the incumbent answers.
    pub baseline: Option<&'a Baseline>,
}

/// Judges a version by a gate. The same input gives the same report.
///
/// # Errors
/// [`JudgeError`].
pub fn judge(
    gate: &Gate,
    candidate: &Candidate,
    baseline: Option<&Baseline>,
) -> Result<Report, JudgeError> {
    let place = Place {
        name: "",
        candidate,
        baseline,
    };
    judge_places(gate, &[place])
}

/// Judges a version by its answers from several places: it passes if it does in all of them.
/// An empty name is left out of the report.
///
/// # Errors
/// [`JudgeError`].
pub fn judge_places(gate: &Gate, places: &[Place<'_>]) -> Result<Report, JudgeError> {
    check_gate(gate)?;
    let mut open = vec![];
    for place in places {
        open.extend(collect::checks(gate, place)?);
    }
    let checks = holm::decide(open, gate.confidence);
    let decisive = || checks.iter().filter(|check| check.metric.critical);
    let verdict = if decisive().any(|check| check.verdict == Verdict::Fail) {
        Verdict::Fail
    } else if decisive().count() > 0 && decisive().all(|check| check.verdict == Verdict::Pass) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    Ok(Report {
        verdict,
        outcome: Outcome::of(verdict, gate.inconclusive),
        level: gate.confidence.level,
        resamples: gate.confidence.resamples,
        seed: gate.confidence.seed,
        checks,
    })
}

pub(crate) fn check_gate(gate: &Gate) -> Result<(), JudgeError> {
    if gate.metrics.is_empty() {
        return Err(JudgeError::NoMetrics);
    }
    for (index, metric) in gate.metrics.iter().enumerate() {
        check_bounds(index, metric)?;
    }
    let level = gate.confidence.level;
    if !(level > 0.5 && level < 1.0) {
        return Err(JudgeError::Confidence {
            field: "level",
            found: level,
            expected: "more than 0.5 and less than 1",
        });
    }
    let resamples = gate.confidence.resamples;
    if !(100..=100_000).contains(&resamples) {
        return Err(JudgeError::Confidence {
            field: "resamples",
            found: crate::value::number(resamples),
            expected: "100 to 100000",
        });
    }
    let empty = gate
        .slices
        .iter()
        .position(|slice| slice.columns.is_empty());
    match empty {
        Some(index) => Err(JudgeError::NoColumns { index }),
        None => Ok(()),
    }
}

fn check_bounds(index: usize, metric: &MetricGate) -> Result<(), JudgeError> {
    let name = metric.name;
    let bounds = [metric.lower_bound, metric.upper_bound, metric.max_decrease];
    if bounds.iter().all(Option::is_none) {
        return Err(JudgeError::NoBound { index, name });
    }
    let crossed = metric
        .lower_bound
        .zip(metric.upper_bound)
        .is_some_and(|(low, high)| low > high);
    let problem = if bounds.iter().flatten().any(|bound| !bound.is_finite()) {
        "a bound is not a finite number"
    } else if metric.max_decrease.is_some_and(|decrease| decrease < 0.0) {
        "`maxDecrease` is below 0; it says how much worse is allowed"
    } else if crossed {
        "`lowerBound` is above `upperBound`, so nothing can pass"
    } else {
        return Ok(());
    };
    Err(JudgeError::Bound {
        index,
        name,
        problem,
    })
}

pub(crate) fn resolve(gate: &Gate, truth: &Truth) -> Result<Vec<Metric>, JudgeError> {
    let metrics = gate.metrics.iter().enumerate();
    let resolved = metrics.map(|(index, metric)| {
        Metric::new(metric, truth).map_err(|source| JudgeError::Metric { index, source })
    });
    resolved.collect()
}
