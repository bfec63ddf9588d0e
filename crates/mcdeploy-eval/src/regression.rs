//! Metrics of numbers.
//!
//! **Source:** scikit-learn 1.9.1 (2026-11-30): `mean_absolute_percentage_error` divides by
//! the machine epsilon where the truth is 0; `r2_score` of a constant truth is what
//! `force_finite=False` says, which is no number.

use crate::value::{Undefined, Value, finite, mean};

/// Loss of a row: distance, in units of the truth.
pub fn absolute(truth: f64, answer: f64) -> f64 {
    (truth - answer).abs()
}

/// Loss of a row: squared distance.
pub fn squared(truth: f64, answer: f64) -> f64 {
    (truth - answer) * (truth - answer)
}

/// Loss of a row: distance as a share of the truth. 0.1 is ten percent.
pub fn percentage(truth: f64, answer: f64) -> f64 {
    absolute(truth, answer) / truth.abs().max(f64::EPSILON)
}

/// Share of the truth's variance that the answers explain, at most 1. All slices have one
/// entry per row.
///
/// # Errors
/// [`Undefined`] with fewer than two rows, or when the truth is constant.
pub fn r2(truth: &[f64], answers: &[f64], weights: &[f64]) -> Value {
    let mut weighted = (0..truth.len()).filter(|row| weights[*row] > 0.0);
    let Some(first) = weighted.next() else {
        return Err(Undefined::NoData);
    };
    let (mut total, mut sum, mut varies, mut rows) = (weights[first], 0.0, false, 1);
    // Relative to the first row: digits of a large common part would hide the variance.
    let origin = truth[first];
    for row in weighted {
        total += weights[row];
        sum += weights[row] * (truth[row] - origin);
        varies |= (truth[row] - origin).abs() > 0.0;
        rows += 1;
    }
    if rows < 2 {
        return Err(Undefined::TooFewRows { needed: 2 });
    }
    if !varies {
        return Err(Undefined::Constant);
    }
    let centre = origin + finite(sum / total)?;
    let (mut left, mut whole) = (0.0, 0.0);
    for row in 0..truth.len() {
        left += weights[row] * squared(truth[row], answers[row]);
        whole += weights[row] * squared(truth[row], centre);
    }
    mean(left, whole, Undefined::Constant).map(|ratio| 1.0 - ratio)
}
