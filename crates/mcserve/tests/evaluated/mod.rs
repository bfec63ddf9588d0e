//! The server as an evaluation asks it.

use mcdeploy_eval::{Confidence, Gate, MetricGate, MetricName, Verdict, WhenInconclusive};
use mcdeploy_evaluate::{
    Asked, Endpoint, Inference, Judged, Parity, Plan, Rows, Sources, ask, evaluate, questions,
    read, rows, rows_to_ask,
};

use crate::support::{Child, digits, expected};

async fn asked(server: &Child, name: &str, version: &str, rows: &Rows) -> Asked {
    let endpoint = Endpoint {
        name: name.to_owned(),
        url: format!("http://{}", server.address()),
    };
    let inference = Inference {
        model: Some("digits".into()),
        version: Some(version.into()),
        requests_per_second: 200.0,
        batch: 20,
        ..Inference::default()
    };
    let ask_rows = rows_to_ask(&inference.budget, rows.truth.rows(), 0);
    let questions = questions(rows, ask_rows).unwrap();
    ask(&endpoint, &inference, rows, &questions, &|_| ())
        .await
        .unwrap()
}

#[tokio::test]
async fn answers_judged_over_the_wire_are_those_of_scikit_learn_and_places_are_compared() {
    let server = Child::start(&digits("models"), &[]).await;
    let rows = rows(
        &Plan::default(),
        read(&digits("held-out.csv"), None).unwrap(),
        None,
    )
    .unwrap();
    let all: Vec<usize> = (0..rows.truth.rows()).collect();
    let mut judged = vec![];
    for (name, version) in [("aws", "v3"), ("gcp", "v3"), ("azure", "v1")] {
        let asked = asked(&server, name, version, &rows).await;
        assert_eq!((asked.requests, asked.version.as_str()), (27, version));
        let answers = asked.answers(&rows, &all);
        let mcdeploy_eval::Answers::Classes(said, Some(scores)) = &answers else {
            panic!("classes with probabilities");
        };
        let said: Vec<i64> = said
            .iter()
            .map(|class| i64::try_from(*class).unwrap())
            .collect();
        assert_eq!(said, expected(version));
        assert_eq!(scores.rows[0].len(), 10);
        judged.push(Judged::new(name, &rows, answers, None).unwrap());
    }
    let gate = Gate {
        metrics: vec![MetricGate {
            lower_bound: Some(0.9),
            ..MetricGate::new(MetricName::Accuracy)
        }],
        slices: vec![],
        confidence: Confidence {
            resamples: 200,
            ..Confidence::default()
        },
        inconclusive: WhenInconclusive::Hold,
    };
    let sources = || Sources {
        parity: Parity::default(),
        ..Sources::default()
    };
    let same = evaluate(&gate, "a test", &rows, &judged[..2], sources()).unwrap();
    assert_eq!(same.verdict, Verdict::Pass);
    assert_eq!(
        (same.parity[0].different, same.parity[0].verdict),
        (0, Verdict::Pass)
    );
    let apart = evaluate(&gate, "a test", &rows, &judged, sources()).unwrap();
    assert_eq!(apart.verdict, Verdict::Fail);
    assert!(apart.parity[1].different > 0);
    assert!(
        apart
            .sentence
            .starts_with("Not good enough: azure does not answer as aws does, "),
        "{}",
        apart.sentence
    );
    server.stop().await;
}
