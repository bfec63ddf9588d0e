//! Accuracy, macro F1, ROC-AUC one-vs-rest and log loss, from answers in memory.

use std::{hint::black_box, path::Path};

use anyhow::Context as _;
use mcdeploy_eval::{
    Answers, Candidate, Confidence, Labels, Metric, MetricGate, MetricName, Place, Prepared,
    ScoreKind, Scores, Truth, counts::Average::Macro, describe,
};
use serde_json::{Value, json};

use crate::{
    data::{self, CLASSES},
    now,
};

fn gates() -> [MetricGate; 4] {
    let plain = MetricGate::new;
    let averaged = |name| MetricGate {
        average: Some(Macro),
        ..plain(name)
    };
    [
        plain(MetricName::Accuracy),
        averaged(MetricName::F1),
        averaged(MetricName::RocAuc),
        plain(MetricName::LogLoss),
    ]
}

/// Seconds from answers in memory to values, and to their intervals where there are draws.
pub(crate) fn measure(file: &Path, draws: usize) -> anyhow::Result<Value> {
    let (rows, truth) = data::read(file)?;
    let said = rows.iter().map(|row| likeliest(row)).collect();
    let labels = Labels::new((0..CLASSES).map(|class| class.to_string()).collect())?;
    let kind = ScoreKind::Probability;
    let answers = Answers::Classes(said, Some(Scores { kind, rows }));
    let truth = Truth::Classes(labels, truth);
    let start = now();
    // Checking answers is part of it: scikit-learn checks its arguments too.
    let candidate = Candidate::new(truth, answers)?;
    let (values, ends) = if draws == 0 {
        (values(&candidate)?, Value::Null)
    } else {
        with_intervals(&candidate, draws)?
    };
    let seconds = start.elapsed().as_secs_f64();
    Ok(json!({"seconds": seconds, "values": values, "intervals": ends}))
}

fn likeliest(row: &[f64]) -> usize {
    let all = row.iter().enumerate();
    all.fold(
        0,
        |best, (class, score)| if *score > row[best] { class } else { best },
    )
}

fn values(candidate: &Candidate) -> anyhow::Result<Vec<f64>> {
    let value = |gate: &MetricGate| {
        let metric = Metric::new(gate, candidate.truth())?;
        let prepared = Prepared::new(&metric, gate.name, candidate)?;
        Ok(black_box(prepared.value(candidate.weights())?))
    };
    gates().iter().map(value).collect()
}

fn with_intervals(candidate: &Candidate, draws: usize) -> anyhow::Result<(Vec<f64>, Value)> {
    let confidence = Confidence {
        resamples: draws,
        ..Confidence::default()
    };
    let place = Place {
        name: "",
        candidate,
        baseline: None,
    };
    let described = describe(&gates(), &[], confidence, &place)?;
    let ends: Vec<Value> = described.iter().map(|one| json!(one.interval)).collect();
    let values = described.iter().map(|one| one.value.context("a value"));
    Ok((values.collect::<Result<_, _>>()?, Value::Array(ends)))
}
