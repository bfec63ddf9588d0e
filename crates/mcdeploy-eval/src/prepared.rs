//! A metric made ready for rows, so that it costs one pass for every weighting of them.

use crate::{
    confusion::ConfusionMatrix,
    counts::{Average, Counts, Rate, ZeroDivision, average_rate, class_rate},
    gate::{MetricName, MultiClass},
    input::{Answers, Candidate, ScoreKind, Scores, Truth},
    metric::{Metric, MetricError, Scope},
    probability,
    ranking::{self, Ranking, class_weights},
    regression,
    value::{Undefined, Value, finite, mean},
};

/// A metric of certain rows, for any weights of them.
#[derive(Clone, Debug)]
pub struct Prepared {
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    /// Mean of a number per row.
    Mean {
        losses: Vec<f64>,
        share: bool,
    },
    /// Root of it.
    Root(Vec<f64>),
    /// From the confusion matrix.
    Confusion {
        classes: usize,
        truth: Vec<usize>,
        predicted: Vec<usize>,
        of: Metric,
    },
    /// From a two-by-two table per label.
    Tables {
        truth: Vec<Vec<bool>>,
        predicted: Vec<Vec<bool>>,
        labels: usize,
        rate: Rate,
        scope: Scope,
        zero_division: ZeroDivision,
    },
    /// From the order of scores; one ranking per class.
    Order {
        rankings: Vec<Ranking>,
        truth: Vec<usize>,
        of: Metric,
    },
    /// From the order of scores of each label; truth is 0 or 1.
    LabelOrder {
        labels: Vec<(Ranking, Vec<usize>)>,
        area: bool,
        scope: Scope,
    },
    /// Confidence, and whether the answer was right.
    Calibration {
        answers: Vec<(f64, bool)>,
        bins: usize,
    },
    Variance {
        truth: Vec<f64>,
        answers: Vec<f64>,
    },
    /// The same whatever the rows.
    Never(Undefined),
}

impl Prepared {
    /// Makes `metric` ready for the candidate's rows.
    ///
    /// # Errors
    /// [`MetricError`] when the answers lack the scores that it needs, or it is of another task.
    pub fn new(
        metric: &Metric,
        name: MetricName,
        candidate: &Candidate,
    ) -> Result<Self, MetricError> {
        Self::of(metric, name, candidate.truth(), candidate.answers())
    }

    pub(crate) fn of(
        metric: &Metric,
        name: MetricName,
        truth: &Truth,
        answers: &Answers,
    ) -> Result<Self, MetricError> {
        let work = match (truth, answers) {
            (Truth::Classes(labels, truth), Answers::Classes(predicted, scores)) => {
                let classes = labels.names().len();
                of_classes(metric, name, classes, truth, predicted, scores.as_ref())?
            }
            (Truth::Multilabel(labels, truth), Answers::Multilabel(predicted, scores)) => {
                let labels = labels.names().len();
                of_labels(metric, name, labels, truth, predicted, scores.as_ref())?
            }
            (Truth::Numbers(truth), Answers::Numbers(answers)) => {
                of_numbers(metric, truth, answers)
                    .ok_or(other_task(name, &Truth::Numbers(vec![])))?
            }
            (truth, _) => return Err(other_task(name, truth)),
        };
        Ok(Self { work })
    }

    /// The value with a weight per row.
    ///
    /// # Errors
    /// [`Undefined`].
    pub fn value(&self, weights: &[f64]) -> Value {
        match &self.work {
            Work::Never(reason) => Err(*reason),
            Work::Mean { losses, .. } => weighted_mean(losses, weights),
            Work::Root(losses) => weighted_mean(losses, weights).map(f64::sqrt),
            Work::Variance { truth, answers } => regression::r2(truth, answers, weights),
            Work::Calibration { answers, bins } => {
                probability::calibration_error(answers, weights, *bins)
            }
            Work::Confusion {
                classes,
                truth,
                predicted,
                of,
            } => from_matrix(
                of,
                &ConfusionMatrix::new(*classes, truth, predicted, weights),
            ),
            Work::Tables {
                rate,
                scope,
                zero_division,
                ..
            } => rate_of(&self.tables(weights), *rate, *scope, *zero_division),
            Work::Order {
                rankings,
                truth,
                of,
            } => from_order(of, rankings, truth, weights),
            Work::LabelOrder {
                labels,
                area,
                scope,
            } => from_label_order(labels, *area, *scope, weights),
        }
        .and_then(finite)
    }

