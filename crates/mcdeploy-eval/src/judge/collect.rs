//! All checks of one place, with their estimates.

use std::{borrow::Cow, collections::BTreeMap};

use super::{JudgeError, Place, holm::Open, resolve};
use crate::{
    gate::{Gate, MetricGate, MetricName},
    input::{Answers, Baseline, Candidate, InputError, Truth, picked},
    interval::{Draws, Estimate, leave_out, resample},
    metric::Metric,
    paired::McNemar,
    prepared::Prepared,
    random::Random,
    report::{Evidence, Reason, Requirement},
    value::{Undefined, Value},
};

/// Rows of one slice.
struct Part {
    slice: BTreeMap<String, String>,
    rows: Vec<usize>,
    /// Why it is not judged.
    refused: Option<Reason>,
}

pub(super) fn checks(gate: &Gate, place: &Place<'_>) -> Result<Vec<Open>, JudgeError> {
    let candidate = place.candidate;
    if let Some(baseline) = place.baseline {
        same_rows(candidate, baseline)?;
    }
    let metrics = resolve(gate, candidate.truth())?;
    let mut open = vec![];
    for (index, part) in parts(gate, candidate).into_iter().enumerate() {
        let name = Some(place.name.to_owned()).filter(|name| !name.is_empty());
        let evidence = if let Some(reason) = &part.refused {
            let refused = || Judged::refused(part.rows.len(), reason);
            metrics.iter().map(|_| refused()).collect()
        } else {
            // Parts draw apart, so that one more slice changes no other's draws.
            let seed = gate.confidence.seed ^ (index as u64).wrapping_mul(0xd134_2543_de82_ef95);
            judged(gate, &metrics, place, &part.rows, &mut Random::new(seed))?
        };
        for (metric, judged) in gate.metrics.iter().zip(evidence) {
            open.extend(judged.open(metric, name.as_deref(), &part.slice));
        }
    }
    Ok(open)
}

fn same_rows(candidate: &Candidate, baseline: &Baseline) -> Result<(), JudgeError> {
    let (expected, found) = (candidate.truth().rows(), baseline.answers().rows());
    if expected == found {
        return Ok(());
    }
    let what = "the incumbent's answers".to_owned();
    let source = InputError::Length {
        what,
        expected,
        found,
    };
    Err(JudgeError::Baseline { source })
}

/// The whole, then the slices in order of the gate and of their values.
fn parts(gate: &Gate, candidate: &Candidate) -> Vec<Part> {
    let weights = candidate.weights();
    let all: Vec<usize> = (0..weights.len())
        .filter(|row| weights[*row] > 0.0)
        .collect();
    let mut parts = vec![];
    for slice in &gate.slices {
        let missing = slice
            .columns
            .iter()
            .find(|column| candidate.column(column).is_none());
        if let Some(column) = missing {
            let named = slice
                .columns
                .iter()
                .map(|column| (column.clone(), "*".to_owned()));
            let column = column.clone();
            parts.push(Part {
                slice: named.collect(),
                rows: vec![],
                refused: Some(Reason::ColumnMissing { column }),
            });
            continue;
        }
        let mut groups: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
        let columns: Vec<&[String]> = slice
            .columns
            .iter()
            .filter_map(|column| candidate.column(column))
            .collect();
        // Rows of weight 0 name their slice all the same: it is there, and without data.
        for row in 0..weights.len() {
            let key = columns.iter().map(|column| column[row].as_str()).collect();
            let group = groups.entry(key).or_default();
            if weights[row] > 0.0 {
                group.push(row);
            }
        }
        for (values, rows) in groups {
            let needed = slice.min_samples.max(1);
            let values = values.into_iter().map(str::to_owned);
            parts.push(Part {
                slice: slice.columns.iter().cloned().zip(values).collect(),
                refused: (rows.len() < needed).then_some(Reason::TooFewRows { needed }),
                rows,
            });
        }
    }
    let whole = Part {
        slice: BTreeMap::new(),
        rows: all,
        refused: None,
    };
    parts.insert(0, whole);
    parts
}

/// A metric of one part, of both versions.
struct Versions {
    name: MetricName,
    candidate: Prepared,
    baseline: Option<Prepared>,
    /// Whether the value itself has a bound.
    bounded: bool,
    /// How far the decrease can go at most.
    width: Option<f64>,
    range: (Option<f64>, Option<f64>),
}

