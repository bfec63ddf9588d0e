//! Every metric has the value that scikit-learn gives, to 1e-9, and none where it has none.

#![cfg(test)]

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use mcdeploy_eval::{
    Answers, Candidate, Labels, Metric, MetricGate, MetricName, MultiClass, Prepared, ScoreKind,
    Scores, Truth, Value,
    counts::{Average, ZeroDivision},
    random::Random,
};
use mcdeploy_sandbox::{
    Say,
    tools::{Tool, ensure_blocking},
};
use serde::Serialize;

#[derive(Serialize)]
struct Case {
    name: String,
    labels: Vec<String>,
    truth: serde_json::Value,
    predicted: serde_json::Value,
    scores: Option<Vec<Vec<f64>>>,
    weights: Option<Vec<f64>>,
    metrics: Vec<MetricGate>,
    #[serde(skip)]
    ours: Vec<Value>,
}

fn finish(
    name: &str,
    truth: Truth,
    answers: Answers,
    weights: Option<Vec<f64>>,
    metrics: Vec<MetricGate>,
) -> Case {
    let json = |value: &dyn Fn() -> serde_json::Result<serde_json::Value>| value().unwrap();
    let (labels, truth_json) = match &truth {
        Truth::Classes(labels, rows) => (
            labels.names().to_vec(),
            json(&|| serde_json::to_value(rows)),
        ),
        Truth::Multilabel(labels, rows) => (
            labels.names().to_vec(),
            json(&|| serde_json::to_value(rows)),
        ),
        Truth::Numbers(rows) => (vec![], json(&|| serde_json::to_value(rows))),
    };
    let (predicted, scores) = match &answers {
        Answers::Classes(rows, scores) => (json(&|| serde_json::to_value(rows)), scores.clone()),
        Answers::Multilabel(rows, scores) => (json(&|| serde_json::to_value(rows)), scores.clone()),
        Answers::Numbers(rows) => (json(&|| serde_json::to_value(rows)), None),
    };
    let candidate = Candidate::new(truth, answers).unwrap();
    let candidate = match &weights {
        Some(weights) => candidate.with_weights(weights.clone()).unwrap(),
        None => candidate,
    };
    let value = |gate: &MetricGate| {
        let metric = Metric::new(gate, candidate.truth()).unwrap();
        let prepared = Prepared::new(&metric, gate.name, &candidate).unwrap();
        prepared.value(candidate.weights())
    };
    Case {
        name: name.to_owned(),
        labels,
        truth: truth_json,
        predicted,
        scores: scores.map(|scores| scores.rows),
        weights,
        ours: metrics.iter().map(value).collect(),
        metrics,
    }
}

fn labels(count: usize) -> Labels {
    Labels::new((0..count).map(|index| format!("c{index}")).collect()).unwrap()
}

fn gate(name: MetricName) -> MetricGate {
    let mut gate = MetricGate::new(name);
    if name == MetricName::FBeta {
        gate.beta = Some(2.0);
    }
    gate
}

const RATES: [MetricName; 6] = [
    MetricName::Precision,
    MetricName::Recall,
    MetricName::Sensitivity,
    MetricName::Specificity,
    MetricName::F1,
    MetricName::FBeta,
];

fn rates() -> Vec<MetricGate> {
    let mut gates = vec![];
    for name in RATES {
        for zero_division in [
            ZeroDivision::Undefined,
            ZeroDivision::Zero,
            ZeroDivision::One,
        ] {
            for average in [
                None,
                Some(Average::Micro),
                Some(Average::Macro),
                Some(Average::Weighted),
            ] {
                gates.push(MetricGate {
                    average,
                    zero_division,
                    ..gate(name)
                });
            }
            gates.push(MetricGate {
                class: Some("c0".into()),
                zero_division,
                ..gate(name)
            });
        }
    }
    gates
}

fn ordered(one_vs_one: bool) -> Vec<MetricGate> {
    let mut gates = vec![];
    for name in [MetricName::RocAuc, MetricName::AveragePrecision] {
        gates.push(MetricGate {
            class: Some("c0".into()),
            ..gate(name)
        });
        gates.push(gate(name));
        for average in [Some(Average::Macro), Some(Average::Weighted)] {
            gates.push(MetricGate {
                average,
                ..gate(name)
            });
        }
    }
    if one_vs_one {
        for average in [Some(Average::Macro), Some(Average::Weighted)] {
            let multi_class = Some(MultiClass::OneVsOne);
            gates.push(MetricGate {
                average,
                multi_class,
                ..gate(MetricName::RocAuc)
            });
        }
    }
    gates
}

