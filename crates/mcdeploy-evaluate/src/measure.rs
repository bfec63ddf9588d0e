//! Which metrics to show beside those that have bounds, and MLflow's names.
//!
//! **Source:** names of MLflow's default evaluator for classifiers and regressors,
//! <https://mlflow.org/docs/latest/ml/evaluation> (2026-11-30): averages over several
//! classes are weighted there.

use std::collections::BTreeMap;

use mcdeploy_eval::{
    Answers, Candidate, Labels, Metric, MetricGate, MetricName, Prepared, ScoreKind, Truth,
    confusion::ConfusionMatrix,
    counts::Average::{self, Macro, Weighted},
};

use crate::{rows::Rows, template::TaskKind};

/// The metric that templates spell so.
pub fn metric_name(word: &str) -> Option<MetricName> {
    let mut all = MetricName::ALL.into_iter();
    all.find(|name| name.to_string() == word)
}

/// What people look at first, for the task and what the answers have.
pub(crate) fn usual(rows: &Rows, answers: &Answers) -> Vec<MetricGate> {
    use MetricName::{
        Accuracy, AveragePrecision, BalancedAccuracy, Brier, CalibrationError, F1, LogLoss, Mae,
        Mcc, Precision, R2, Recall, Rmse, RocAuc,
    };
    let scores = match answers {
        Answers::Classes(_, scores) | Answers::Multilabel(_, scores) => scores.as_ref(),
        Answers::Numbers(_) => None,
    };
    let mut names = match rows.task {
        TaskKind::Regression => vec![Mae, Rmse, R2],
        TaskKind::Multilabel => vec![Accuracy, Precision, Recall, F1],
        TaskKind::Binary | TaskKind::Multiclass => {
            vec![Accuracy, BalancedAccuracy, Precision, Recall, F1, Mcc]
        }
    };
    if scores.is_some() {
        names.extend([RocAuc, AveragePrecision]);
    }
    let probabilities = scores.is_some_and(|scores| scores.kind == ScoreKind::Probability);
    if probabilities && matches!(rows.truth, Truth::Classes(..)) {
        names.extend([LogLoss, Brier, CalibrationError]);
    }
    let scoped = |name| match rows.task {
        TaskKind::Binary => {
            let positive = || rows.labels().get(1).cloned();
            let of_class = matches!(name, Precision | Recall | F1 | RocAuc | AveragePrecision);
            (of_class.then(positive).flatten(), None)
        }
        TaskKind::Multiclass | TaskKind::Multilabel => {
            let averaged = matches!(name, Precision | Recall | F1 | RocAuc | AveragePrecision);
            (None, averaged.then_some(Macro))
        }
        TaskKind::Regression => (None, None),
    };
    let metric = |name| {
        let (class, average) = scoped(name);
        MetricGate {
            class,
            average,
            ..MetricGate::new(name)
        }
    };
    names.into_iter().map(metric).collect()
}

/// What MLflow would log, under its names.
pub(crate) fn mlflow(candidate: &Candidate) -> BTreeMap<&'static str, f64> {
    let truth = candidate.truth();
    let mut all = BTreeMap::new();
    let mut put = |name, gate: MetricGate| {
        let value = value(&gate, candidate);
        all.extend(value.map(|value| (name, value)));
    };
    let plain = MetricGate::new;
    match truth {
        Truth::Numbers(_) => {
            put("mean_absolute_error", plain(MetricName::Mae));
            put("root_mean_squared_error", plain(MetricName::Rmse));
            put("r2_score", plain(MetricName::R2));
            put("mean_absolute_percentage_error", plain(MetricName::Mape));
        }
        Truth::Classes(labels, _) | Truth::Multilabel(labels, _) => {
            let average = averaged(labels, truth);
            let with = |name| MetricGate {
                average,
                ..plain(name)
            };
            put("accuracy_score", plain(MetricName::Accuracy));
            put("precision_score", with(MetricName::Precision));
            put("recall_score", with(MetricName::Recall));
            put("f1_score", with(MetricName::F1));
            put("roc_auc", with(MetricName::RocAuc));
            put("log_loss", plain(MetricName::LogLoss));
            if average.is_none() {
                put("precision_recall_auc", plain(MetricName::AveragePrecision));
            }
        }
    }
    if let Some(square) = all.get("root_mean_squared_error").map(|root| root * root) {
        all.insert("mean_squared_error", square);
    }
    all.extend(counts(candidate));
    #[expect(
        clippy::cast_precision_loss,
        reason = "files have fewer than 2^53 rows"
    )]
    all.insert("example_count", truth.rows() as f64);
    all
}

/// Several classes are weighted; of two the positive one is meant.
fn averaged(labels: &Labels, truth: &Truth) -> Option<Average> {
    let binary = matches!(truth, Truth::Classes(..)) && labels.names().len() == 2;
    (!binary).then_some(Weighted)
}

fn value(gate: &MetricGate, candidate: &Candidate) -> Option<f64> {
    let metric = Metric::new(gate, candidate.truth()).ok()?;
    let prepared = Prepared::new(&metric, gate.name, candidate).ok()?;
    prepared.value(candidate.weights()).ok()
}

/// The four cells of two classes.
fn counts(candidate: &Candidate) -> Vec<(&'static str, f64)> {
    let (Truth::Classes(labels, truth), Answers::Classes(said, _)) =
        (candidate.truth(), candidate.answers())
    else {
        return vec![];
    };
    if labels.names().len() != 2 {
        return vec![];
    }
    let matrix = ConfusionMatrix::new(2, truth, said, candidate.weights());
    let names = [
        ("true_negatives", (0, 0)),
        ("false_positives", (0, 1)),
        ("false_negatives", (1, 0)),
        ("true_positives", (1, 1)),
    ];
    names
        .map(|(name, (of, as_))| (name, matrix.cell(of, as_)))
        .into()
}
