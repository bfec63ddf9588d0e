//! Two versions on the same rows: whether they are right about equally many (`McNemar`).
//!
//! **Source:** `McNemar` (1947), exact by the binomial distribution; mid-p as in Fagerland,
//! Lydersen and Laake (2013), where half of the probability of the observed table counts.

use serde::{Deserialize, Serialize};

use crate::{special::binomial, value::number};

/// Rows on which exactly one of two versions is right, and what chance says of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McNemar {
    /// Rows that only the candidate gets right.
    pub candidate_only: usize,
    /// Rows that only the incumbent gets right.
    pub baseline_only: usize,
    /// Two-sided p-value, exact: never too small.
    pub exact: f64,
    /// Two-sided mid-p-value: closer to its name, and a little too small at times.
    pub mid: f64,
}

impl McNemar {
    /// From whether each version was right, row by row.
    pub fn new(
        candidate: impl Iterator<Item = bool>,
        baseline: impl Iterator<Item = bool>,
    ) -> Self {
        let (mut candidate_only, mut baseline_only) = (0, 0);
        for pair in candidate.zip(baseline) {
            match pair {
                (true, false) => candidate_only += 1,
                (false, true) => baseline_only += 1,
                (true, true) | (false, false) => {}
            }
        }
        Self::of(candidate_only, baseline_only)
    }

    /// From the two counts.
    pub fn of(candidate_only: usize, baseline_only: usize) -> Self {
        let trials = number(candidate_only + baseline_only);
        let fewer = number(candidate_only.min(baseline_only));
        let up_to = binomial(fewer, trials, 0.5);
        let here = up_to - binomial(fewer - 1.0, trials, 0.5);
        let mid = if candidate_only == baseline_only {
            1.0 - here / 2.0
        } else {
            2.0 * up_to - here
        };
        Self {
            candidate_only,
            baseline_only,
            exact: (2.0 * up_to).min(1.0),
            mid: if trials > 0.0 { mid } else { 1.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::McNemar;

    #[test]
    fn p_values_are_those_of_the_binomial_distribution() {
        // scipy 1.17.1: binomtest(2, 10).pvalue, less binom.pmf(2, 10, 0.5).
        let test = McNemar::of(8, 2);
        assert!((test.exact - 0.109_375).abs() < 1e-12);
        assert!((test.mid - (0.109_375 - 0.043_945_312_5)).abs() < 1e-12);
        assert!((McNemar::of(1, 1).mid - 0.75).abs() < 1e-12);
        assert_eq!(
            McNemar::of(0, 0),
            McNemar::new([true].into_iter(), [true].into_iter())
        );
        assert!((McNemar::of(0, 0).mid - 1.0).abs() < 1e-12);
    }
}
