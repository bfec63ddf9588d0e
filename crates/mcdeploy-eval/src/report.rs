//! What a judge says, as data: every verdict with the evidence for it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    gate::{MetricGate, WhenInconclusive},
    interval::Method,
    paired::McNemar,
    value::Undefined,
};

/// Whether something is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The interval's bad end clears the bound.
    Pass,
    /// The interval's good end misses the bound.
    Fail,
    /// Neither: the rows do not tell. It never counts as a pass.
    Inconclusive,
}

/// What to do with the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Go on.
    Proceed,
    /// Wait.
    Hold,
    /// Take it back.
    Fail,
}

impl Outcome {
    pub(crate) fn of(verdict: Verdict, inconclusive: WhenInconclusive) -> Self {
        match (verdict, inconclusive) {
            (Verdict::Pass, _) => Self::Proceed,
            (Verdict::Inconclusive, WhenInconclusive::Hold) => Self::Hold,
            (Verdict::Fail, _) | (Verdict::Inconclusive, WhenInconclusive::Fail) => Self::Fail,
        }
    }
}

/// All verdicts about a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[must_use = "a verdict that nobody reads stops nothing"]
pub struct Report {
    /// Fail if a check that decides fails, Pass if all of them pass.
    pub verdict: Verdict,
    /// What the gate says to do then.
    pub outcome: Outcome,
    /// See [`crate::Confidence`].
    pub level: f64,
    /// See [`crate::Confidence`].
    pub resamples: usize,
    /// See [`crate::Confidence`].
    pub seed: u64,
    /// In order of places, then slices (the whole first), then metrics, then bounds.
    pub checks: Vec<Check>,
}

/// What a metric had to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requirement {
    /// At least the bound.
    LowerBound,
    /// At most the bound.
    UpperBound,
    /// At most the bound worse than the incumbent.
    MaxDecrease,
}

/// One bound of one metric on one part of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// Region or cloud, where several are judged together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Values of the columns that make the slice; empty for all rows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub slice: BTreeMap<String, String>,
    /// The metric as the gate has it.
    pub metric: MetricGate,
    /// What it had to reach.
    pub requirement: Requirement,
    /// The bound, in the metric's unit.
    pub bound: f64,
    /// Whether it did.
    pub verdict: Verdict,
    /// Why.
    pub evidence: Evidence,
}

impl fmt::Display for Check {
    /// `recall of "spam", region=eu, in aws: at least 0.9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric.name)?;
        if let Some(class) = &self.metric.class {
            write!(f, " of {class:?}")?;
        }
        if let Some(average) = self.metric.average {
            write!(f, " ({average:?})")?;
        }
        for (column, value) in &self.slice {
            write!(f, ", {column}={value}")?;
        }
        if let Some(place) = &self.place {
            write!(f, ", in {place}")?;
        }
        let bound = self.bound;
        match self.requirement {
            Requirement::LowerBound => write!(f, ": at least {bound}"),
            Requirement::UpperBound => write!(f, ": at most {bound}"),
            Requirement::MaxDecrease => write!(f, ": at most {bound} worse than the incumbent"),
        }
    }
}

/// What a verdict rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Rows with any weight.
    pub rows: usize,
    /// The candidate's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The incumbent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// How much worse the candidate is; negative when it is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decrease: Option<f64>,
    /// Of the value, or of the decrease if that is what has a bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Of accuracy against an incumbent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mc_nemar: Option<McNemar>,
    /// In a word.
    pub reason: Reason,
}

/// Where the truth is likely to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Interval {
    /// None: not known.
    pub low: Option<f64>,
    /// None: not known.
    pub high: Option<f64>,
    /// Probability that the truth is below `low`, after correction for the other checks.
    pub low_alpha: f64,
    /// Probability that the truth is above `high`, likewise.
    pub high_alpha: f64,
    /// How it was made.
    pub method: Method,
    /// p-value of "the bound is not reached", not corrected: small is good.
    pub p_pass: f64,
    /// p-value of "the bound is reached", not corrected: small is bad.
    pub p_fail: f64,
}

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reason {
    /// The bad end of the interval clears the bound.
    Clears,
    /// The good end of the interval misses the bound.
    Misses,
    /// The bound is inside of the interval: more rows would tell.
    Straddles,
    /// The candidate's value is undefined.
    Undefined(Undefined),
    /// The incumbent's value is undefined.
    BaselineUndefined(Undefined),
    /// There is no incumbent to compare with.
    NoBaseline,
    /// The slice has fewer rows than the gate wants.
    TooFewRows {
        /// How many it wants.
        needed: usize,
    },
    /// The rows have no such column.
    ColumnMissing {
        /// Which.
        column: String,
    },
    /// With so many checks the level of one is finer than the draws can tell.
    TooFewResamples {
        /// How many it takes.
        needed: usize,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clears => f.write_str("the interval clears the bound"),
            Self::Misses => f.write_str("the interval misses the bound"),
            Self::Straddles => {
                f.write_str("the bound is inside of the interval; more rows would tell")
            }
            Self::Undefined(reason) => write!(f, "no value: {reason}"),
            Self::BaselineUndefined(reason) => write!(f, "no value of the incumbent: {reason}"),
            Self::NoBaseline => f.write_str("there is no incumbent to compare with"),
            Self::TooFewRows { needed } => write!(f, "fewer than {needed} rows"),
            Self::ColumnMissing { column } => write!(f, "the rows have no column {column:?}"),
            Self::TooFewResamples { needed } => {
                write!(f, "with so many checks it takes {needed} resamples or more")
            }
        }
    }
}