    /// Rows that count, and rows, if the metric is a share of equally weighted rows.
    pub(crate) fn share(&self, rows: usize) -> Option<(usize, usize)> {
        let ones = vec![1.0; rows];
        let counts = match &self.work {
            Work::Mean {
                losses,
                share: true,
            } => {
                let hits = losses.iter().filter(|loss| **loss > 0.5);
                return Some((hits.count(), rows));
            }
            Work::Confusion {
                classes,
                truth,
                predicted,
                of: Metric::Rate(rate, Scope::Class(class), _),
            } => {
                let matrix = ConfusionMatrix::new(*classes, truth, predicted, &ones);
                share_of(*rate, matrix.one_vs_rest()[*class])?
            }
            Work::Tables {
                rate,
                scope: Scope::Class(label),
                ..
            } => share_of(*rate, self.tables(&ones)[*label])?,
            Work::Mean { .. }
            | Work::Root(_)
            | Work::Confusion { .. }
            | Work::Tables { .. }
            | Work::Order { .. }
            | Work::LabelOrder { .. }
            | Work::Calibration { .. }
            | Work::Variance { .. }
            | Work::Never(_) => return None,
        };
        Some(counts).filter(|(_, trials)| *trials > 0)
    }

    /// Rows that the value rests on at its weakest: of the rarest class that occurs, where
    /// each class counts for itself.
    pub(crate) fn rows(&self, rows: usize) -> usize {
        let ones = vec![1.0; rows];
        let rarest = |classes: usize, truth: &[usize]| {
            let sums = class_weights(classes, truth, &ones);
            let least = sums.into_iter().filter(|sum| *sum > 0.0).reduce(f64::min);
            let least = least.unwrap_or(0.0);
            (0..=rows)
                .find(|count| crate::value::number(*count) >= least)
                .unwrap_or(rows)
        };
        match &self.work {
            Work::Confusion {
                classes, truth, of, ..
            } if !matches!(of, Metric::Cost(_)) => rarest(*classes, truth),
            Work::Order {
                rankings, truth, ..
            } => rarest(rankings.len(), truth),
            Work::LabelOrder { labels, .. } => {
                let each = labels.iter().map(|(_, truth)| rarest(2, truth));
                each.min().unwrap_or(rows)
            }
            Work::Mean { .. }
            | Work::Root(_)
            | Work::Confusion { .. }
            | Work::Tables { .. }
            | Work::Calibration { .. }
            | Work::Variance { .. }
            | Work::Never(_) => rows,
        }
    }

    fn tables(&self, weights: &[f64]) -> Vec<Counts> {
        let Work::Tables {
            truth,
            predicted,
            labels,
            ..
        } = &self.work
        else {
            return vec![];
        };
        let mut tables = vec![Counts::default(); *labels];
        for ((truth, predicted), weight) in truth.iter().zip(predicted).zip(weights) {
            for ((table, is), said) in tables.iter_mut().zip(truth).zip(predicted) {
                *match (is, said) {
                    (true, true) => &mut table.true_positive,
                    (true, false) => &mut table.false_negative,
                    (false, true) => &mut table.false_positive,
                    (false, false) => &mut table.true_negative,
                } += weight;
            }
        }
        tables
    }
}

fn other_task(name: MetricName, truth: &Truth) -> MetricError {
    let task = truth.task();
    MetricError::Task { name, task }
}

fn of_classes(
    metric: &Metric,
    name: MetricName,
    classes: usize,
    truth: &[usize],
    predicted: &[usize],
    scores: Option<&Scores>,
) -> Result<Work, MetricError> {
    let what = "scores";
    let with_scores = || scores.ok_or(MetricError::Scores { name, what });
    let with_probabilities = || {
        let scores = scores.filter(|scores| scores.kind == ScoreKind::Probability);
        let what = "probabilities";
        scores.ok_or(MetricError::Scores { name, what })
    };
    let each = |scores: &Scores, loss: &dyn Fn(&[f64], usize) -> f64, share| Work::Mean {
        losses: scores
            .rows
            .iter()
            .zip(truth)
            .map(|(row, class)| loss(row, *class))
            .collect(),
        share,
    };
    let one = |right: bool| if right { 1.0 } else { 0.0 };
    Ok(match metric {
        Metric::Accuracy => Work::Mean {
            losses: truth
                .iter()
                .zip(predicted)
                .map(|(a, b)| one(a == b))
                .collect(),
            share: true,
        },
        Metric::TopK(k) if *k >= classes => Work::Never(Undefined::EveryClassCounts),
        Metric::TopK(k) => {
            let hit = |row: &[f64], class| one(probability::in_top(row, class, *k));
            each(with_scores()?, &hit, true)
        }
        Metric::LogLoss => each(with_probabilities()?, &probability::log_loss, false),
        Metric::Brier => each(with_probabilities()?, &probability::brier, false),
        Metric::CalibrationError(bins) => {
            let rows = with_probabilities()?.rows.iter().zip(truth).zip(predicted);
            let answers = rows.map(|((row, truth), said)| (row[*said], truth == said));
            Work::Calibration {
                answers: answers.collect(),
                bins: *bins,
            }
        }
        Metric::RocAuc(..) | Metric::AveragePrecision(_) => Work::Order {
            rankings: rankings(with_scores()?, classes),
            truth: truth.to_vec(),
            of: metric.clone(),
        },
        Metric::BalancedAccuracy
        | Metric::Rate(..)
        | Metric::Mcc
        | Metric::CohenKappa
        | Metric::Cost(_) => Work::Confusion {
            classes,
            truth: truth.to_vec(),
            predicted: predicted.to_vec(),
            of: metric.clone(),
        },
        Metric::Mae | Metric::Rmse | Metric::R2 | Metric::Mape => {
            let task = crate::input::Task::Classes;
            return Err(MetricError::Task { name, task });
        }
    })
}