impl Versions {
    fn decrease(&self, weights: &[f64]) -> Option<Value> {
        let baseline = self.baseline.as_ref()?.value(weights);
        let candidate = self.candidate.value(weights);
        let sign = if self.name.more_is_better() {
            1.0
        } else {
            -1.0
        };
        Some(candidate.and_then(|candidate| baseline.map(|baseline| sign * (baseline - candidate))))
    }
}

/// A metric of one part, with its estimates.
struct Judged {
    evidence: Evidence,
    value: Result<Option<Estimate>, Reason>,
    decrease: Result<Option<Estimate>, Reason>,
}

impl Judged {
    fn refused(rows: usize, reason: &Reason) -> Self {
        Self {
            evidence: empty(rows),
            value: Err(reason.clone()),
            decrease: Err(reason.clone()),
        }
    }

    fn open(
        self,
        metric: &MetricGate,
        place: Option<&str>,
        slice: &BTreeMap<String, String>,
    ) -> Vec<Open> {
        let bounds = [
            (Requirement::LowerBound, metric.lower_bound),
            (Requirement::UpperBound, metric.upper_bound),
            (Requirement::MaxDecrease, metric.max_decrease),
        ];
        let given = bounds
            .into_iter()
            .filter_map(|(what, bound)| Some((what, bound?)));
        let open = given.map(|(requirement, bound)| {
            let mut evidence = self.evidence.clone();
            let estimate = match requirement {
                Requirement::MaxDecrease => &self.decrease,
                Requirement::LowerBound | Requirement::UpperBound => {
                    evidence.baseline = None;
                    evidence.decrease = None;
                    evidence.mc_nemar = None;
                    &self.value
                }
            };
            let estimate = match estimate {
                Ok(estimate) => estimate.clone(),
                Err(reason) => {
                    evidence.reason = reason.clone();
                    None
                }
            };
            Open {
                place: place.map(str::to_owned),
                slice: slice.clone(),
                metric: metric.clone(),
                requirement,
                bound,
                evidence,
                estimate,
            }
        });
        open.collect()
    }
}

fn empty(rows: usize) -> Evidence {
    Evidence {
        rows,
        value: None,
        baseline: None,
        decrease: None,
        interval: None,
        mc_nemar: None,
        reason: Reason::Straddles,
    }
}

/// Every metric of the rows, in the order of the gate. Draws are shared: metrics of one
/// report speak of the same samples.
fn judged(
    gate: &Gate,
    metrics: &[Metric],
    place: &Place<'_>,
    rows: &[usize],
    random: &mut Random,
) -> Result<Vec<Judged>, JudgeError> {
    // All rows are most of the time what is asked for, and a copy of them takes as much again.
    let all = rows.len() == place.candidate.truth().rows();
    let answers_of = |answers| {
        if all {
            Cow::Borrowed(answers)
        } else {
            Cow::Owned(Answers::pick(answers, rows))
        }
    };
    let truth = match place.candidate.truth() {
        truth if all => Cow::Borrowed(truth),
        truth => Cow::Owned(truth.pick(rows)),
    };
    let answers = answers_of(place.candidate.answers());
    let incumbent = place
        .baseline
        .map(|baseline| answers_of(baseline.answers()));
    let weights = picked(place.candidate.weights(), rows);
    let mut versions = vec![];
    for (index, (metric, of)) in gate.metrics.iter().zip(metrics).enumerate() {
        let wrong = |source| JudgeError::Metric { index, source };
        let compared = incumbent
            .as_deref()
            .filter(|_| metric.max_decrease.is_some());
        let baseline = compared.map(|answers| Prepared::of(of, metric.name, &truth, answers));
        let range = of.range(classes(&truth));
        versions.push(Versions {
            name: metric.name,
            candidate: Prepared::of(of, metric.name, &truth, &answers).map_err(wrong)?,
            baseline: baseline.transpose().map_err(wrong)?,
            bounded: metric.lower_bound.is_some() || metric.upper_bound.is_some(),
            width: range.0.zip(range.1).map(|(low, high)| high - low),
            range,
        });
    }
    let samples = sample(&versions, &weights, gate.confidence.resamples, random);
    let judged = versions.iter().zip(samples).map(|(versions, samples)| {
        let mut judged = conclude(versions, &weights, &samples);
        if versions.name == MetricName::Accuracy && versions.baseline.is_some() {
            judged.evidence.mc_nemar = incumbent
                .as_deref()
                .map(|other| mc_nemar(&truth, &answers, other));
        }
        judged
    });
    Ok(judged.collect())
}

