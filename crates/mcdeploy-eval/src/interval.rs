//! How far a value may be from the truth: exact where rows are simple counts, else by
//! resampling rows.
//!
//! A share of equally weighted rows has the interval of Clopper and Pearson (1934), which is
//! never too short. Everything else has a bias-corrected and accelerated bootstrap interval
//! (`BCa`, Efron 1987) and not the plain percentiles: F-scores and areas near 1 are biased
//! and skewed on samples of hundreds of rows, and percentiles then pass versions at the bound
//! too often. The acceleration comes from leaving out groups of rows, at most [`GROUPS`].
//!
//! Two cases in which resampling is blind are conservative by design. A draw on which the
//! metric is undefined counts as the worst value at both ends. When every draw gives the same
//! value, the interval is that of rows not seen: with probability `1 - alpha` their share is
//! at most `1 - alpha^(1/n)` (the rule of three), and they are taken to be as bad as can be.
//!
//! Draws of some metrics are nearly all on one side of the value: those of the calibration
//! error above it, since drawing rows twice only adds noise to bins. The correction of such a
//! bias goes beyond the outermost draw. That end is the one that the metric cannot leave, 0
//! here, which is always true, and unknown where there is none.

use serde::{Deserialize, Serialize};

use crate::{
    random::Random,
    special::{beta, beta_quantile, normal, normal_quantile},
    value::{Value, number},
};

/// How many groups of rows are left out, one after the other, for the acceleration.
pub const GROUPS: usize = 64;
/// Sums in another order differ by less than this, and what differs less is equal.
const NOISE: f64 = 1e-12;

/// How an interval was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Clopper and Pearson, of counts.
    Exact,
    /// Bootstrap, bias-corrected and accelerated.
    BCa,
    /// The rule of three: no draw differed.
    RuleOfThree,
}

/// A value with what is known about its error.
#[derive(Clone, Debug, PartialEq)]
pub enum Estimate {
    /// A share of rows.
    Exact {
        /// Rows that count.
        successes: usize,
        /// Rows.
        trials: usize,
    },
    /// From draws.
    Draws(Draws),
    /// No draw differed.
    Constant {
        /// The value.
        value: f64,
        /// Rows that it rests on.
        rows: usize,
        /// The lowest value that the metric can have.
        floor: Option<f64>,
        /// The highest.
        ceiling: Option<f64>,
    },
}

/// Values of resampled rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    value: f64,
    /// Rising.
    sorted: Vec<f64>,
    undefined: usize,
    bias: f64,
    acceleration: f64,
    /// The lowest value that the metric can have.
    floor: Option<f64>,
    /// The highest.
    ceiling: Option<f64>,
}

impl Draws {
    /// Sorts draws of a metric whose value on all rows is `value`; `left_out` are its values
    /// without each group of rows.
    pub fn new(value: f64, draws: &[Value], left_out: &[Value]) -> Self {
        let mut sorted: Vec<f64> = draws.iter().copied().filter_map(Value::ok).collect();
        sorted.sort_by(f64::total_cmp);
        let below = sorted.partition_point(|draw| *draw < value - NOISE);
        let up_to = sorted.partition_point(|draw| *draw <= value + NOISE);
        let share = number(below + up_to) / 2.0 / number(sorted.len().max(1));
        let edge = 0.5 / number(sorted.len().max(1));
        let undefined = draws.len() - sorted.len();
        Self {
            value,
            sorted,
            undefined,
            bias: normal_quantile(share.clamp(edge, 1.0 - edge)),
            acceleration: acceleration(left_out),
            floor: None,
            ceiling: None,
        }
    }

    fn resamples(&self) -> usize {
        self.sorted.len() + self.undefined
    }

    fn spread(&self) -> f64 {
        let ends = self.sorted.first().zip(self.sorted.last());
        ends.map_or(0.0, |(first, last)| last - first)
    }

    /// The same with the sign of everything turned.
    fn mirrored(&self) -> Self {
        Self {
            value: -self.value,
            sorted: self.sorted.iter().rev().map(|draw| -draw).collect(),
            undefined: self.undefined,
            bias: -self.bias,
            acceleration: -self.acceleration,
            floor: self.ceiling.map(|end| -end),
            ceiling: self.floor.map(|end| -end),
        }
    }

    fn low(&self, alpha: f64) -> Option<f64> {
        let draws = number(self.resamples() + 1);
        if alpha * draws < 1.0 {
            return None; // finer than the draws can tell
        }
        let shift = self.bias + normal_quantile(alpha);
        let adjusted = normal(self.bias + shift / (1.0 - self.acceleration * shift));
        let rank = (adjusted * draws + 1e-9).floor();
        // Undefined draws come first; the rank counts from 1.
        let index = (0..self.sorted.len()).rev();
        index
            .map(|index| (index, number(index + self.undefined + 1)))
            .find(|(_, place)| *place <= rank)
            .map(|(index, _)| self.sorted[index])
            .or(self.floor)
    }

    /// The smallest `alpha` whose low end is at least `bound`.
    fn low_reaches(&self, bound: f64) -> f64 {
        if self.floor.is_some_and(|floor| bound <= floor) {
            return 0.0;
        }
        let below = self.sorted.partition_point(|draw| *draw < bound - NOISE);
        let draws = number(self.resamples() + 1);
        let share = number(self.undefined + below + 1) / draws;
        if below == self.sorted.len() {
            return 1.0;
        }
        let distance = normal_quantile(share) - self.bias;
        let scale = 1.0 + self.acceleration * distance;
        let least = 1.0 / draws;
        if scale <= 0.0 {
            return if distance < 0.0 { least } else { 1.0 };
        }
        normal(distance / scale - self.bias).max(least)
    }
}