fn of_labels(
    metric: &Metric,
    name: MetricName,
    labels: usize,
    truth: &[Vec<bool>],
    predicted: &[Vec<bool>],
    scores: Option<&Scores>,
) -> Result<Work, MetricError> {
    let order = |area: bool, scope: Scope| {
        let what = "scores";
        let scores = scores.ok_or(MetricError::Scores { name, what })?;
        let truths =
            (0..labels).map(|label| truth.iter().map(|row| usize::from(row[label])).collect());
        Ok(Work::LabelOrder {
            labels: rankings(scores, labels).into_iter().zip(truths).collect(),
            area,
            scope,
        })
    };
    match metric {
        Metric::Accuracy => {
            let same = truth
                .iter()
                .zip(predicted)
                .map(|(a, b)| if a == b { 1.0 } else { 0.0 });
            Ok(Work::Mean {
                losses: same.collect(),
                share: true,
            })
        }
        Metric::Rate(rate, scope, zero_division) => Ok(Work::Tables {
            truth: truth.to_vec(),
            predicted: predicted.to_vec(),
            labels,
            rate: *rate,
            scope: *scope,
            zero_division: *zero_division,
        }),
        Metric::RocAuc(scope, _) => order(true, *scope),
        Metric::AveragePrecision(scope) => order(false, *scope),
        Metric::BalancedAccuracy
        | Metric::LogLoss
        | Metric::Brier
        | Metric::Mcc
        | Metric::CohenKappa
        | Metric::TopK(_)
        | Metric::CalibrationError(_)
        | Metric::Cost(_)
        | Metric::Mae
        | Metric::Rmse
        | Metric::R2
        | Metric::Mape => {
            let task = crate::input::Task::Multilabel;
            Err(MetricError::Task { name, task })
        }
    }
}

fn of_numbers(metric: &Metric, truth: &[f64], answers: &[f64]) -> Option<Work> {
    let each = |loss: fn(f64, f64) -> f64| -> Vec<f64> {
        truth
            .iter()
            .zip(answers)
            .map(|(a, b)| loss(*a, *b))
            .collect()
    };
    let plain = |losses| Work::Mean {
        losses,
        share: false,
    };
    match metric {
        Metric::Mae => Some(plain(each(regression::absolute))),
        Metric::Mape => Some(plain(each(regression::percentage))),
        Metric::Rmse => Some(Work::Root(each(regression::squared))),
        Metric::R2 => Some(Work::Variance {
            truth: truth.to_vec(),
            answers: answers.to_vec(),
        }),
        Metric::Accuracy
        | Metric::BalancedAccuracy
        | Metric::Rate(..)
        | Metric::RocAuc(..)
        | Metric::AveragePrecision(_)
        | Metric::LogLoss
        | Metric::Brier
        | Metric::Mcc
        | Metric::CohenKappa
        | Metric::TopK(_)
        | Metric::CalibrationError(_)
        | Metric::Cost(_) => None,
    }
}

fn rankings(scores: &Scores, columns: usize) -> Vec<Ranking> {
    // Row by row, as they lie in memory.
    let column = |_| Vec::with_capacity(scores.rows.len());
    let mut all: Vec<Vec<f64>> = (0..columns).map(column).collect();
    for row in &scores.rows {
        for (column, score) in all.iter_mut().zip(row) {
            column.push(*score);
        }
    }
    all.into_iter().map(Ranking::new).collect()
}

fn weighted_mean(losses: &[f64], weights: &[f64]) -> Value {
    let (mut sum, mut total) = (0.0, 0.0);
    for (loss, weight) in losses.iter().zip(weights) {
        sum += loss * weight;
        total += weight;
    }
    mean(sum, total, Undefined::NoData)
}

