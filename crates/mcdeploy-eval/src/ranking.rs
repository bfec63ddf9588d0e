//! Metrics of order: areas and curves. A score of a class says more the larger it is.
//!
//! Rows are sorted once; every weighting of them then costs one pass, which is what makes
//! resampling cheap.
//!
//! **Source:** scikit-learn 1.9.1, `roc_auc_score` and `average_precision_score`
//! (2026-11-30). One-vs-one is Hand and Till (2001): classes without rows take no part in
//! it, while one-vs-rest is undefined then. scikit-learn has no weights for one-vs-one;
//! here they count rows.

use crate::value::{Undefined, Value, mean};

/// Rows by falling score of one class.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Small numbers: passes over them are bound by memory.
    order: Vec<u32>,
    /// Where each run of equal scores ends in `order`.
    ends: Vec<u32>,
    scores: Vec<f64>,
}

/// A point of a ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Share of other rows at or above the threshold.
    pub false_positive_rate: f64,
    /// Share of the class's rows at or above the threshold.
    pub true_positive_rate: f64,
    /// None: above every score.
    pub threshold: Option<f64>,
}

/// A point of a curve of precision by recall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrPoint {
    /// Of the rows at or above the threshold, the share that is of the class.
    pub precision: f64,
    /// Share of the class's rows at or above the threshold.
    pub recall: f64,
    /// None: above every score, where precision is 1 by agreement.
    pub threshold: Option<f64>,
}

impl Ranking {
    /// Sorts rows by `scores`, which are numbers. Fewer than 2^32 of them.
    pub fn new(scores: Vec<f64>) -> Self {
        // Half of the score and the row in one number, which sorts without looking a score up.
        let keyed = scores.iter().zip(0_u64..);
        let mut keyed: Vec<u64> = keyed
            .map(|(score, row)| (falling(*score) >> 32 << 32) | row)
            .collect();
        keyed.sort_unstable();
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the row")]
        let mut order: Vec<u32> = keyed.iter().map(|key| *key as u32).collect();
        // What has the same half is next to each other; the sort is stable.
        let mut start = 0;
        for run in keyed.chunk_by(|a, b| a >> 32 == b >> 32) {
            let rows = &mut order[start..start + run.len()];
            start += run.len();
            if rows.len() > 1 {
                rows.sort_by_key(|row| falling(scores[*row as usize]));
            }
        }
        let mut ends = vec![];
        let score = |row: u32| scores[row as usize];
        for (end, (row, next)) in (1_u32..).zip(order.iter().zip(order.iter().skip(1))) {
            if score(*next) < score(*row) {
                ends.push(end);
            }
        }
        ends.extend((1_u32..).zip(&order).last().map(|(end, _)| end));
        Self {
            order,
            ends,
            scores,
        }
    }

    fn runs(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.order[start as usize..*end as usize])
    }

    /// Weight of pairs of a row of `class` and any other in which the former has the larger
    /// score, ties count half; weight of rows of `class`; and of others.
    fn apart(&self, truth: &[usize], class: usize, weights: &[f64]) -> (f64, f64, f64) {
        let (mut pairs, mut own, mut others) = (0.0, 0.0, 0.0);
        for run in self.runs() {
            if let [row] = run {
                let row = *row as usize;
                if truth[row] == class {
                    own += weights[row];
                } else {
                    pairs += weights[row] * own;
                    others += weights[row];
                }
                continue;
            }
            let (mut own_here, mut others_here) = (0.0, 0.0);
            for row in run {
                let row = *row as usize;
                if truth[row] == class {
                    own_here += weights[row];
                } else {
                    others_here += weights[row];
                }
            }
            pairs += others_here * (own + own_here / 2.0);
            own += own_here;
            others += others_here;
        }
        (pairs, own, others)
    }

    /// Weight of pairs of a row of `class` and one of each other class in which the former
    /// has the larger score; ties count half. One entry per class.
    fn concordant(
        &self,
        classes: usize,
        truth: &[usize],
        class: usize,
        weights: &[f64],
    ) -> Vec<f64> {
        let mut pairs = vec![0.0; classes];
        let mut above = 0.0;
        for run in self.runs() {
            let rows = || run.iter().map(|row| *row as usize);
            let own = rows().filter(|row| truth[*row] == class);
            let here: f64 = own.map(|row| weights[row]).sum();
            for row in rows().filter(|row| truth[*row] != class) {
                pairs[truth[row]] += weights[row] * (above + here / 2.0);
            }
            above += here;
        }
        pairs
    }

    /// Area under the ROC curve of `class` against all others, between 0 and 1.
    ///
    /// # Errors
    /// [`Undefined`] when the class, or everything else, has no row.
    pub fn auc(&self, truth: &[usize], class: usize, weights: &[f64]) -> Value {
        area(self.apart(truth, class, weights), class)
    }

    /// Mean precision over the recall that each threshold adds, between 0 and 1.
    ///
    /// # Errors
    /// [`Undefined::ClassAbsent`].
    pub fn average_precision(&self, truth: &[usize], class: usize, weights: &[f64]) -> Value {
        let (mut own, mut all, mut sum) = (0.0, 0.0, 0.0);
        for run in self.runs() {
            let mut added = 0.0;
            for row in run {
                let row = *row as usize;
                all += weights[row];
                if truth[row] == class {
                    added += weights[row];
                }
            }
            own += added;
            if added > 0.0 {
                sum += added * own / all;
            }
        }
        mean(sum, own, Undefined::ClassAbsent { class })
    }

    /// The ROC curve from (0, 0) to (1, 1), one point per distinct score of a row with weight.
    ///
    /// # Errors
    /// As [`Ranking::auc`].
    pub fn roc_curve(
        &self,
        truth: &[usize],
        class: usize,
        weights: &[f64],
    ) -> Result<Vec<RocPoint>, Undefined> {
        let steps = self.steps(truth, class, weights);
        let (own, others) = steps.last().map_or((0.0, 0.0), |step| (step.0, step.1));
        if own <= 0.0 {
            return Err(Undefined::ClassAbsent { class });
        }
        if others <= 0.0 {
            return Err(Undefined::OnlyClass { class });
        }
        let start = RocPoint {
            false_positive_rate: 0.0,
            true_positive_rate: 0.0,
            threshold: None,
        };
        let points = steps.into_iter().map(|(hits, misses, threshold)| RocPoint {
            false_positive_rate: misses / others,
            true_positive_rate: hits / own,
            threshold: Some(threshold),
        });
        Ok(std::iter::once(start).chain(points).collect())
    }

    /// The curve of precision by recall, from recall 1 down to 0.
    ///
    /// # Errors
    /// [`Undefined::ClassAbsent`].
    pub fn pr_curve(
        &self,
        truth: &[usize],
        class: usize,
        weights: &[f64],
    ) -> Result<Vec<PrPoint>, Undefined> {
        let steps = self.steps(truth, class, weights);
        let own = steps.last().map_or(0.0, |step| step.0);
        if own <= 0.0 {
            return Err(Undefined::ClassAbsent { class });
        }
        let points = steps
            .into_iter()
            .rev()
            .map(|(hits, misses, threshold)| PrPoint {
                precision: hits / (hits + misses),
                recall: hits / own,
                threshold: Some(threshold),
            });
        let end = PrPoint {
            precision: 1.0,
            recall: 0.0,
            threshold: None,
        };
        Ok(points.chain(std::iter::once(end)).collect())
    }

    /// Weights of the class's rows and of others at or above each distinct score.
    fn steps(&self, truth: &[usize], class: usize, weights: &[f64]) -> Vec<(f64, f64, f64)> {
        let (mut own, mut others) = (0.0, 0.0);
        let mut steps = vec![];
        for run in self.runs() {
            let before = own + others;
            for row in run {
                let row = *row as usize;
                if truth[row] == class {
                    own += weights[row];
                } else {
                    others += weights[row];
                }
            }
            if own + others > before {
                steps.push((own, others, self.scores[run[0] as usize]));
            }
        }
        steps
    }
}

