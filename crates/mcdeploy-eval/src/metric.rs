//! From a metric's description to something that can be computed for one task.

use crate::{
    counts::{Average, Rate, ZeroDivision},
    gate::{MetricGate, MetricName, MultiClass},
    input::{Labels, Task, Truth},
};

/// Which classes or labels a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Average(Average),
    /// The one with the index.
    Class(usize),
}

/// A metric with all that it needs to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// See [`MetricName::Accuracy`].
    Accuracy,
    /// See [`MetricName::BalancedAccuracy`].
    BalancedAccuracy,
    /// Precision, recall, specificity or an F-score.
    Rate(Rate, Scope, ZeroDivision),
    /// See [`MetricName::RocAuc`].
    RocAuc(Scope, MultiClass),
    /// See [`MetricName::AveragePrecision`].
    AveragePrecision(Scope),
    /// See [`MetricName::LogLoss`].
    LogLoss,
    /// See [`MetricName::Brier`].
    Brier,
    /// See [`MetricName::Mcc`].
    Mcc,
    /// See [`MetricName::CohenKappa`].
    CohenKappa,
    /// See [`MetricName::TopK`].
    TopK(usize),
    /// With the number of bins.
    CalibrationError(usize),
    /// By truth, then by answer.
    Cost(Vec<Vec<f64>>),
    /// See [`MetricName::Mae`].
    Mae,
    /// See [`MetricName::Rmse`].
    Rmse,
    /// See [`MetricName::R2`].
    R2,
    /// See [`MetricName::Mape`].
    Mape,
}

/// Bins of the expected calibration error, as in its paper.
const CALIBRATION_BINS: usize = 15;

/// Why a description makes no metric. `name` is the metric's, as users write it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// It is for other tasks.
    #[error("metric {name} is not for {task}; take another metric")]
    Task {
        /// Which metric.
        name: MetricName,
        /// What the model is asked for.
        task: Task,
    },
    /// The class is none of the labels.
    #[error("metric {name}: class {found:?} is none of the labels {known:?}")]
    UnknownClass {
        /// Which metric.
        name: MetricName,
        /// The class.
        found: String,
        /// All labels.
        known: Vec<String>,
    },
    /// A field that it needs is missing or out of range.
    #[error("metric {name} needs `{field}`: {expected}")]
    Field {
        /// Which metric.
        name: MetricName,
        /// Which field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A field says nothing to it.
    #[error("metric {name} takes no `{field}` here: {reason}")]
    Superfluous {
        /// Which metric.
        name: MetricName,
        /// Which field.
        field: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The answers have no scores, or scores that are no probabilities.
    #[error("metric {name} needs {what} of every class; give them with the answers")]
    Scores {
        /// Which metric.
        name: MetricName,
        /// Scores, or probabilities.
        what: &'static str,
    },
}

impl Metric {
    /// Resolves a description for a task.
    ///
    /// # Errors
    /// [`MetricError`]; all of them are permanent.
    pub fn new(gate: &MetricGate, truth: &Truth) -> Result<Self, MetricError> {
        let name = gate.name;
        superfluous(gate)?;
        let other_task = Err(MetricError::Task {
            name,
            task: truth.task(),
        });
        let labels = match truth {
            Truth::Numbers(_) => return of_numbers(name).map_or(other_task, Ok),
            Truth::Classes(labels, _) | Truth::Multilabel(labels, _) => labels,
        };
        let exclusive = truth.task() == Task::Classes;
        let rate = |rate| {
            Ok(Self::Rate(
                rate,
                scope(gate, labels, exclusive)?,
                gate.zero_division,
            ))
        };
        match name {
            MetricName::Accuracy => Ok(Self::Accuracy),
            MetricName::Precision => rate(Rate::Precision),
            MetricName::Recall | MetricName::Sensitivity => rate(Rate::Recall),
            MetricName::Specificity => rate(Rate::Specificity),
            MetricName::F1 => rate(Rate::FBeta(1.0)),
            MetricName::FBeta => rate(Rate::FBeta(beta(gate)?)),
            MetricName::RocAuc => {
                let scope = ranked(gate, scope(gate, labels, exclusive)?)?;
                let multi_class = gate.multi_class.unwrap_or(MultiClass::OneVsRest);
                Ok(Self::RocAuc(scope, multi_class))
            }
            MetricName::AveragePrecision => {
                let scope = ranked(gate, scope(gate, labels, exclusive)?)?;
                Ok(Self::AveragePrecision(scope))
            }
            _ if !exclusive => other_task,
            MetricName::BalancedAccuracy => Ok(Self::BalancedAccuracy),
            MetricName::LogLoss => Ok(Self::LogLoss),
            MetricName::Brier => Ok(Self::Brier),
            MetricName::Mcc => Ok(Self::Mcc),
            MetricName::CohenKappa => Ok(Self::CohenKappa),
            MetricName::TopK => top_k(gate),
            MetricName::CalibrationError => Ok(Self::CalibrationError(CALIBRATION_BINS)),
            MetricName::Cost => costs(gate, labels),
            MetricName::Mae | MetricName::Rmse | MetricName::R2 | MetricName::Mape => other_task,
        }
    }

    /// The lowest and the highest value, where there are such, with `classes` classes.
    pub fn range(&self, classes: usize) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Accuracy
            | Self::BalancedAccuracy
            | Self::Rate(..)
            | Self::RocAuc(..)
            | Self::AveragePrecision(_)
            | Self::TopK(_)
            | Self::CalibrationError(_) => (Some(0.0), Some(1.0)),
            Self::Mcc | Self::CohenKappa => (Some(-1.0), Some(1.0)),
            Self::Brier => (Some(0.0), Some(if classes == 2 { 1.0 } else { 2.0 })),
            Self::Cost(costs) => {
                let all = || costs.iter().flatten().copied();
                (all().reduce(f64::min), all().reduce(f64::max))
            }
            Self::LogLoss | Self::Mae | Self::Rmse | Self::Mape => (Some(0.0), None),
            Self::R2 => (None, Some(1.0)),
        }
    }
}

