//! Whether endpoints that serve the same version answer the same.

use mcdeploy_eval::{Answers, Verdict};
use serde::Serialize;

use crate::{evaluation::Judged, inference::Parity};

/// An endpoint beside the first one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParityReport {
    /// The first endpoint.
    pub reference: String,
    /// The other.
    pub endpoint: String,
    /// Rows compared.
    pub rows: usize,
    /// Rows with another answer.
    pub different: usize,
    /// Share of rows with the same answer.
    pub agreement: f64,
    /// Largest difference of a probability, score or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_difference: Option<f64>,
    /// What they had to reach.
    pub min_agreement: f64,
    /// Likewise.
    pub tolerance: f64,
    /// Pass or Fail: every row is there, and nothing is estimated.
    pub verdict: Verdict,
}

/// Compares every place with the first. Numbers agree within the tolerance.
pub(crate) fn parity(parity: Parity, judged: &[Judged]) -> Vec<ParityReport> {
    let Some((first, others)) = judged.split_first() else {
        return vec![];
    };
    let reports = others.iter().map(|other| {
        let (one, two) = (first.candidate.answers(), other.candidate.answers());
        let (different, largest) = differences(parity, one, two);
        let rows = one.rows();
        #[expect(
            clippy::cast_precision_loss,
            reason = "files have fewer than 2^53 rows"
        )]
        let agreement = (rows - different) as f64 / rows.max(1) as f64;
        let close = largest.is_none_or(|largest| largest <= parity.tolerance);
        let numbers = matches!(one, Answers::Numbers(_));
        let alike = agreement >= parity.min_agreement && (close || numbers);
        ParityReport {
            reference: first.name.clone(),
            endpoint: other.name.clone(),
            rows,
            different,
            agreement,
            largest_difference: largest,
            min_agreement: parity.min_agreement,
            tolerance: parity.tolerance,
            verdict: if alike { Verdict::Pass } else { Verdict::Fail },
        }
    });
    reports.collect()
}

fn differences(parity: Parity, one: &Answers, two: &Answers) -> (usize, Option<f64>) {
    let scores = |answers: &Answers| match answers {
        Answers::Classes(_, scores) | Answers::Multilabel(_, scores) => {
            scores.as_ref().map(|scores| scores.rows.concat())
        }
        Answers::Numbers(numbers) => Some(numbers.clone()),
    };
    let pairs = scores(one).zip(scores(two));
    let largest = pairs.map(|(one, two)| {
        let distances = one.iter().zip(&two).map(|(one, two)| (one - two).abs());
        distances.fold(0.0, f64::max)
    });
    let different = match (one, two) {
        (Answers::Classes(one, _), Answers::Classes(two, _)) => count(one, two, |a, b| a != b),
        (Answers::Multilabel(one, _), Answers::Multilabel(two, _)) => {
            count(one, two, |a, b| a != b)
        }
        (Answers::Numbers(one), Answers::Numbers(two)) => {
            count(one, two, |a, b| (a - b).abs() > parity.tolerance)
        }
        // Places of one evaluation are of one task.
        (one, _) => one.rows(),
    };
    (different, largest)
}

fn count<T>(one: &[T], two: &[T], differ: impl Fn(&T, &T) -> bool) -> usize {
    one.iter()
        .zip(two)
        .filter(|(one, two)| differ(one, two))
        .count()
}