fn from_matrix(of: &Metric, matrix: &ConfusionMatrix) -> Value {
    match of {
        Metric::BalancedAccuracy => matrix.balanced_accuracy(),
        Metric::Mcc => matrix.matthews(),
        Metric::CohenKappa => matrix.kappa(),
        Metric::Cost(costs) => matrix.cost(costs),
        Metric::Rate(rate, scope, zero_division) => {
            rate_of(&matrix.one_vs_rest(), *rate, *scope, *zero_division)
        }
        // Nothing else is prepared so.
        Metric::Accuracy
        | Metric::RocAuc(..)
        | Metric::AveragePrecision(_)
        | Metric::LogLoss
        | Metric::Brier
        | Metric::TopK(_)
        | Metric::CalibrationError(_)
        | Metric::Mae
        | Metric::Rmse
        | Metric::R2
        | Metric::Mape => matrix.accuracy(),
    }
}

fn rate_of(tables: &[Counts], rate: Rate, scope: Scope, zero_division: ZeroDivision) -> Value {
    let total = |table: &Counts| table.support() + table.false_positive + table.true_negative;
    if !tables.iter().any(|table| total(table) > 0.0) {
        return Err(Undefined::NoData);
    }
    match scope {
        Scope::Average(average) => average_rate(tables, average, rate, zero_division),
        Scope::Class(class) => class_rate(tables, class, rate, zero_division),
    }
}

fn share_of(rate: Rate, table: Counts) -> Option<(usize, usize)> {
    let (hits, misses) = match rate {
        Rate::Precision => (table.true_positive, table.false_positive),
        Rate::Recall => (table.true_positive, table.false_negative),
        Rate::Specificity => (table.true_negative, table.false_positive),
        Rate::FBeta(_) => return None,
    };
    let whole = |count: f64| format!("{count:.0}").parse::<usize>().ok();
    let hits = whole(hits)?;
    Some((hits, hits + whole(misses)?))
}

fn from_order(of: &Metric, rankings: &[Ranking], truth: &[usize], weights: &[f64]) -> Value {
    match of {
        Metric::RocAuc(Scope::Class(class), _) => rankings[*class].auc(truth, *class, weights),
        Metric::RocAuc(Scope::Average(average), multi_class) => {
            let by_weight = *average == Average::Weighted;
            match multi_class {
                MultiClass::OneVsRest => {
                    ranking::auc_one_vs_rest(rankings, truth, weights, by_weight)
                }
                MultiClass::OneVsOne => {
                    ranking::auc_one_vs_one(rankings, truth, weights, by_weight)
                }
            }
        }
        Metric::AveragePrecision(Scope::Class(class)) => {
            rankings[*class].average_precision(truth, *class, weights)
        }
        Metric::AveragePrecision(Scope::Average(average)) => {
            let by_weight = *average == Average::Weighted;
            ranking::mean_average_precision(rankings, truth, weights, by_weight)
        }
        // Nothing else is prepared so.
        Metric::Accuracy
        | Metric::BalancedAccuracy
        | Metric::Rate(..)
        | Metric::LogLoss
        | Metric::Brier
        | Metric::Mcc
        | Metric::CohenKappa
        | Metric::TopK(_)
        | Metric::CalibrationError(_)
        | Metric::Cost(_)
        | Metric::Mae
        | Metric::Rmse
        | Metric::R2
        | Metric::Mape => Err(Undefined::NoData),
    }
}

fn from_label_order(
    labels: &[(Ranking, Vec<usize>)],
    area: bool,
    scope: Scope,
    weights: &[f64],
) -> Value {
    let value = |label: usize| {
        let (ranking, truth) = &labels[label];
        let value = if area {
            ranking.auc(truth, 1, weights)
        } else {
            ranking.average_precision(truth, 1, weights)
        };
        // Each label is a question of yes or no; the reason must name the label.
        value.map_err(|reason| match reason {
            Undefined::ClassAbsent { .. } => Undefined::ClassAbsent { class: label },
            Undefined::OnlyClass { .. } => Undefined::OnlyClass { class: label },
            other @ (Undefined::NoData
            | Undefined::ClassNeverPredicted { .. }
            | Undefined::OneClass
            | Undefined::ZeroDenominator
            | Undefined::Constant
            | Undefined::TooFewRows { .. }
            | Undefined::EveryClassCounts
            | Undefined::Overflow) => other,
        })
    };
    let average = match scope {
        Scope::Class(label) => return value(label),
        Scope::Average(average) => average,
    };
    let (mut sum, mut total) = (0.0, 0.0);
    for (label, (_, truth)) in labels.iter().enumerate() {
        let share = match average {
            Average::Weighted => class_weights(2, truth, weights)[1],
            Average::Macro | Average::Micro => 1.0,
        };
        sum += share * value(label)?;
        total += share;
    }
    mean(sum, total, Undefined::NoData)
}