fn of_numbers(name: MetricName) -> Option<Metric> {
    match name {
        MetricName::Mae => Some(Metric::Mae),
        MetricName::Rmse => Some(Metric::Rmse),
        MetricName::R2 => Some(Metric::R2),
        MetricName::Mape => Some(Metric::Mape),
        MetricName::Accuracy
        | MetricName::BalancedAccuracy
        | MetricName::Precision
        | MetricName::Recall
        | MetricName::Sensitivity
        | MetricName::Specificity
        | MetricName::F1
        | MetricName::FBeta
        | MetricName::RocAuc
        | MetricName::AveragePrecision
        | MetricName::LogLoss
        | MetricName::Brier
        | MetricName::Mcc
        | MetricName::CohenKappa
        | MetricName::TopK
        | MetricName::CalibrationError
        | MetricName::Cost => None,
    }
}

fn scope(gate: &MetricGate, labels: &Labels, exclusive: bool) -> Result<Scope, MetricError> {
    let name = gate.name;
    match (&gate.class, gate.average) {
        (Some(_), Some(_)) => Err(MetricError::Superfluous {
            name,
            field: "average",
            reason: "`class` names the one class to look at",
        }),
        (Some(class), None) => {
            let unknown = || MetricError::UnknownClass {
                name,
                found: class.clone(),
                known: labels.names().to_vec(),
            };
            Ok(Scope::Class(labels.index(class).ok_or_else(unknown)?))
        }
        (None, Some(average)) => Ok(Scope::Average(average)),
        (None, None) if exclusive && labels.names().len() == 2 => Ok(Scope::Class(1)),
        (None, None) => Ok(Scope::Average(Average::Macro)),
    }
}

/// Areas of all classes together would compare scores of different classes.
fn ranked(gate: &MetricGate, scope: Scope) -> Result<Scope, MetricError> {
    let name = gate.name;
    if scope == Scope::Average(Average::Micro) {
        let expected = "`Macro` or `Weighted`";
        return Err(MetricError::Field {
            name,
            field: "average",
            expected,
        });
    }
    if matches!(scope, Scope::Class(_)) && gate.multi_class == Some(MultiClass::OneVsOne) {
        let reason = "one class is compared with all others";
        return Err(MetricError::Superfluous {
            name,
            field: "multiClass",
            reason,
        });
    }
    Ok(scope)
}

fn beta(gate: &MetricGate) -> Result<f64, MetricError> {
    let error = MetricError::Field {
        name: gate.name,
        field: "beta",
        expected: "a number above 0; 2 counts recall twice as much as precision",
    };
    gate.beta
        .filter(|beta| *beta > 0.0 && beta.is_finite())
        .ok_or(error)
}

fn top_k(gate: &MetricGate) -> Result<Metric, MetricError> {
    let error = MetricError::Field {
        name: gate.name,
        field: "k",
        expected: "how many answers count, at least 1",
    };
    gate.k.filter(|k| *k > 0).map(Metric::TopK).ok_or(error)
}

fn costs(gate: &MetricGate, labels: &Labels) -> Result<Metric, MetricError> {
    let error = MetricError::Field {
        name: gate.name,
        field: "costs",
        expected: "a row per label with a finite number per answer, both in the order of labels",
    };
    let classes = labels.names().len();
    let whole = |costs: &&Vec<Vec<f64>>| {
        let row = |row: &Vec<f64>| row.len() == classes && row.iter().all(|cost| cost.is_finite());
        costs.len() == classes && costs.iter().all(row)
    };
    let costs = gate.costs.as_ref().filter(whole).ok_or(error)?;
    Ok(Metric::Cost(costs.clone()))
}

/// A field that changes nothing is a mistake of who wrote it.
fn superfluous(gate: &MetricGate) -> Result<(), MetricError> {
    let name = gate.name;
    let area = matches!(name, MetricName::RocAuc | MetricName::AveragePrecision);
    let scoped = area
        || matches!(
            name,
            MetricName::Precision
                | MetricName::Recall
                | MetricName::Sensitivity
                | MetricName::Specificity
                | MetricName::F1
                | MetricName::FBeta
        );
    let fields = [
        ("average", gate.average.is_some() && !scoped),
        ("class", gate.class.is_some() && !scoped),
        (
            "multiClass",
            gate.multi_class.is_some() && name != MetricName::RocAuc,
        ),
        ("beta", gate.beta.is_some() && name != MetricName::FBeta),
        ("k", gate.k.is_some() && name != MetricName::TopK),
        ("costs", gate.costs.is_some() && name != MetricName::Cost),
        (
            "zeroDivision",
            gate.zero_division != ZeroDivision::Undefined && (area || !scoped),
        ),
    ];
    match fields.into_iter().find(|(_, there)| *there) {
        None => Ok(()),
        Some((field, _)) => Err(MetricError::Superfluous {
            name,
            field,
            reason: "it would change nothing",
        }),
    }
}