fn class_metrics(classes: usize, whole_weights: bool) -> Vec<MetricGate> {
    let mut gates = rates();
    gates.extend(ordered(classes > 2 && whole_weights));
    for name in [
        MetricName::Accuracy,
        MetricName::BalancedAccuracy,
        MetricName::Mcc,
        MetricName::CohenKappa,
        MetricName::LogLoss,
        MetricName::Brier,
        MetricName::CalibrationError,
    ] {
        gates.push(gate(name));
    }
    let cost = |row: usize, column: usize| {
        if row == column {
            0.0
        } else {
            1.5 + f64::from(row > column)
        }
    };
    let costs = (0..classes).map(|row| (0..classes).map(|column| cost(row, column)).collect());
    gates.push(MetricGate {
        costs: Some(costs.collect()),
        ..gate(MetricName::Cost)
    });
    if classes > 2 {
        for k in 1..classes {
            gates.push(MetricGate {
                k: Some(k),
                ..gate(MetricName::TopK)
            });
        }
    }
    gates
}

/// Probabilities in steps of `1 / grain`, so that a coarse grain ties many rows.
fn probabilities(random: &mut Random, truth: usize, classes: usize, grain: f64) -> Vec<f64> {
    let raw: Vec<f64> = (0..classes)
        .map(|class| {
            let pull = if class == truth { 0.5 } else { 0.0 };
            ((random.unit() + pull) * grain).floor() / grain + 0.01
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|value| value / sum).collect()
}

fn largest(row: &[f64]) -> usize {
    (0..row.len()).fold(
        0,
        |best, class| if row[class] > row[best] { class } else { best },
    )
}

fn classes_case(
    name: &str,
    classes: usize,
    truth: Vec<usize>,
    rows: Vec<Vec<f64>>,
    weights: Option<Vec<f64>>,
) -> Case {
    let predicted = rows.iter().map(|row| largest(row)).collect();
    let scores = Scores {
        kind: ScoreKind::Probability,
        rows,
    };
    let whole = weights.iter().flatten().all(|weight| weight.fract() <= 0.0);
    let metrics = class_metrics(classes, whole);
    let truth = Truth::Classes(labels(classes), truth);
    finish(
        name,
        truth,
        Answers::Classes(predicted, Some(scores)),
        weights,
        metrics,
    )
}

fn random_weights(random: &mut Random, kind: usize, rows: usize) -> Option<Vec<f64>> {
    match kind {
        0 => None,
        1 => Some(
            (0..rows)
                .map(|_| f64::from(u8::try_from(random.below(4)).unwrap()))
                .collect(),
        ),
        _ => Some((0..rows).map(|_| random.unit() + 0.01).collect()),
    }
}

fn random_classes() -> Vec<Case> {
    let mut random = Random::new(15);
    let mut cases = vec![];
    for classes in [2, 3, 5] {
        for grain in [4.0, 1e6] {
            for kind in 0..3 {
                let size = 40 + random.below(160);
                let truth: Vec<usize> = (0..size).map(|_| random.below(classes)).collect();
                let rows = truth
                    .iter()
                    .map(|class| probabilities(&mut random, *class, classes, grain))
                    .collect();
                let weights = random_weights(&mut random, kind, size);
                cases.push(classes_case(
                    &format!("{classes} classes, grain {grain}, weights {kind}"),
                    classes,
                    truth,
                    rows,
                    weights,
                ));
            }
        }
    }
    cases
}

fn made_classes() -> Vec<Case> {
    let sure = |class: usize| {
        (0..3)
            .map(|other| if other == class { 1.0 } else { 0.0 })
            .collect::<Vec<f64>>()
    };
    let even = vec![0.25, 0.5, 0.25];
    vec![
        classes_case("no rows", 3, vec![], vec![], None),
        classes_case("one row", 3, vec![1], vec![even.clone()], None),
        classes_case("one class only", 3, vec![1; 5], vec![even.clone(); 5], None),
        classes_case(
            "one class only, always wrong",
            3,
            vec![1; 5],
            vec![sure(0); 5],
            None,
        ),
        classes_case("constant scores", 3, vec![0, 1, 2, 1], vec![even; 4], None),
        classes_case(
            "a class absent from labels",
            3,
            vec![0, 1, 0, 1, 1],
            [0, 1, 2, 1, 0].map(sure).to_vec(),
            None,
        ),
        classes_case(
            "a class never answered",
            3,
            vec![0, 1, 2, 2],
            [0, 1, 0, 1].map(sure).to_vec(),
            None,
        ),
        classes_case(
            "perfect",
            3,
            vec![0, 1, 2, 2],
            [0, 1, 2, 2].map(sure).to_vec(),
            None,
        ),
        classes_case(
            "all wrong",
            3,
            vec![0, 1, 2, 2],
            [1, 2, 0, 0].map(sure).to_vec(),
            None,
        ),
        classes_case(
            "two classes, only negatives",
            2,
            vec![0; 4],
            vec![vec![0.7, 0.3]; 4],
            None,
        ),
        classes_case(
            "two classes, only positives",
            2,
            vec![1; 4],
            vec![vec![0.7, 0.3]; 4],
            None,
        ),
        classes_case(
            "two classes, ties",
            2,
            vec![0, 1, 0, 1],
            vec![vec![0.5, 0.5]; 4],
            None,
        ),
    ]
}

fn several_labels() -> Vec<Case> {
    let mut random = Random::new(16);
    let mut cases = vec![];
    for (name, count, absent) in [
        ("labels", 4, false),
        ("a label that never holds", 3, true),
        ("two labels", 2, false),
    ] {
        for kind in 0..3 {
            let size = 80;
            let mut flip = |chance: f64| random.unit() < chance;
            let truth: Vec<Vec<bool>> = (0..size)
                .map(|_| {
                    (0..count)
                        .map(|label| flip(0.4) && !(absent && label == 1))
                        .collect()
                })
                .collect();
            let rows: Vec<Vec<f64>> = truth
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|holds| {
                            ((random.unit() + f64::from(*holds) * 0.5) * 10.0).floor() / 15.0
                        })
                        .collect()
                })
                .collect();
            let predicted = rows
                .iter()
                .map(|row| row.iter().map(|score| *score >= 0.5).collect())
                .collect();
            let weights = random_weights(&mut random, kind, size);
            let mut metrics = rates();
            metrics.extend(ordered(false));
            let scores = Scores {
                kind: ScoreKind::Score,
                rows,
            };
            cases.push(finish(
                &format!("{name}, weights {kind}"),
                Truth::Multilabel(labels(count), truth),
                Answers::Multilabel(predicted, Some(scores)),
                weights,
                metrics,
            ));
        }
    }
    cases
}

