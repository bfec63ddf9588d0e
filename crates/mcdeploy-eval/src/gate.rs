//! What a version must reach, as users write it: the part of an `EvaluationTemplate` that
//! judging needs. Words of bounds and slices are those of TensorFlow Model Analysis, words of
//! averages those of scikit-learn.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    counts::{Average, ZeroDivision},
    input::Truth,
    judge::{JudgeError, check_gate, resolve},
};

/// What a version must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// Metrics and their bounds, at least one.
    pub metrics: Vec<MetricGate>,
    /// Parts of the rows that must reach the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceGate>,
    /// How sure to be.
    #[serde(default)]
    pub confidence: Confidence,
    /// What to do when the rows do not tell.
    #[serde(default)]
    pub inconclusive: WhenInconclusive,
}

impl Gate {
    /// Whether it can judge answers to rows with this truth, before there are any.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub fn check(&self, truth: &Truth) -> Result<(), JudgeError> {
        check_gate(self)?;
        resolve(self, truth).map(|_| ())
    }
}

/// A metric and what it must reach. At least one bound is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricGate {
    /// Which.
    pub name: MetricName,
    /// How classes become one value; `Macro` by default with more than two classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// The one class or label to look at; by default the second of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Which classes an area compares; `OneVsRest` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_class: Option<MultiClass>,
    /// Weight of recall in `fBeta`, above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// How many answers `topK` looks at, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// What an answer costs: by truth, then by answer, both in the order of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Vec<Vec<f64>>>,
    /// What stands for a rate whose denominator is 0.
    #[serde(default)]
    pub zero_division: ZeroDivision,
    /// The value must be at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bound: Option<f64>,
    /// The value must be at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_bound: Option<f64>,
    /// How much worse than the incumbent's the value may be, 0 or more, in the metric's unit.
    /// Worse is less, or more where less is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_decrease: Option<f64>,
    /// Whether it decides. Others are told and change nothing.
    #[serde(default = "yes")]
    pub critical: bool,
}

impl MetricGate {
    /// A metric that decides, with neither bound nor parameter.
    pub fn new(name: MetricName) -> Self {
        Self {
            name,
            average: None,
            class: None,
            multi_class: None,
            beta: None,
            k: None,
            costs: None,
            zero_division: ZeroDivision::Undefined,
            lower_bound: None,
            upper_bound: None,
            max_decrease: None,
            critical: true,
        }
    }
}

fn yes() -> bool {
    true
}

/// Names of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MetricName {
    /// Share of rows answered rightly; with several labels, of rows whose labels are all right.
    Accuracy,
    /// Mean recall of the classes that occur.
    BalancedAccuracy,
    /// Of what was answered so, how much is so.
    Precision,
    /// Of what is so, how much was answered so.
    Recall,
    /// Another name for recall.
    Sensitivity,
    /// Of what is not so, how much was not answered so.
    Specificity,
    /// F-score with `beta` 1.
    F1,
    /// F-score with the `beta` given.
    FBeta,
    /// Area under the ROC curve.
    RocAuc,
    /// Area under the curve of precision by recall, in steps.
    AveragePrecision,
    /// Cross entropy, in nats. Less is better.
    LogLoss,
    /// Squared distance of probabilities. Less is better.
    Brier,
    /// Matthews correlation.
    Mcc,
    /// Cohen's kappa.
    CohenKappa,
    /// Share of rows whose class is among the first `k` answers.
    TopK,
    /// Expected calibration error. Less is better.
    CalibrationError,
    /// Mean cost of a row by `costs`. Less is better.
    Cost,
    /// Mean absolute error. Less is better.
    Mae,
    /// Root of the mean squared error. Less is better.
    Rmse,
    /// Share of variance explained.
    R2,
    /// Mean absolute error as a share of the truth. Less is better.
    Mape,
}

impl fmt::Display for MetricName {
    /// As templates spell it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}");
        let (first, rest) = name.split_at(1);
        write!(f, "{}{rest}", first.to_ascii_lowercase())
    }
}

impl MetricName {
    /// All of them, in the order of this page.
    pub const ALL: [Self; 21] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::Precision,
        Self::Recall,
        Self::Sensitivity,
        Self::Specificity,
        Self::F1,
        Self::FBeta,
        Self::RocAuc,
        Self::AveragePrecision,
        Self::LogLoss,
        Self::Brier,
        Self::Mcc,
        Self::CohenKappa,
        Self::TopK,
        Self::CalibrationError,
        Self::Cost,
        Self::Mae,
        Self::Rmse,
        Self::R2,
        Self::Mape,
    ];

    /// Whether a larger value is a better one.
    pub fn more_is_better(self) -> bool {
        match self {
            Self::Accuracy
            | Self::BalancedAccuracy
            | Self::Precision
            | Self::Recall
            | Self::Sensitivity
            | Self::Specificity
            | Self::F1
            | Self::FBeta
            | Self::RocAuc
            | Self::AveragePrecision
            | Self::Mcc
            | Self::CohenKappa
            | Self::TopK
            | Self::R2 => true,
            Self::LogLoss
            | Self::Brier
            | Self::CalibrationError
            | Self::Cost
            | Self::Mae
            | Self::Rmse
            | Self::Mape => false,
        }
    }
}

/// Which classes an area compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MultiClass {
    /// Each with all others.
    OneVsRest,
    /// Each with each other.
    OneVsOne,
}

/// Parts of the rows: one for every combination of values in the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceGate {
    /// Names of columns, at least one.
    pub columns: Vec<String>,
    /// A part with fewer rows is not judged, and so is inconclusive. Rows of weight 0 do not
    /// count.
    #[serde(default = "min_samples")]
    pub min_samples: usize,
}

fn min_samples() -> usize {
    30
}

/// How sure to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Confidence {
    /// A version that is at a bound passes with a probability of at most `1 - level`, and one
    /// that is at its bounds fails with at most that. Above 0.5 and below 1. Intervals have
    /// this probability at each end.
    pub level: f64,
    /// Draws of the bootstrap, 100 to 100,000.
    pub resamples: usize,
    /// Where randomness begins: the same seed gives the same verdict.
    pub seed: u64,
}

impl Default for Confidence {
    fn default() -> Self {
        Self {
            level: 0.95,
            resamples: 1000,
            seed: 0,
        }
    }
}

/// What to do when the rows do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenInconclusive {
    /// Wait for somebody, or for more rows.
    #[default]
    Hold,
    /// As if it had failed.
    Fail,
}

#[cfg(test)]
mod tests {
    use super::MetricName;

    #[test]
    fn names_are_said_as_templates_spell_them() {
        for name in MetricName::ALL {
            let spelt = serde_json::to_value(name).unwrap();
            assert_eq!(spelt, name.to_string());
        }
    }
}