fn classes(truth: &Truth) -> usize {
    match truth {
        Truth::Classes(labels, _) | Truth::Multilabel(labels, _) => labels.names().len(),
        Truth::Numbers(_) => 0,
    }
}

/// Values of one metric on draws, and on what is left when groups are out.
#[derive(Default)]
struct Samples {
    value_draws: Vec<Value>,
    value_left: Vec<Value>,
    decrease_draws: Vec<Value>,
    decrease_left: Vec<Value>,
}

fn sample(
    versions: &[Versions],
    weights: &[f64],
    resamples: usize,
    random: &mut Random,
) -> Vec<Samples> {
    let mut samples: Vec<Samples> = versions.iter().map(|_| Samples::default()).collect();
    let drawn: Vec<bool> = versions
        .iter()
        .map(|versions| versions.bounded && exact(versions, weights).is_none())
        .collect();
    if !drawn.contains(&true) && versions.iter().all(|versions| versions.baseline.is_none()) {
        return samples;
    }
    resample(weights, resamples, random, |weights| {
        for ((versions, samples), drawn) in versions.iter().zip(&mut samples).zip(&drawn) {
            if *drawn {
                samples.value_draws.push(versions.candidate.value(weights));
            }
            samples.decrease_draws.extend(versions.decrease(weights));
        }
    });
    leave_out(weights, |weights| {
        for ((versions, samples), drawn) in versions.iter().zip(&mut samples).zip(&drawn) {
            if *drawn {
                samples.value_left.push(versions.candidate.value(weights));
            }
            samples.decrease_left.extend(versions.decrease(weights));
        }
    });
    samples
}

/// The exact estimate, where rows weigh the same and the metric is a share of them.
fn exact(versions: &Versions, weights: &[f64]) -> Option<Estimate> {
    let first = weights.first()?;
    if weights.iter().any(|weight| (weight - first).abs() > 0.0) {
        return None;
    }
    let (successes, trials) = versions.candidate.share(weights.len())?;
    Some(Estimate::Exact { successes, trials })
}

fn conclude(versions: &Versions, weights: &[f64], samples: &Samples) -> Judged {
    let mut evidence = empty(weights.len());
    let value = versions.candidate.value(weights);
    evidence.value = value.ok();
    let rows = versions.candidate.rows(weights.len());
    let (floor, ceiling) = versions.range;
    let estimate = value.map_err(Reason::Undefined).map(|value| {
        let from_draws = || {
            let draws = Draws::new(value, &samples.value_draws, &samples.value_left);
            Estimate::from_draws(draws, rows, floor, ceiling)
        };
        let bounded = Some(()).filter(|()| versions.bounded);
        bounded.map(|()| exact(versions, weights).unwrap_or_else(from_draws))
    });
    let other = versions
        .baseline
        .as_ref()
        .map(|baseline| baseline.value(weights));
    evidence.baseline = other.and_then(Value::ok);
    let decrease = versions.decrease(weights);
    evidence.decrease = decrease.and_then(Value::ok);
    let decrease = match (value, other, decrease) {
        (Err(reason), _, _) => Err(Reason::Undefined(reason)),
        (Ok(_), Some(Err(reason)), _) => Err(Reason::BaselineUndefined(reason)),
        (Ok(_), Some(Ok(_)), Some(Ok(decrease))) => {
            let draws = Draws::new(decrease, &samples.decrease_draws, &samples.decrease_left);
            let floor = versions.width.map(|width| -width);
            Ok(Some(Estimate::from_draws(
                draws,
                rows,
                floor,
                versions.width,
            )))
        }
        (Ok(_), Some(Ok(_)), Some(Err(_)) | None) => Err(Reason::Undefined(Undefined::Overflow)),
        (Ok(_), None, _) => Err(Reason::NoBaseline),
    };
    Judged {
        evidence,
        value: estimate,
        decrease,
    }
}

fn mc_nemar(truth: &Truth, candidate: &Answers, baseline: &Answers) -> McNemar {
    let rows = 0..truth.rows();
    let right = |answers: &Answers, row: usize| match (truth, answers) {
        (Truth::Classes(_, truth), Answers::Classes(said, _)) => truth[row] == said[row],
        (Truth::Multilabel(_, truth), Answers::Multilabel(said, _)) => truth[row] == said[row],
        // Numbers have no accuracy.
        _ => false,
    };
    McNemar::new(
        rows.clone().map(|row| right(candidate, row)),
        rows.map(|row| right(baseline, row)),
    )
}
