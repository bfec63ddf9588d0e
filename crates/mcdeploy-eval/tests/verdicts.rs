//! What the judge says of hand-made versions.

#![cfg(test)]

use mcdeploy_eval::{
    Answers, Candidate, Gate, InputError, JudgeError, Labels, MetricError, MetricGate, MetricName,
    Outcome, Place, Reason, Report, ScoreKind, Scores, Truth, Undefined, Verdict, describe,
    interval::Method, judge, judge_places,
};
use serde_json::json;

fn gate(value: serde_json::Value) -> Gate {
    serde_json::from_value(value).unwrap()
}

fn spam() -> Labels {
    Labels::new(vec!["ham".into(), "spam".into()]).unwrap()
}

/// `right` rows of each class answered rightly, `wrong` of each wrongly.
fn answered(right: usize, wrong: usize) -> Candidate {
    let truth: Vec<usize> = (0..2 * (right + wrong)).map(|row| row % 2).collect();
    let said = truth
        .iter()
        .enumerate()
        .map(|(row, class)| if row < 2 * right { *class } else { 1 - class });
    let answers = Answers::Classes(said.collect(), None);
    Candidate::new(Truth::Classes(spam(), truth), answers).unwrap()
}

fn only(report: &Report) -> &Reason {
    assert_eq!(report.checks.len(), 1);
    &report.checks[0].evidence.reason
}

#[test]
fn the_interval_decides_and_not_the_value() {
    let gate = gate(json!({"metrics": [{"name": "accuracy", "lowerBound": 0.9}]}));
    for (right, wrong, verdict, outcome) in [
        (490, 10, Verdict::Pass, Outcome::Proceed),
        (455, 45, Verdict::Inconclusive, Outcome::Hold),
        (300, 200, Verdict::Fail, Outcome::Fail),
    ] {
        let report = judge(&gate, &answered(right, wrong), None).unwrap();
        assert_eq!((report.verdict, report.outcome), (verdict, outcome));
        let interval = report.checks[0].evidence.interval.unwrap();
        assert_eq!(interval.method, Method::Exact);
        let (low, high) = (interval.low.unwrap(), interval.high.unwrap());
        assert_eq!(verdict == Verdict::Pass, low >= 0.9);
        assert_eq!(verdict == Verdict::Fail, high <= 0.9);
    }
}

#[test]
fn a_few_rows_without_an_error_prove_little() {
    let gate = gate(json!({"metrics": [
        {"name": "f1", "average": "Macro", "lowerBound": 0.9},
        {"name": "mcc", "lowerBound": 0.8},
    ]}));
    let few = judge(&gate, &answered(5, 0), None).unwrap();
    assert_eq!(few.verdict, Verdict::Inconclusive);
    assert_eq!(
        few.checks[0].evidence.interval.unwrap().method,
        Method::RuleOfThree
    );
    let many = judge(&gate, &answered(100, 0), None).unwrap();
    assert_eq!(many.verdict, Verdict::Pass);
}

#[test]
fn inconclusive_counts_as_the_gate_says() {
    let gate = gate(json!({
        "metrics": [{"name": "accuracy", "lowerBound": 0.9}],
        "inconclusive": "Fail",
    }));
    let report = judge(&gate, &answered(45, 5), None).unwrap();
    assert_eq!(
        (report.verdict, report.outcome),
        (Verdict::Inconclusive, Outcome::Fail)
    );
}

