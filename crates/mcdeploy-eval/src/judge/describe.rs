//! Values with their intervals, of metrics that have no bound: for people who look.

use std::collections::BTreeMap;

use super::{JudgeError, Place, collect};
use crate::{
    gate::{Confidence, Gate, MetricGate, SliceGate, WhenInconclusive},
    interval::Estimate,
    report::{Reason, Requirement},
};

/// A metric on a part of the rows. Intervals are each for itself, not corrected for others.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Values of the columns that make the slice; empty for all rows.
    pub slice: BTreeMap<String, String>,
    /// The metric.
    pub metric: MetricGate,
    /// Rows with any weight.
    pub rows: usize,
    /// The candidate's value.
    pub value: Option<f64>,
    /// Ends of its interval, where they are known.
    pub interval: (Option<f64>, Option<f64>),
    /// Why there is no value.
    pub reason: Option<Reason>,
    /// The incumbent's value.
    pub baseline: Option<f64>,
    /// How much worse the candidate is; negative when it is better.
    pub decrease: Option<f64>,
    /// Ends of the decrease's interval.
    pub decrease_interval: (Option<f64>, Option<f64>),
}

/// Computes `metrics`, of which bounds are ignored, on all rows and then on each slice.
///
/// # Errors
/// [`JudgeError`].
pub fn describe(
    metrics: &[MetricGate],
    slices: &[SliceGate],
    confidence: Confidence,
    place: &Place<'_>,
) -> Result<Vec<Described>, JudgeError> {
    let compared = place.baseline.is_some();
    let measured = metrics.iter().cloned().map(|metric| MetricGate {
        // Every number is above: the bound is only there to have the value drawn.
        lower_bound: Some(f64::MIN),
        upper_bound: None,
        max_decrease: compared.then_some(0.0),
        ..metric
    });
    let gate = Gate {
        metrics: measured.collect(),
        slices: slices.to_vec(),
        confidence,
        inconclusive: WhenInconclusive::Hold,
    };
    super::check_gate(&gate)?;
    let alpha = 1.0 - confidence.level;
    let ends = |estimate: &Option<Estimate>| {
        let ends = estimate.as_ref();
        ends.map_or((None, None), |one| (one.low(alpha), one.high(alpha)))
    };
    let mut described: Vec<Described> = vec![];
    for open in collect::checks(&gate, place)? {
        match (open.requirement, described.last_mut()) {
            (Requirement::MaxDecrease, Some(last)) => {
                last.baseline = open.evidence.baseline;
                last.decrease = open.evidence.decrease;
                last.decrease_interval = ends(&open.estimate);
            }
            (Requirement::MaxDecrease | Requirement::LowerBound | Requirement::UpperBound, _) => {
                described.push(Described {
                    interval: ends(&open.estimate),
                    reason: open.estimate.is_none().then_some(open.evidence.reason),
                    slice: open.slice,
                    metric: MetricGate {
                        lower_bound: None,
                        max_decrease: None,
                        ..open.metric
                    },
                    rows: open.evidence.rows,
                    value: open.evidence.value,
                    baseline: None,
                    decrease: None,
                    decrease_interval: (None, None),
                });
            }
        }
    }
    Ok(described)
}
