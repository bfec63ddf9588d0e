//! Files as people really have them: each mistake is one sentence with its place.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use mcdeploy_eval::Answers;
use mcdeploy_evaluate::{
    AnswerTable, Columns, EvaluateError, Plan, TaskKind, answers, parse_template, read, rows,
};

const LABELS: &str = "id,label\n1,ham\n2,spam\n3,ham\n";

fn plan() -> Plan {
    Plan {
        labels: vec!["ham".into(), "spam".into()],
        ..Plan::default()
    }
}

fn desk() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn written(dir: &tempfile::TempDir, (name, bytes): (&str, &[u8])) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Reads labels and predictions, each a file name and its bytes.
fn joined(
    plan: &Plan,
    labels: (&str, &[u8]),
    predictions: (&str, &[u8]),
) -> Result<AnswerTable, EvaluateError> {
    let dir = desk();
    let labels = written(&dir, labels);
    let predictions = written(&dir, predictions);
    let labels = read(&labels, None)?;
    let predictions = read(&predictions, None)?;
    let rows = rows(plan, labels, Some(&predictions))?;
    answers(&rows, predictions)
}

/// The sentence, with the directory left out.
fn sentence(plan: &Plan, labels: (&str, &[u8]), predictions: (&str, &[u8])) -> String {
    let error = joined(plan, labels, predictions).expect_err("it is refused");
    let text = error.to_string();
    let word = |word: &str| match word.rsplit_once('/') {
        Some((before, name)) if before.starts_with('/') => name.to_owned(),
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(word).collect();
    words.join(" ")
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let mark = mark.then_some(0xfeff_u16);
    let units = mark.into_iter().chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// Contents of `p.csv`, and what is said of them.
const PREDICTIONS: [(&str, &str); 24] = [
    (
        "id,answer\n1,ham\n",
        "p.csv: expected a column \"prediction\", or one per label such as \"probability_ham\", found only \"id\" and \"answer\"",
    ),
    (
        "id,prediction\n1,ham\n2,sapm\n3,ham\n",
        "p.csv, row 2 (line 3), column \"prediction\": expected one of the labels \"ham\" and \"spam\", found \"sapm\"",
    ),
    (
        "id,prediction\n1,0\n2,1\n3,0\n",
        "p.csv, row 1 (line 2), column \"prediction\": expected one of the labels \"ham\" and \"spam\", found \"0\"",
    ),
    (
        "id,prediction\n1,ham\n2,\n3,ham\n",
        "p.csv, row 2 (line 3), column \"prediction\": expected one of the labels \"ham\" and \"spam\", found nothing",
    ),
    (
        "id,prediction\n1,ham\n2,spam\n2,ham\n",
        "p.csv, row 3 (line 4), column \"id\": expected an id that no other row has, found \"2\" as in row 2",
    ),
    (
        "id,prediction\n1,ham\n,spam\n3,ham\n",
        "p.csv, row 2 (line 3), column \"id\": expected an id, found nothing",
    ),
    (
        "id,prediction\n1,ham\n3,ham\n",
        "p.csv: expected an answer to the id \"2\" of y.csv, row 2, found none",
    ),
    (
        "id,prediction\n1,ham\n2,spam\n3,ham\n4,ham\n",
        "p.csv, row 4 (line 5), column \"id\": expected an id of y.csv, found \"4\"",
    ),
    (
        "prediction\nham\nspam\n",
        "p.csv: expected 3 rows, one for each of y.csv, found 2",
    ),
    (
        "prediction\nham\nspam\nham\nham\n",
        "p.csv: expected 3 rows, one for each of y.csv, found 4",
    ),
    (
        "id,probability_ham,probability_spam\n1,0.9,0.1\n2,NaN,0.5\n3,1,0\n",
        "p.csv, row 2 (line 3), column \"probability_ham\": expected a finite number, found \"NaN\"",
    ),
    (
        "id,probability_ham,probability_spam\n1,0.9,0.1\n2,0.5,inf\n3,1,0\n",
        "p.csv, row 2 (line 3), column \"probability_spam\": expected a finite number, found \"inf\"",
    ),
    (
        "id,probability_ham,probability_spam\n1,0.9,0.1\n2,0.5,0.4\n3,1,0\n",
        "p.csv, row 2 (line 3): expected probabilities that sum to 1, found 0.9000",
    ),
    (
        "id,probability_ham,probability_spam\n1,90,10\n",
        "p.csv, row 1 (line 2), column \"probability_ham\": expected a probability, 0 to 1 (give scores as `score`), found \"90\"",
    ),
    (
        "id,probability_ham,probability_spam\n1,\"0,9\",\"0,1\"\n",
        "p.csv, row 1 (line 2), column \"probability_ham\": expected a finite number, found \"0,9\"",
    ),
    (
        "id,probability_ham\n1,0.9\n",
        "p.csv: expected a column \"probability_spam\", found only \"id\" and \"probability_ham\"",
    ),
    (
        "id,probability_ham,probability_spam,probability_eggs\n1,0.9,0.1,0\n",
        "p.csv: expected columns \"probability\" of \"ham\" and \"spam\", found \"probability_eggs\" too",
    ),
    (
        "id,probability\n1,0.9\n2,1.2\n3,0\n",
        "p.csv, row 2 (line 3), column \"probability\": expected a probability, 0 to 1 (give scores as `score`), found \"1.2\"",
    ),
    (
        "",
        "p.csv: expected a header and at least 1 row, found an empty file",
    ),
    (
        "id,prediction\n",
        "p.csv: expected at least 1 row, found 0 rows",
    ),
    (
        "1,0.5\n2,0.5\n",
        "p.csv: expected a first line with names of columns, found numbers, \"1\" and \"0.5\"",
    ),
    (
        "id,prediction,id\n1,ham,1\n",
        "p.csv: expected names of columns that differ, found two columns \"id\"",
    ),
    (
        "id,prediction\n1,ham\n2,spam,0.5\n3,ham\n",
        "p.csv, row 2 (line 3): expected 2 columns as in the header, found 3",
    ),
    (
        "id,prediction\n1,ham\n2,\"spam\n3,ham\n",
        "p.csv, row 2 (line 3): expected a quote that closes, found the end of the file",
    ),
];

#[test]
fn every_mistake_in_predictions_is_told_with_row_column_expected_and_found() {
    for (text, expected) in PREDICTIONS {
        let told = sentence(
            &plan(),
            ("y.csv", LABELS.as_bytes()),
            ("p.csv", text.as_bytes()),
        );
        assert_eq!(told, expected, "{text:?}");
    }
}

#[test]
fn every_mistake_in_json_lines_is_told_with_its_line() {
    let cases = [
        (
            "{\"id\": 1, \"prediction\": \"ham\"}\n{\"id\": 2\n",
            "p.jsonl, row 2 (line 2): expected a JSON object, found what is no JSON (EOF while parsing an object in column 8)",
        ),
        (
            "\n[1, \"ham\"]\n",
            "p.jsonl, row 1 (line 2): expected a JSON object, found a list",
        ),
        (
            "{\"id\": 1, \"probability\": [0.5, 0.25, 0.25]}\n",
            "p.jsonl, row 1 (line 1), column \"probability\": expected a list of 2 numbers, in the order of labels, found 3",
        ),
        (
            "{\"id\": 1, \"probability\": [0.5, null]}\n",
            "p.jsonl, row 1 (line 1), column \"probability\": expected a list of 2 numbers, in the order of labels, found \"[0.5,null]\"",
        ),
        (
            "{\"id\": 1, \"probability\": [0.5, 0.4]}\n",
            "p.jsonl, row 1 (line 1), column \"probability\": expected probabilities that sum to 1, found 0.9000",
        ),
        ("\n", "p.jsonl: expected at least 1 row, found 0 rows"),
    ];
    for (text, expected) in cases {
        let told = sentence(
            &plan(),
            ("y.csv", LABELS.as_bytes()),
            ("p.jsonl", text.as_bytes()),
        );
        assert_eq!(told, expected, "{text:?}");
    }
}

#[test]
fn every_mistake_in_labels_is_told_with_its_place() {
    let weighted = Plan {
        columns: Columns {
            weight: Some("w".into()),
            ..Columns::default()
        },
        ..plan()
    };
    let numbers = Plan {
        task: Some(TaskKind::Regression),
        ..Plan::default()
    };
    let any = Plan::default();
    let cases: [(&Plan, &str, &str); 8] = [
        (
            &any,
            "id,y\n1,ham\n",
            "y.csv: expected a column \"label\", found only \"id\" and \"y\"",
        ),
        (
            &plan(),
            "id,label\n1,ham\n2,Spam\n",
            "y.csv, row 2 (line 3), column \"label\": expected one of the labels \"ham\" and \"spam\", found \"Spam\"",
        ),
        (
            &plan(),
            "id,label\n1,ham\n2,\n",
            "y.csv, row 2 (line 3), column \"label\": expected a label, found nothing",
        ),
        (
            &any,
            "label\nham\nham\nham\n",
            "y.csv: expected two or more labels, found 1, \"ham\"",
        ),
        (
            &weighted,
            "label,w\nham,1\nham,-1\nham,1\n",
            "y.csv, row 2 (line 3), column \"w\": expected a weight of 0 or more, found \"-1\"",
        ),
        (
            &weighted,
            "label,w\nham,1\nham,\nham,1\n",
            "y.csv, row 2 (line 3), column \"w\": expected a finite number, found nothing",
        ),
        (
            &weighted,
            "label\nham\n",
            "y.csv: expected a column \"w\", found only \"label\"",
        ),
        (
            &numbers,
            "label\n1.5\ntwo\n",
            "y.csv, row 2 (line 3), column \"label\": expected a finite number, found \"two\"",
        ),
    ];
    for (plan, text, expected) in cases {
        let told = sentence(
            plan,
            ("y.csv", text.as_bytes()),
            ("p.csv", b"prediction\nham\nham\nham\n"),
        );
        assert_eq!(told, expected, "{text:?}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_by_name() {
    let text = "id,prediction\n1,ham\n2,spam\n3,ham\n";
    let latin1 = b"id,prediction\n1,ham\n2,sp\xe4m\n3,ham\n".to_vec();
    let cases = [
        (
            utf16(text, true)[..9].to_vec(),
            "p.csv: expected text in UTF-8, found broken UTF-16; save it again as UTF-8",
        ),
        (
            utf16(text, false),
            "p.csv: expected text in UTF-8, found UTF-16 without a byte order mark; save it again as UTF-8",
        ),
        (
            utf16("a\n1\n", false),
            "p.csv: expected text in UTF-8, found UTF-16 without a byte order mark; save it again as UTF-8",
        ),
        (
            latin1,
            "p.csv: expected text in UTF-8, found the byte 0xe4 in line 3; save it again as UTF-8",
        ),
    ];
    for (bytes, expected) in cases {
        let told = sentence(&plan(), ("y.csv", LABELS.as_bytes()), ("p.csv", &bytes));
        assert_eq!(told, expected);
    }
}

#[test]
fn what_spreadsheets_write_is_read() {
    let same = [
        "id,prediction\n1,ham\n2,spam\n3,ham\n",
        "\u{feff}id,prediction\r\n1,ham\r\n2,spam\r\n3,ham\r\n",
        "id;prediction\n1;ham\n2;spam\n3;ham",
        "id\tprediction\n1\tham\n2\tspam\n3\tham\n",
        "\"id\",\"prediction\"\n\"1\",\"ham\"\n\"2\",\"spam\"\n\"3\",\"ham\"\n",
        "note,id,prediction\n\"a, \"\"b\"\"\nc\",3,ham\n,2,spam\n,1,ham\n",
        "id , prediction\n3,ham\n\n2,spam\n1,ham\n\n",
    ];
    for text in same {
        // Excel's "Unicode text" is UTF-16 with tabs; its mark is not the text's own.
        let wide = utf16(text.trim_start_matches('\u{feff}'), true);
        for bytes in [text.as_bytes(), &wide] {
            let read = joined(&plan(), ("y.csv", LABELS.as_bytes()), ("p.csv", bytes));
            let said = read
                .unwrap_or_else(|error| panic!("{text:?}: {error}"))
                .answers;
            assert_eq!(said, Answers::Classes(vec![0, 1, 0], None), "{text:?}");
        }
    }
}

#[test]
fn files_that_are_not_there_or_have_no_known_ending_are_told() {
    let error = read(Path::new("/nowhere/y.csv"), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read /nowhere/y.csv: No such file"),
        "{error}"
    );
    let error = read(Path::new("y.xlsx"), None).unwrap_err().to_string();
    assert_eq!(
        error,
        "y.xlsx: expected a name that ends in .csv, .tsv, .jsonl or .parquet, found \"y.xlsx\""
    );
}

fn template(spec: &str) -> String {
    format!("apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n{spec}")
}

#[test]
fn a_template_that_is_wrong_or_contradicts_itself_is_refused_with_line_or_field() {
    let metric = "  metrics: [{name: accuracy, lowerBound: 0.9}]\n";
    let files = "  dataset: {files: [y.csv]}\n";
    let cases: [(String, &str); 11] = [
        (
            template(&format!(
                "  task: Binary\n  datset: {{files: [y.csv]}}\n{metric}"
            )),
            "eval.yaml:5:3: unknown field `datset`",
        ),
        (
            template(&format!(
                "  task: Binary\n{files}  metrics: [{{name: acuracy, lowerBound: 0.9}}]\n"
            )),
            "eval.yaml:6:20: unknown variant `acuracy`",
        ),
        (
            template(&format!(
                "  task: Binary\n{files}  metrics: [{{name: accuracy, lowerBound: high}}]\n"
            )),
            "eval.yaml:6:42: ",
        ),
        (
            "apiVersion: v1\nkind: EvaluationTemplate\nspec: {}\n".to_owned(),
            "eval.yaml:1:13: unknown variant `v1`",
        ),
        (template(&format!("{files}{metric}")), "eval.yaml:"),
        (
            template(&format!(
                "  task: Binary\n  dataset: {{files: []}}\n{metric}"
            )),
            "eval.yaml: `spec.dataset.files` is empty: name at least one",
        ),
        (
            template(&format!(
                "  task: Binary\n  dataset: {{files: [y.csv], labels: [0, 1, 2]}}\n{metric}"
            )),
            "eval.yaml: `spec.dataset.labels` has 3 entries and `spec.task` is Binary, which has exactly two",
        ),
        (
            template(&format!(
                "  task: Multiclass\n  dataset: {{files: [y.csv], labels: [0, 1, 0]}}\n{metric}"
            )),
            "eval.yaml: `spec.dataset.labels[2]`: \"0\" stands twice",
        ),
        (
            template(&format!("  task: Regression\n{files}{metric}")),
            "eval.yaml: `spec.metrics[0].name` is accuracy and `spec.task` is Regression, which has no such metric",
        ),
        (
            template(&format!(
                "  task: Binary\n  dataset: {{files: [y.csv], columns: {{probability: p, score: s}}}}\n{metric}"
            )),
            "eval.yaml: `spec.dataset.columns` has both `probability` and `score`: give the one that answers have",
        ),
        (
            template(&format!(
                "  task: Binary\n  dataset: {{files: [y.csv], columns: {{weight: label}}}}\n{metric}"
            )),
            "eval.yaml: `spec.dataset.columns.weight` is the column of the label: it must be another",
        ),
    ];
    for (text, expected) in cases {
        let told = parse_template("eval.yaml", &text).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}\n{text}");
        assert!(!told.contains('\n'), "{told}");
    }
}

#[test]
fn a_mistake_in_the_second_of_several_files_is_told_of_that_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path, None).unwrap()
    };
    let mut all = write("a.csv", "label\nham\nspam\n");
    all.append(&write("b.csv", "label\nham\negg\n")).unwrap();
    assert_eq!(all.rows(), 4);
    let error = rows(&plan(), all.clone(), None).unwrap_err().to_string();
    assert!(
        error.contains("b.csv, row 2 (line 3), column \"label\""),
        "{error}"
    );
    let error = all
        .append(&write("c.csv", "label,id\nham,1\n"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("c.csv: expected the columns of "), "{error}");
}