fn numbers() -> Vec<Case> {
    let mut random = Random::new(17);
    let mut cases = vec![];
    let all = || {
        [
            MetricName::Mae,
            MetricName::Rmse,
            MetricName::R2,
            MetricName::Mape,
        ]
        .map(gate)
        .to_vec()
    };
    for kind in 0..3 {
        let truth: Vec<f64> = (0..100).map(|_| random.unit() * 200.0 - 50.0).collect();
        let said = truth
            .iter()
            .map(|value| value + random.unit() * 10.0 - 4.0)
            .collect();
        let weights = random_weights(&mut random, kind, 100);
        cases.push(finish(
            &format!("numbers, weights {kind}"),
            Truth::Numbers(truth),
            Answers::Numbers(said),
            weights,
            all(),
        ));
    }
    for (name, truth, said) in [
        ("no numbers", vec![], vec![]),
        ("one number", vec![3.0], vec![2.0]),
        ("constant truth", vec![3.0, 3.0], vec![3.0, 4.0]),
        ("constant truth, met", vec![3.0, 3.0], vec![3.0, 3.0]),
        (
            "a large common part",
            vec![1e6, 1e6 + 1.0, 1e6 + 2.0],
            vec![1e6, 1e6 + 1.5, 1e6 + 2.0],
        ),
    ] {
        cases.push(finish(
            name,
            Truth::Numbers(truth),
            Answers::Numbers(said),
            None,
            all(),
        ));
    }
    cases
}

/// Where Python finds scikit-learn.
fn site() -> PathBuf {
    let package = ensure_blocking(Tool::Sklearn, &Say::stderr()).unwrap();
    package.ancestors().nth(2).unwrap().to_owned()
}

/// What scikit-learn answers to all cases, by one process.
fn sklearn(site: &Path, cases: &[Case]) -> Vec<Vec<Option<f64>>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/answers.py");
    let mut python = Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", site)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is on the PATH");
    let input = serde_json::to_vec(cases).unwrap();
    python.stdin.take().unwrap().write_all(&input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "answers.py ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn every_metric_has_the_value_of_scikit_learn() {
    let site = site();
    let mut cases = random_classes();
    cases.extend(made_classes());
    cases.extend(several_labels());
    cases.extend(numbers());
    let theirs = sklearn(&site, &cases);
    let (mut compared, mut wrong) = (0, vec![]);
    for (case, theirs) in cases.iter().zip(theirs) {
        for ((gate, ours), theirs) in case.metrics.iter().zip(&case.ours).zip(theirs) {
            compared += 1;
            let same = match (ours, theirs) {
                (Ok(ours), Some(theirs)) => near(*ours, theirs),
                (Err(_), None) => true,
                (Ok(_), None) | (Err(_), Some(_)) => false,
            };
            if !same {
                let gate = serde_json::to_string(gate).unwrap();
                wrong.push(format!(
                    "{}: {gate}: {ours:?}, scikit-learn {theirs:?}",
                    case.name
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 3000, "only {compared} values were compared");
}
