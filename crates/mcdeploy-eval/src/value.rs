//! A number, or why there is none.

use serde::{Deserialize, Serialize};

/// What a metric says of a sample. Never NaN and never infinite.
pub type Value = Result<f64, Undefined>;

/// Why a metric has no value on a sample. Classes and labels are given by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(
    tag = "reason",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Undefined {
    /// There is no row, or all rows have the weight 0.
    #[error("no row has any weight")]
    NoData,
    /// The metric divides by the rows of a class, and there are none.
    #[error("no row is of class {class}")]
    ClassAbsent {
        /// Which.
        class: usize,
    },
    /// The metric divides by the answers of a class, and there are none.
    #[error("no answer is class {class}")]
    ClassNeverPredicted {
        /// Which.
        class: usize,
    },
    /// All rows are of the class, so nothing can be told apart from it.
    #[error("every row is of class {class}")]
    OnlyClass {
        /// Which.
        class: usize,
    },
    /// Fewer than two classes occur.
    #[error("fewer than two classes occur")]
    OneClass,
    /// The denominator over all classes together is 0.
    #[error("the denominator over all classes is 0")]
    ZeroDenominator,
    /// Labels or answers are all the same, so that they cannot vary together.
    #[error("labels or answers are all the same")]
    Constant,
    /// The metric needs more rows.
    #[error("fewer than {needed} rows have any weight")]
    TooFewRows {
        /// How many it needs.
        needed: usize,
    },
    /// Top-k with as many answers as there are classes is 1 whatever the model says.
    #[error("k covers every class")]
    EveryClassCounts,
    /// The arithmetic left the range of numbers.
    #[error("the value is too large for a number")]
    Overflow,
}

/// A count as a number. Exact up to 2^53, and no sample is larger.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples have fewer than 2^53 rows"
)]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// `value` if it is a number.
pub(crate) fn finite(value: f64) -> Value {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Undefined::Overflow)
    }
}

/// `sum / weight`.
pub(crate) fn mean(sum: f64, weight: f64, otherwise: Undefined) -> Value {
    if weight > 0.0 {
        finite(sum / weight)
    } else {
        Err(otherwise)
    }
}
