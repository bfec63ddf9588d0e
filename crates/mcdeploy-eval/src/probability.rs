//! Metrics of probabilities, each from one number a row.
//!
//! **Source:** scikit-learn 1.9.1 (2026-11-30): `log_loss` clips to the machine epsilon;
//! `brier_score_loss` is halved for two classes and not for more; `top_k_accuracy_score`
//! takes the later class of a tie first. Expected calibration error: Guo et al. (2017), of
//! the answer's own probability, in bins of equal width that are open below.

use crate::value::{Undefined, Value, mean, number};

/// Loss of a row: the negative logarithm of its class's probability, in nats.
pub fn log_loss(row: &[f64], truth: usize) -> f64 {
    -row[truth].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// Loss of a row: squared distance of probabilities and truth, 0 to 2, or to 1 for two classes.
pub fn brier(row: &[f64], truth: usize) -> f64 {
    let squares = row.iter().enumerate().map(|(class, probability)| {
        let wanted = if class == truth { 1.0 } else { 0.0 };
        (probability - wanted) * (probability - wanted)
    });
    let sum: f64 = squares.sum();
    if row.len() == 2 { sum / 2.0 } else { sum }
}

/// Whether the class is among the `k` with the largest scores.
pub fn in_top(row: &[f64], truth: usize, k: usize) -> bool {
    let own = row[truth];
    let better = row.iter().enumerate().filter(|(class, score)| {
        // A tie goes to the later class, as a reversed stable sort does.
        **score > own || (**score >= own && *class > truth)
    });
    better.count() < k
}

/// Mean distance of confidence and accuracy over `bins` bins, between 0 and 1. `answers`
/// has an entry per row: the probability of the answer, and whether it was right.
///
/// # Errors
/// [`Undefined::NoData`].
pub fn calibration_error(answers: &[(f64, bool)], weights: &[f64], bins: usize) -> Value {
    let mut sums = vec![0.0; bins.max(1)];
    let mut total = 0.0;
    for ((confidence, right), weight) in answers.iter().zip(weights) {
        let hit = if *right { 1.0 } else { 0.0 };
        sums[bin(*confidence, bins)] += weight * (hit - confidence);
        total += weight;
    }
    let distance: f64 = sums.iter().map(|sum| sum.abs()).sum();
    mean(distance, total, Undefined::NoData)
}

/// Index of the bin `(index / bins, (index + 1) / bins]`; 0 is in the first.
fn bin(confidence: f64, bins: usize) -> usize {
    let edge = |index: usize| number(index + 1) / number(bins);
    (0..bins.saturating_sub(1))
        .find(|index| confidence <= edge(*index))
        .unwrap_or(bins.saturating_sub(1))
}
