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
    order: Vec<usize>,
    /// Where each run of equal scores ends in `order`.
    ends: Vec<usize>,
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
    /// Sorts rows by `scores`, which are numbers.
    pub fn new(scores: Vec<f64>) -> Self {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut ends = vec![];
        for place in 1..=order.len() {
            let same = |next: &usize| scores[*next] >= scores[order[place - 1]];
            if !order.get(place).is_some_and(same) {
                ends.push(place);
            }
        }
        Self {
            order,
            ends,
            scores,
        }
    }

    fn runs(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.order[start..*end])
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
            if let [row] = run {
                if truth[*row] == class {
                    above += weights[*row];
                } else {
                    pairs[truth[*row]] += weights[*row] * above;
                }
                continue;
            }
            let own = run.iter().filter(|row| truth[**row] == class);
            let here: f64 = own.map(|row| weights[*row]).sum();
            for row in run.iter().filter(|row| truth[**row] != class) {
                pairs[truth[*row]] += weights[*row] * (above + here / 2.0);
            }
            above += here;
        }
        pairs
    }

    /// Area under the ROC curve of `class` against all others, between 0 and 1.
    ///
    /// # Errors
    /// [`Undefined`] when the class, or everything else, has no row.
    pub fn auc(&self, classes: usize, truth: &[usize], class: usize, weights: &[f64]) -> Value {
        let sums = class_weights(classes, truth, weights);
        let own = sums.get(class).copied().unwrap_or(0.0);
        let others = others(&sums, class);
        if own <= 0.0 {
            return Err(Undefined::ClassAbsent { class });
        }
        let pairs: f64 = self.concordant(classes, truth, class, weights).iter().sum();
        mean(pairs / own, others, Undefined::OnlyClass { class })
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
                all += weights[*row];
                if truth[*row] == class {
                    added += weights[*row];
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
                if truth[*row] == class {
                    own += weights[*row];
                } else {
                    others += weights[*row];
                }
            }
            if own + others > before {
                steps.push((own, others, self.scores[run[0]]));
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

fn others(sums: &[f64], class: usize) -> f64 {
    let rest = sums.iter().enumerate().filter(|(other, _)| *other != class);
    rest.map(|(_, weight)| weight).sum()
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
    let classes = rankings.len();
    let sums = class_weights(classes, truth, weights);
    let (mut sum, mut total) = (0.0, 0.0);
    for (class, ranking) in rankings.iter().enumerate() {
        let share = if by_weight { sums[class] } else { 1.0 };
        sum += share * ranking.auc(classes, truth, class, weights)?;
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