/// Skewness of the value in its rows, limited so that the correction stays monotone.
fn acceleration(left_out: &[Value]) -> f64 {
    let values: Vec<f64> = left_out.iter().copied().filter_map(Value::ok).collect();
    let centre = values.iter().sum::<f64>() / number(values.len().max(1));
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in values {
        let distance = centre - value;
        squares += distance * distance;
        cubes += distance * distance * distance;
    }
    if squares < NOISE * NOISE {
        return 0.0;
    }
    (cubes / (6.0 * squares * squares.sqrt())).clamp(-0.2, 0.2)
}

impl Estimate {
    /// From draws; `rows` is how many rows they rest on, `floor` and `ceiling` what the metric
    /// cannot leave.
    pub fn from_draws(draws: Draws, rows: usize, floor: Option<f64>, ceiling: Option<f64>) -> Self {
        if draws.undefined > 0 || draws.spread() > NOISE {
            return Self::Draws(Draws {
                floor,
                ceiling,
                ..draws
            });
        }
        Self::Constant {
            value: draws.value,
            rows,
            floor,
            ceiling,
        }
    }

    /// The value on all rows.
    pub fn value(&self) -> f64 {
        match self {
            Self::Exact { successes, trials } => number(*successes) / number((*trials).max(1)),
            Self::Draws(draws) => draws.value,
            Self::Constant { value, .. } => *value,
        }
    }

    /// How its interval is made.
    pub fn method(&self) -> Method {
        match self {
            Self::Exact { .. } => Method::Exact,
            Self::Draws(_) => Method::BCa,
            Self::Constant { .. } => Method::RuleOfThree,
        }
    }

    /// The low end of an interval above which the truth is but with probability `alpha`; none
    /// when it is not known.
    pub fn low(&self, alpha: f64) -> Option<f64> {
        match self {
            Self::Exact { successes: 0, .. } => Some(0.0),
            Self::Exact { successes, trials } => {
                let missed = number(trials - successes);
                Some(beta_quantile(alpha, number(*successes), missed + 1.0))
            }
            Self::Draws(draws) => draws.low(alpha),
            Self::Constant {
                value, rows, floor, ..
            } => floor.map(|floor| value - unseen(alpha, *rows) * (value - floor)),
        }
    }

    /// The high end, as [`Estimate::low`].
    pub fn high(&self, alpha: f64) -> Option<f64> {
        self.mirrored().low(alpha).map(|end| self.turn(end))
    }

    /// The smallest `alpha` whose low end is at least `bound`: the p-value of "the truth is
    /// below the bound".
    pub fn low_reaches(&self, bound: f64) -> f64 {
        match self {
            Self::Exact { successes: 0, .. } => {
                if bound <= 0.0 {
                    0.0
                } else {
                    1.0
                }
            }
            Self::Exact { successes, trials } => {
                let missed = number(trials - successes);
                beta(bound, number(*successes), missed + 1.0)
            }
            Self::Draws(draws) => draws.low_reaches(bound),
            Self::Constant {
                value, rows, floor, ..
            } => match floor {
                _ if *value < bound - NOISE => 1.0,
                Some(floor) if bound <= *floor => 0.0,
                Some(floor) => (1.0 - (value - bound) / (value - floor))
                    .max(0.0)
                    .powf(number(*rows)),
                None => 1.0,
            },
        }
    }

    /// The smallest `alpha` whose high end is at most `bound`.
    pub fn high_reaches(&self, bound: f64) -> f64 {
        self.mirrored().low_reaches(self.turn(bound))
    }

    /// Shares mirror at a half, everything else at 0. It is its own inverse.
    fn turn(&self, end: f64) -> f64 {
        match self {
            Self::Exact { .. } => 1.0 - end,
            Self::Draws(_) | Self::Constant { .. } => -end,
        }
    }

    fn mirrored(&self) -> Self {
        match self {
            Self::Exact { successes, trials } => Self::Exact {
                successes: trials - successes,
                trials: *trials,
            },
            Self::Draws(draws) => Self::Draws(draws.mirrored()),
            Self::Constant {
                value,
                rows,
                floor,
                ceiling,
            } => Self::Constant {
                value: -value,
                rows: *rows,
                floor: ceiling.map(|end| -end),
                ceiling: floor.map(|end| -end),
            },
        }
    }
}

/// Largest share of rows of a kind that none of `rows` is of.
fn unseen(alpha: f64, rows: usize) -> f64 {
    1.0 - alpha.powf(1.0 / number(rows.max(1)))
}

/// Calls `each` with the weights of every draw: `weights` times how often a row was drawn.
pub(crate) fn resample(
    weights: &[f64],
    resamples: usize,
    random: &mut Random,
    mut each: impl FnMut(&[f64]),
) {
    let mut drawn = vec![0.0; weights.len()];
    for _ in 0..resamples {
        drawn.fill(0.0);
        for _ in 0..weights.len() {
            let row = random.below(weights.len());
            drawn[row] += weights[row];
        }
        each(&drawn);
    }
}

/// Calls `each` with the weights of every sample that lacks a group of rows.
pub(crate) fn leave_out(weights: &[f64], mut each: impl FnMut(&[f64])) {
    let groups = GROUPS.min(weights.len());
    for group in 0..groups {
        let mut left = weights.to_vec();
        for weight in left.iter_mut().skip(group).step_by(groups) {
            *weight = 0.0;
        }
        each(&left);
    }
}
