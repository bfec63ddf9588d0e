//! Rates of two-by-two tables, and their averages over classes or labels.
//!
//! **Source:** scikit-learn 1.9.1, `precision_recall_fscore_support` (2026-11-30): what is
//! undefined for one class is left out of averages, as with `zero_division=np.nan`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Undefined, Value, mean, number};

/// Weights of rows by truth and answer, for one class against all others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Of the class, and answered so.
    pub true_positive: f64,
    /// Of another class, and answered as this one.
    pub false_positive: f64,
    /// Of the class, and answered as another.
    pub false_negative: f64,
    /// Neither.
    pub true_negative: f64,
}

/// A rate of [`Counts`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Of what was answered so, how much is so.
    Precision,
    /// Of what is so, how much was answered so; also sensitivity.
    Recall,
    /// Precision and recall in one: recall counts `beta` times as much. `beta` is at least 0.
    FBeta(f64),
    /// Of what is not so, how much was not answered so.
    Specificity,
}

/// How values of classes or labels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Average {
    /// From the counts of all classes together.
    Micro,
    /// The plain mean.
    Macro,
    /// The mean by the weight of each class's rows.
    Weighted,
}

/// What stands for a rate whose denominator is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ZeroDivision {
    /// Nothing: the rate is undefined, and averages leave the class out.
    #[default]
    Undefined,
    /// 0.
    Zero,
    /// 1.
    One,
}

impl ZeroDivision {
    fn settle(self, value: Value) -> Value {
        match self {
            Self::Undefined => value,
            Self::Zero => Ok(value.unwrap_or(0.0)),
            Self::One => Ok(value.unwrap_or(1.0)),
        }
    }
}

impl Counts {
    /// Weight of the rows that are of the class.
    pub fn support(&self) -> f64 {
        self.true_positive + self.false_negative
    }

    fn ratio(&self, rate: Rate) -> (f64, f64) {
        match rate {
            Rate::Precision => (self.true_positive, self.true_positive + self.false_positive),
            Rate::Recall => (self.true_positive, self.support()),
            Rate::FBeta(beta) => {
                let square = beta * beta;
                (
                    (1.0 + square) * self.true_positive,
                    square * self.support() + self.true_positive + self.false_positive,
                )
            }
            Rate::Specificity => (self.true_negative, self.true_negative + self.false_positive),
        }
    }

    /// The rate, between 0 and 1.
    ///
    /// # Errors
    /// [`Undefined`] with the class `class` when the denominator is 0.
    pub fn rate(&self, rate: Rate, class: usize) -> Value {
        let (sum, weight) = self.ratio(rate);
        let otherwise = match rate {
            Rate::Precision => Undefined::ClassNeverPredicted { class },
            Rate::Recall | Rate::FBeta(_) => Undefined::ClassAbsent { class },
            Rate::Specificity => Undefined::OnlyClass { class },
        };
        mean(sum, weight, otherwise)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            true_positive: self.true_positive + other.true_positive,
            false_positive: self.false_positive + other.false_positive,
            false_negative: self.false_negative + other.false_negative,
            true_negative: self.true_negative + other.true_negative,
        }
    }
}

/// The rate of one class of `counts`, which has one entry per class.
///
/// # Errors
/// [`Undefined`] as `zero_division` says.
pub fn class_rate(
    counts: &[Counts],
    class: usize,
    rate: Rate,
    zero_division: ZeroDivision,
) -> Value {
    let value = match counts.get(class) {
        Some(counts) => counts.rate(rate, class),
        None => Err(Undefined::ClassAbsent { class }),
    };
    zero_division.settle(value)
}

/// The rate averaged over `counts`, which has one entry per class or label.
///
/// # Errors
/// [`Undefined`] when it is so for every class, or there is no data.
pub fn average_rate(
    counts: &[Counts],
    average: Average,
    rate: Rate,
    zero_division: ZeroDivision,
) -> Value {
    let values = |class: usize| zero_division.settle(counts[class].rate(rate, class));
    match average {
        Average::Micro => {
            let all = counts.iter().fold(Counts::default(), |a, b| a.plus(b));
            let (sum, weight) = all.ratio(rate);
            zero_division.settle(mean(sum, weight, Undefined::ZeroDenominator))
        }
        Average::Macro => weigh((0..counts.len()).map(|class| (values(class), 1.0))),
        Average::Weighted => {
            weigh((0..counts.len()).map(|class| (values(class), counts[class].support())))
        }
    }
}

/// The mean of what is defined. The plain one where nothing of that has any weight, as
/// scikit-learn does it: precision of classes that are answered and never occur.
fn weigh(values: impl Iterator<Item = (Value, f64)>) -> Value {
    let (mut sum, mut total, mut plain, mut defined) = (0.0, 0.0, 0.0, 0);
    for (value, weight) in values {
        if let Ok(value) = value {
            sum += value * weight;
            total += weight;
            plain += value;
            defined += 1;
        }
    }
    if total > 0.0 {
        return mean(sum, total, Undefined::ZeroDenominator);
    }
    mean(plain, number(defined), Undefined::ZeroDenominator)
}
