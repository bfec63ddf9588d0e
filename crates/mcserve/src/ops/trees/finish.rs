//! From summed votes to scores and labels, as onnxruntime does. Pure.
//!
//! Where onnxruntime and the specification differ, exporters check against onnxruntime:
//! two classes whose votes are all for the first are one score, of the second class.
//!
//! **Source:**
//! <https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/providers/cpu/ml/tree_ensemble_aggregator.h>,
//! 2026-11-30.

use super::forest::{Forest, Vote};

/// What is done with the scores at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
}

/// How the votes of several trees become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// Where the scores of a classifier come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One score for each class.
    Each,
    /// Two classes and one score, which is that of the second.
    OneScore {
        /// No vote is negative: the score is a probability and not a margin.
        probability: bool,
    },
}

impl Layout {
    /// `None` where implementations differ: two classes, and all votes for the second.
    pub(super) fn of(votes: &[Vote], classes: usize) -> Option<Self> {
        let all_for = |target| votes.iter().all(|vote| vote.target == target);
        match classes {
            2 if all_for(0) => Some(Self::OneScore {
                probability: votes.iter().all(|vote| vote.weight >= 0.0),
            }),
            2 if all_for(1) => None,
            _ => Some(Self::Each),
        }
    }

    /// Base values that fit.
    pub(super) fn takes(self, base: usize, classes: usize) -> bool {
        match self {
            Self::Each => base == 0 || base == classes,
            Self::OneScore { .. } => base <= 1,
        }
    }
}

/// Turns sums into scores, in place; gives the column of the label.
pub(super) fn classify(sums: &mut [f64], layout: Layout, transform: Transform) -> usize {
    match layout {
        Layout::Each => {
            let mut best = 0;
            for (column, sum) in sums.iter().enumerate() {
                if *sum > sums[best] {
                    best = column;
                }
            }
            transform_all(sums, transform);
            best
        }
        Layout::OneScore { probability } => {
            let score = sums[0];
            let limit = if probability { 0.5 } else { 0.0 };
            let (first, second) = match (transform, probability) {
                (Transform::Logistic, _) => (logistic(-score), logistic(score)),
                (Transform::None | Transform::Softmax, true) => (1.0 - score, score),
                (Transform::None | Transform::Softmax, false) => (-score, score),
            };
            sums[0] = first;
            sums[1] = second;
            usize::from(score > limit)
        }
    }
}

fn transform_all(scores: &mut [f64], transform: Transform) {
    match transform {
        Transform::None => {}
        Transform::Logistic => {
            for score in scores {
                *score = logistic(*score);
            }
        }
        Transform::Softmax => {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            for score in scores.iter_mut() {
                *score = (*score - largest).exp();
                sum += *score;
            }
            for score in scores {
                *score /= sum;
            }
        }
    }
}

fn logistic(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// The values of a row, with the base of each.
pub(super) fn aggregate<T: Copy + Into<f64>>(
    forest: &Forest,
    row: &[T],
    how: Aggregate,
    base: &[f64],
    values: &mut [f64],
) {
    match how {
        Aggregate::Sum | Aggregate::Average => {
            values.fill(0.0);
            for vote in forest.votes(row) {
                values[vote.target] += vote.weight;
            }
        }
        Aggregate::Min | Aggregate::Max => {
            values.fill(f64::NAN);
            // `min` and `max` of NaN and a number are the number.
            for vote in forest.votes(row) {
                let value = &mut values[vote.target];
                *value = if how == Aggregate::Min {
                    value.min(vote.weight)
                } else {
                    value.max(vote.weight)
                };
            }
            for value in values.iter_mut().filter(|value| value.is_nan()) {
                *value = 0.0;
            }
        }
    }
    if how == Aggregate::Average {
        #[expect(clippy::cast_precision_loss, reason = "nobody has that many trees")]
        let trees = forest.roots.len() as f64;
        for value in values.iter_mut() {
            *value /= trees;
        }
    }
    for (value, base) in values.iter_mut().zip(base) {
        *value += base;
    }
}

#[cfg(test)]
mod tests;