#[test]
fn what_has_no_data_is_inconclusive_by_name() {
    let empty = answered(0, 0);
    let accuracy = gate(json!({"metrics": [{"name": "accuracy", "lowerBound": 0.1}]}));
    let report = judge(&accuracy, &empty, None).unwrap();
    assert_eq!(only(&report), &Reason::Undefined(Undefined::NoData));
    assert_eq!(report.verdict, Verdict::Inconclusive);

    let slices = gate(json!({
        "metrics": [{"name": "accuracy", "lowerBound": 0.1}],
        "slices": [{"columns": ["region"], "minSamples": 50}, {"columns": ["age"]}],
    }));
    let region = (0..200).map(|row| if row < 10 { "eu" } else { "us" }.to_owned());
    let candidate = answered(100, 0)
        .with_column("region", region.collect())
        .unwrap();
    let report = judge(&slices, &candidate, None).unwrap();
    let said: Vec<String> = report
        .checks
        .iter()
        .map(|check| format!("{check}: {:?}: {}", check.verdict, check.evidence.reason))
        .collect();
    assert_eq!(
        said,
        [
            "accuracy: at least 0.1: Pass: the interval clears the bound",
            "accuracy, region=eu: at least 0.1: Inconclusive: fewer than 50 rows",
            "accuracy, region=us: at least 0.1: Pass: the interval clears the bound",
            "accuracy, age=*: at least 0.1: Inconclusive: the rows have no column \"age\"",
        ]
    );
    assert_eq!(report.verdict, Verdict::Inconclusive);
}

#[test]
fn a_margin_needs_an_incumbent_and_compares_row_by_row() {
    let gate = gate(json!({"metrics": [{"name": "accuracy", "maxDecrease": 0.02}]}));
    let candidate = answered(450, 50);
    let alone = judge(&gate, &candidate, None).unwrap();
    assert_eq!(only(&alone), &Reason::NoBaseline);

    let same = candidate.baseline(candidate.answers().clone()).unwrap();
    let report = judge(&gate, &candidate, Some(&same)).unwrap();
    assert_eq!(report.verdict, Verdict::Pass);
    let evidence = &report.checks[0].evidence;
    assert!(evidence.mc_nemar.unwrap().exact > 0.999);
    assert_eq!(evidence.decrease, Some(0.0));

    let better = candidate
        .baseline(answered(500, 0).answers().clone())
        .unwrap();
    let report = judge(&gate, &candidate, Some(&better)).unwrap();
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(
        report.checks[0].evidence.mc_nemar.unwrap().baseline_only,
        100
    );
}

#[test]
fn less_is_better_where_it_is() {
    let gate = gate(json!({"metrics": [
        {"name": "mae", "upperBound": 2.0, "maxDecrease": 0.5},
    ]}));
    let truth: Vec<f64> = (0..200).map(f64::from).collect();
    let off = |by: f64| {
        Answers::Numbers(
            truth
                .iter()
                .map(|value| value + by * (1.0 + (value % 3.0) / 10.0))
                .collect(),
        )
    };
    let candidate = Candidate::new(Truth::Numbers(truth.clone()), off(1.0)).unwrap();
    let worse = candidate.baseline(off(1.2)).unwrap();
    let report = judge(&gate, &candidate, Some(&worse)).unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{report:?}");
    assert!(report.checks[1].evidence.decrease.unwrap() < 0.0);
    let much_better = candidate.baseline(off(0.1)).unwrap();
    assert_eq!(
        judge(&gate, &candidate, Some(&much_better))
            .unwrap()
            .verdict,
        Verdict::Fail
    );
}

#[test]
fn a_check_that_does_not_decide_is_told_and_changes_nothing() {
    let gate = gate(json!({"metrics": [
        {"name": "accuracy", "lowerBound": 0.9},
        {"name": "recall", "lowerBound": 0.999, "critical": false},
    ]}));
    let report = judge(&gate, &answered(490, 10), None).unwrap();
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(report.checks[1].verdict, Verdict::Fail);
}

#[test]
fn every_place_must_pass() {
    let gate = gate(json!({"metrics": [{"name": "accuracy", "lowerBound": 0.9}]}));
    let (good, bad) = (answered(490, 10), answered(300, 200));
    let place = |name, candidate| Place {
        name,
        candidate,
        baseline: None,
    };
    let report = judge_places(&gate, &[place("aws", &good), place("gcp", &bad)]).unwrap();
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.checks[0].verdict, Verdict::Pass);
    assert_eq!(
        report.checks[1].to_string(),
        "accuracy, in gcp: at least 0.9"
    );
    assert_eq!(
        judge_places(&gate, &[]).unwrap().verdict,
        Verdict::Inconclusive
    );
}

