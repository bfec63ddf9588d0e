//! Curves of each class, for the version and the incumbent.

use mcdeploy_eval::{Answers, ScoreKind, Truth, ranking::Ranking};

use super::chart::Line;
use crate::evaluation::Judged;

/// Classes that are drawn at most: more nobody looks at.
const MOST_CLASSES: usize = 20;
/// Bins of the calibration curve.
const BINS: usize = 10;

/// Scores of one class, and which rows are of it.
pub(super) struct ClassScores {
    pub(super) class: String,
    /// Whether thresholds are probabilities.
    pub(super) probability: bool,
    is: Vec<usize>,
    weights: Vec<f64>,
    new: Vec<f64>,
    old: Option<Vec<f64>>,
}

/// What a threshold would do.
pub(super) struct Threshold {
    pub(super) at: f64,
    pub(super) precision: Option<f64>,
    pub(super) recall: Option<f64>,
    pub(super) found: f64,
    pub(super) missed: f64,
    pub(super) false_alarms: f64,
}

/// Scores of every class; of two classes of the positive one only.
pub(super) fn of(judged: &Judged) -> Vec<ClassScores> {
    let candidate = &judged.candidate;
    let (labels, binary) = match candidate.truth() {
        Truth::Classes(labels, _) => (labels, labels.names().len() == 2),
        Truth::Multilabel(labels, _) => (labels, false),
        Truth::Numbers(_) => return vec![],
    };
    let is = |class: usize| match candidate.truth() {
        Truth::Classes(_, rows) => rows.iter().map(|of| usize::from(*of == class)).collect(),
        Truth::Multilabel(_, rows) => rows.iter().map(|row| usize::from(row[class])).collect(),
        Truth::Numbers(_) => vec![],
    };
    let classes = (0..labels.names().len())
        .skip(usize::from(binary))
        .take(MOST_CLASSES);
    let scores = classes.filter_map(|class| {
        let (kind, new) = column(candidate.answers(), class)?;
        let old = judged.baseline.as_ref();
        let old = old
            .and_then(|old| column(old.answers(), class))
            .map(|(_, old)| old);
        Some(ClassScores {
            class: labels.names()[class].clone(),
            probability: kind == ScoreKind::Probability,
            is: is(class),
            weights: candidate.weights().to_vec(),
            new,
            old,
        })
    });
    scores.collect()
}

fn column(answers: &Answers, class: usize) -> Option<(ScoreKind, Vec<f64>)> {
    let scores = match answers {
        Answers::Classes(_, scores) | Answers::Multilabel(_, scores) => scores.as_ref()?,
        Answers::Numbers(_) => return None,
    };
    Some((
        scores.kind,
        scores.rows.iter().map(|row| row[class]).collect(),
    ))
}

impl ClassScores {
    /// Both versions, where the curve is defined for the new one.
    fn both(&self, curve: impl Fn(&[f64]) -> Option<Line>) -> Option<(Line, Option<Line>)> {
        let old = self.old.as_deref().and_then(&curve);
        Some((curve(&self.new)?, old))
    }

    pub(super) fn roc(&self) -> Option<(Line, Option<Line>)> {
        self.both(|scores| {
            let ranking = Ranking::new(scores.to_vec());
            let points = ranking.roc_curve(&self.is, 1, &self.weights).ok()?;
            let line = points.iter();
            Some(
                line.map(|point| (point.false_positive_rate, point.true_positive_rate))
                    .collect(),
            )
        })
    }

    pub(super) fn precision_recall(&self) -> Option<(Line, Option<Line>)> {
        self.both(|scores| {
            let ranking = Ranking::new(scores.to_vec());
            let points = ranking.pr_curve(&self.is, 1, &self.weights).ok()?;
            Some(
                points
                    .iter()
                    .map(|point| (point.recall, point.precision))
                    .collect(),
            )
        })
    }

    /// Mean probability and share of the class, of each bin with rows.
    pub(super) fn calibration(&self) -> Option<(Line, Option<Line>)> {
        if !self.probability {
            return None;
        }
        self.both(|scores| {
            let mut sums = vec![(0.0, 0.0, 0.0); BINS];
            for ((score, is), weight) in scores.iter().zip(&self.is).zip(&self.weights) {
                let bin = (0..BINS - 1)
                    .find(|bin| *score < edge(*bin))
                    .unwrap_or(BINS - 1);
                let (probability, hits, all) = &mut sums[bin];
                *probability += weight * score;
                *hits += if *is == 1 { *weight } else { 0.0 };
                *all += weight;
            }
            let filled = sums.into_iter().filter(|(.., all)| *all > 0.0);
            Some(
                filled
                    .map(|(probability, hits, all)| (probability / all, hits / all))
                    .collect(),
            )
        })
    }

    /// What thresholds from 0.05 to 0.95 would do.
    pub(super) fn thresholds(&self) -> Vec<Threshold> {
        let at = |step: u32| {
            let at = f64::from(step) / 20.0;
            let (mut found, mut missed, mut false_alarms) = (0.0, 0.0, 0.0);
            for ((score, is), weight) in self.new.iter().zip(&self.is).zip(&self.weights) {
                match (*score >= at, *is == 1) {
                    (true, true) => found += weight,
                    (false, true) => missed += weight,
                    (true, false) => false_alarms += weight,
                    (false, false) => {}
                }
            }
            let share = |part: f64, all: f64| (all > 0.0).then(|| part / all);
            Threshold {
                at,
                precision: share(found, found + false_alarms),
                recall: share(found, found + missed),
                found,
                missed,
                false_alarms,
            }
        };
        (1..20).map(at).collect()
    }
}

/// Where a bin ends.
fn edge(bin: usize) -> f64 {
    f64::from(u32::try_from(bin + 1).unwrap_or(0)) / 10.0
}