/// Weight of rows by class.
pub(crate) fn class_weights(classes: usize, truth: &[usize], weights: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; classes];
    for (class, weight) in truth.iter().zip(weights) {
        sums[*class] += weight;
    }
    sums
}

/// A number that is smaller the larger the score is.
fn falling(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = score.to_bits();
    let rising = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    !rising
}

/// From pairs, weight of the class and weight of others.
fn area((pairs, own, others): (f64, f64, f64), class: usize) -> Value {
    if own <= 0.0 {
        return Err(Undefined::ClassAbsent { class });
    }
    mean(pairs / own, others, Undefined::OnlyClass { class })
}

/// Mean area over classes, each against all others; `by_weight`: by the weight of their rows.
/// `rankings` has one entry per class.
///
/// # Errors
/// [`Undefined`] when a class has no row.
pub fn auc_one_vs_rest(
    rankings: &[Ranking],
    truth: &[usize],
    weights: &[f64],
    by_weight: bool,
) -> Value {
    let (mut sum, mut total) = (0.0, 0.0);
    for (class, ranking) in rankings.iter().enumerate() {
        let apart = ranking.apart(truth, class, weights);
        let share = if by_weight { apart.1 } else { 1.0 };
        sum += share * area(apart, class)?;
        total += share;
    }
    mean(sum, total, Undefined::NoData)
}

/// Mean area over pairs of classes that occur, each class of a pair against the other;
/// `by_weight`: by the weight of a pair's rows. `rankings` has one entry per class.
///
/// # Errors
/// [`Undefined::OneClass`] when there is no pair.
pub fn auc_one_vs_one(
    rankings: &[Ranking],
    truth: &[usize],
    weights: &[f64],
    by_weight: bool,
) -> Value {
    let classes = rankings.len();
    let sums = class_weights(classes, truth, weights);
    let (mut sum, mut total) = (0.0, 0.0);
    for (class, ranking) in rankings.iter().enumerate().filter(|(c, _)| sums[*c] > 0.0) {
        let pairs = ranking.concordant(classes, truth, class, weights);
        for other in (0..classes).filter(|other| *other != class && sums[*other] > 0.0) {
            let share = if by_weight {
                sums[class] + sums[other]
            } else {
                1.0
            };
            sum += share * pairs[other] / (sums[class] * sums[other]);
            total += share;
        }
    }
    mean(sum, total, Undefined::OneClass)
}

/// Mean average precision over classes; `by_weight`: by the weight of their rows.
/// `rankings` has one entry per class.
///
/// # Errors
/// [`Undefined::ClassAbsent`].
pub fn mean_average_precision(
    rankings: &[Ranking],
    truth: &[usize],
    weights: &[f64],
    by_weight: bool,
) -> Value {
    let sums = class_weights(rankings.len(), truth, weights);
    let (mut sum, mut total) = (0.0, 0.0);
    for (class, ranking) in rankings.iter().enumerate() {
        let share = if by_weight { sums[class] } else { 1.0 };
        sum += share * ranking.average_precision(truth, class, weights)?;
        total += share;
    }
    mean(sum, total, Undefined::NoData)
}