#[test]
fn the_same_input_gives_the_same_report_and_it_survives_json() {
    let gate = gate(json!({
        "metrics": [{"name": "f1", "average": "Macro", "lowerBound": 0.9}],
        "confidence": {"level": 0.9, "resamples": 200, "seed": 3},
    }));
    let candidate = answered(90, 5);
    let report = judge(&gate, &candidate, None).unwrap();
    assert_eq!(report, judge(&gate, &candidate, None).unwrap());
    let text = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(read.verdict, report.verdict);
    assert_eq!(
        read.checks[0].evidence.reason,
        report.checks[0].evidence.reason
    );
    let text = serde_json::to_string(&gate).unwrap();
    assert_eq!(serde_json::from_str::<Gate>(&text).unwrap(), gate);
}

#[test]
fn an_end_beyond_all_draws_is_that_of_the_metrics_range() {
    // As calibrated as can be: every draw has a larger error.
    let rows = 400;
    let sure = |row: usize| [0.55, 0.65, 0.75, 0.85, 0.95][row % 5];
    let right = |row: usize| {
        let share = [55, 65, 75, 85, 95][row % 5];
        (row / 5 * 37) % 80 * 100 < share * 80
    };
    let truth = (0..rows).map(|row| usize::from(right(row))).collect();
    let scores = Scores {
        kind: ScoreKind::Probability,
        rows: (0..rows)
            .map(|row| vec![1.0 - sure(row), sure(row)])
            .collect(),
    };
    let answers = Answers::Classes(vec![1; rows], Some(scores));
    let candidate = Candidate::new(Truth::Classes(spam(), truth), answers).unwrap();
    let place = Place {
        name: "",
        candidate: &candidate,
        baseline: None,
    };
    let gate = gate(json!({"metrics": [{"name": "calibrationError"}]}));
    let described = describe(&gate.metrics, &[], gate.confidence, &place).unwrap();
    let (low, high) = described[0].interval;
    assert!(described[0].value.unwrap() < 0.02, "{:?}", described[0]);
    assert_eq!(low, Some(0.0));
    assert!(high.unwrap() > 0.0);
}

#[test]
fn too_few_draws_for_so_many_checks_are_told() {
    let metrics = vec![json!({"name": "f1", "average": "Macro", "lowerBound": 0.9}); 20];
    let gate = gate(json!({"metrics": metrics, "confidence": {"resamples": 100}}));
    let report = judge(&gate, &answered(190, 10), None).unwrap();
    assert_eq!(
        report.checks[0].evidence.reason,
        Reason::TooFewResamples { needed: 400 }
    );
}

#[track_caller]
fn refused(value: serde_json::Value, message: &str) {
    let error = judge(&gate(value), &answered(10, 1), None).unwrap_err();
    let text = match &error {
        JudgeError::Metric { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    };
    assert_eq!(text, message);
}

#[test]
fn a_gate_that_cannot_judge_says_what_to_change() {
    refused(
        json!({"metrics": []}),
        "`metrics` is empty; name at least one with a bound",
    );
    refused(
        json!({"metrics": [{"name": "mcc"}]}),
        "metric mcc (`metrics[0]`) has none of `lowerBound`, `upperBound` and `maxDecrease`; give one",
    );
    refused(
        json!({"metrics": [{"name": "mcc", "lowerBound": 1.0, "upperBound": 0.0}]}),
        "metric mcc (`metrics[0]`): `lowerBound` is above `upperBound`, so nothing can pass",
    );
    for resamples in [0, 1] {
        refused(
            json!({"metrics": [{"name": "mcc", "lowerBound": 0}], "confidence": {"resamples": resamples}}),
            &format!("`confidence.resamples` is {resamples}, expected 100 to 100000"),
        );
    }
    refused(
        json!({"metrics": [{"name": "rmse", "upperBound": 1}]}),
        "`metrics[0]`: metric rmse is not for classes; take another metric",
    );
    refused(
        json!({"metrics": [{"name": "recall", "class": "egg", "lowerBound": 1}]}),
        "`metrics[0]`: metric recall: class \"egg\" is none of the labels [\"ham\", \"spam\"]",
    );
    refused(
        json!({"metrics": [{"name": "rocAuc", "lowerBound": 1}]}),
        "`metrics[0]`: metric rocAuc needs scores of every class; give them with the answers",
    );
    refused(
        json!({"metrics": [{"name": "accuracy", "average": "Macro", "lowerBound": 1}]}),
        "`metrics[0]`: metric accuracy takes no `average` here: it would change nothing",
    );
    let unknown = serde_json::from_value::<Gate>(json!({"metrics": [], "metric": []}));
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .contains("unknown field `metric`")
    );
}

