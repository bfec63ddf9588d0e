//! What is suggested for data of each kind, and that it is a template that holds.

#![cfg(test)]

use std::fs;

use mcdeploy_eval::Verdict;
use mcdeploy_evaluate::{
    Judged, Plan, Sources, answers, evaluate, parse_template, read, rows, suggest,
};

/// Suggests for two files, checks that the template parses and that the version passes it.
fn suggested(labels: &str, predictions: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let table = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path, None).unwrap()
    };
    let predictions = table("p.csv", predictions);
    let rows = rows(&Plan::default(), table("y.csv", labels), Some(&predictions)).unwrap();
    let given = answers(&rows, predictions).unwrap().answers;
    let judged = Judged::new("", &rows, given, None).unwrap();
    let text = suggest(&rows, &judged, &["y.csv".to_owned()]).unwrap();
    let template =
        parse_template("eval.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let gate = template.spec.gate();
    let own = evaluate(&gate, "eval.yaml", &rows, &[judged], Sources::default()).unwrap();
    assert_eq!(own.verdict, Verdict::Pass, "{text}\n{}", own.sentence);
    text
}

fn lines(rows: usize, header: &str, line: impl Fn(usize) -> String) -> String {
    let lines: Vec<String> = (0..rows).map(line).collect();
    format!("{header}\n{}\n", lines.join("\n"))
}

#[test]
fn a_rare_class_is_gated_by_itself_and_not_by_accuracy() {
    let labels = lines(2000, "label", |row| usize::from(row % 50 == 0).to_string());
    let answers = lines(2000, "probability", |row| {
        let caught = row % 50 == 0 && row % 400 != 0;
        format!(
            "{}",
            if caught {
                0.8
            } else if row % 700 == 1 {
                0.7
            } else {
                0.1
            }
        )
    });
    let text = suggested(&labels, &answers);
    assert!(
        text.contains(
            "Only 2.0 % of the rows are \"1\": never answering \"1\" would be 98.0 % accurate."
        ),
        "{text}"
    );
    assert!(
        text.contains("- {name: recall, class: \"1\", lowerBound: 0."),
        "{text}"
    );
    assert!(
        text.contains("- {name: averagePrecision, class: \"1\", "),
        "{text}"
    );
    assert!(!text.contains("- {name: accuracy, lower"), "{text}");
}

#[test]
fn even_classes_are_gated_by_accuracy_and_by_the_one_found_least() {
    let labels = lines(600, "label", |row| {
        ["a", "b", "c: \"#\""][row % 3].replace('"', "'")
    });
    let answers = lines(600, "prediction", |row| {
        let row = if row % 3 == 1 && row % 10 == 0 {
            row + 1
        } else {
            row
        };
        ["a", "b", "c: \"#\""][row % 3].replace('"', "'")
    });
    let text = suggested(&labels, &answers);
    assert!(
        text.contains("- {name: accuracy, lowerBound: 0.9"),
        "{text}"
    );
    assert!(
        text.contains("- {name: recall, class: \"b\", lowerBound: 0."),
        "{text}"
    );
    assert!(
        text.contains("labels: [\"a\", \"b\", \"c: '#'\"]"),
        "{text}"
    );
}

#[test]
fn numbers_are_gated_by_how_far_off_they_are() {
    let number = |row: usize| f64::from(u32::try_from(row * 7919 % 1000).unwrap()) / 8.0;
    let labels = lines(300, "label", |row| number(row).to_string());
    let answers = lines(300, "prediction", |row| {
        (number(row) + number(row + 1) / 20.0 - 3.0).to_string()
    });
    let text = suggested(&labels, &answers);
    assert!(
        text.contains("task: Regression") && text.contains("- {name: mae, upperBound: "),
        "{text}"
    );
    assert!(!text.contains("labels:"), "{text}");
}