#[test]
fn input_that_cannot_be_judged_names_the_row() {
    let one = |kind, rows| {
        Candidate::new(
            Truth::Classes(spam(), vec![0, 1]),
            Answers::Classes(vec![0, 1], Some(Scores { kind, rows })),
        )
    };
    let text = |result: Result<Candidate, InputError>| result.unwrap_err().to_string();
    assert_eq!(
        text(one(ScoreKind::Score, vec![vec![0.5], vec![f64::NAN]])),
        "row 1 of the scores is NaN, expected a finite number; drop the row or repair the model",
    );
    assert_eq!(
        text(one(
            ScoreKind::Probability,
            vec![vec![0.5, 0.5], vec![0.5, 0.6]]
        )),
        "row 1 of the probabilities sums to 1.1, expected 1; give them as scores if they are none",
    );
    assert_eq!(
        text(one(ScoreKind::Probability, vec![vec![1.5], vec![0.5]])),
        "row 0 of the probabilities has -0.5, expected 0 to 1; give it as a score if it is none",
    );
    assert_eq!(
        text(one(ScoreKind::Score, vec![vec![1.5]])),
        "the scores has 1 rows and the labels have 2; give one for each label",
    );
    assert_eq!(
        text(answered(1, 0).with_weights(vec![1.0, -1.0])),
        "row 1 of the weights is -1, expected 0 or more",
    );
    assert_eq!(
        text(Candidate::new(
            Truth::Classes(spam(), vec![2]),
            Answers::Classes(vec![0], None)
        )),
        "row 0 of the labels is class 2, and there are 2 classes from 0",
    );
    assert!(matches!(
        answered(1, 0).baseline(Answers::Numbers(vec![1.0, 2.0])),
        Err(InputError::Task { .. })
    ));
    assert!(spam().indices("the labels", &["ham", "egg"]).is_err());
    assert!(Labels::new(vec!["ham".into(), "ham".into()]).is_err());
    assert!(matches!(
        judge(
            &gate(json!({"metrics": [{"name": "topK", "lowerBound": 1}]})),
            &answered(1, 0),
            None
        ),
        Err(JudgeError::Metric {
            source: MetricError::Field { field: "k", .. },
            ..
        })
    ));
}

#[test]
fn what_has_no_bound_is_described_with_the_interval_of_a_judgement() {
    let candidate = answered(455, 45);
    let baseline = candidate
        .baseline(answered(480, 20).answers().clone())
        .unwrap();
    let gate = gate(json!({"metrics": [{"name": "accuracy", "lowerBound": 0.9}]}));
    let judged = judge(&gate, &candidate, None).unwrap();
    let judged = judged.checks[0].evidence.interval.unwrap();
    let place = Place {
        name: "",
        candidate: &candidate,
        baseline: Some(&baseline),
    };
    let metrics = [MetricGate::new(MetricName::Accuracy)];
    let described = describe(&metrics, &[], gate.confidence, &place).unwrap();
    assert_eq!(described.len(), 1);
    let accuracy = &described[0];
    assert_eq!(accuracy.value, Some(0.91));
    assert_eq!(accuracy.interval, (judged.low, judged.high));
    assert_eq!(accuracy.baseline, Some(0.96));
    assert!((accuracy.decrease.unwrap() - 0.05).abs() < 1e-12);
    let (low, high) = accuracy.decrease_interval;
    assert!(low.unwrap() > 0.0 && high.unwrap() < 0.1);
    assert_eq!(accuracy.metric, metrics[0]);
}
