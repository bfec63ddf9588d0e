//! `mcdeploy evaluate` as people run it, on the digits example.

#![cfg(test)]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

struct Desk {
    dir: tempfile::TempDir,
}

fn digits(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/digits")
        .join(name)
}

impl Desk {
    /// With labels of the held-out rows as `y.csv`, and what each version answered.
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let text = fs::read_to_string(digits("held-out.csv")).unwrap();
        let labels = text.lines().map(|line| line.rsplit(',').next().unwrap());
        desk.write("y.csv", &labels.collect::<Vec<_>>().join("\n"));
        for version in ["v1", "v2", "v3"] {
            let text = fs::read_to_string(digits(&format!("expected-{version}.json"))).unwrap();
            let expected: Value = serde_json::from_str(&text).unwrap();
            let classes = expected["classes"].as_array().unwrap();
            let lines = classes.iter().map(|class| format!("{class}\n"));
            let text: String = lines.collect();
            desk.write(&format!("{version}.csv"), &format!("prediction\n{text}"));
        }
        desk
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn template(&self, metrics: &str) {
        self.write(
            "eval.yaml",
            &format!(
                "apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n  task: Multiclass\n  dataset: {{files: [y.csv]}}\n  metrics:\n{metrics}"
            ),
        );
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
        command.current_dir(self.dir.path()).arg("evaluate");
        command.args(line.split_whitespace()).output().unwrap()
    }

    #[track_caller]
    fn ends(&self, line: &str, code: i32) -> (String, String) {
        let output = self.run(line);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{line}\n{out}\n{err}");
        (out, err)
    }
}

#[test]
fn the_exit_code_and_the_first_sentence_say_whether_it_is_good() {
    let desk = Desk::new();
    let v3 = "--labels y.csv --predictions v3.csv";
    let (out, _) = desk.ends(&format!("{v3} --min accuracy=0.9"), 0);
    assert!(
        out.starts_with("Good enough: the bound is met on 540 rows.\n"),
        "{out}"
    );
    let (out, _) = desk.ends(&format!("{v3} --min accuracy=0.99"), 1);
    assert!(
        out.starts_with("Not good enough: the share of right answers (accuracy) is 0.9556 and must be at least 0.99 on 540 rows.\n"),
        "{out}"
    );
    let (out, err) = desk.ends(&format!("{v3} --min accuracy=0.95"), 7);
    assert!(out.starts_with("Not clear yet on 540 rows: the share of right answers (accuracy) is somewhere between 0.9"), "{out}");
    assert!(err.starts_with("hint: accuracy: about "), "{err}");
    let (out, err) = desk.ends(v3, 7);
    assert!(out.starts_with("No verdict: nothing has a bound"), "{out}");
    assert!(err.contains("--min accuracy=0.9"), "{err}");
}

#[test]
fn an_incumbent_is_compared_with_row_by_row() {
    let desk = Desk::new();
    let line = "--labels y.csv --predictions v3.csv --baseline v1.csv --max-decrease accuracy=0.02";
    let (out, _) = desk.ends(&format!("{line} -o json"), 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["verdict"], "Pass");
    let evidence = &report["checks"][0]["evidence"];
    assert!(evidence["mcNemar"]["exact"].is_number(), "{evidence}");
    assert!(report["measured"][0]["metrics"][0]["baseline"].is_number());
    desk.ends(
        "--labels y.csv --predictions v1.csv --baseline v3.csv --max-decrease accuracy=0.001",
        1,
    );
    let (out, _) = desk.ends(line, 0);
    assert!(out.contains("INCUMBENT"), "{out}");
}

#[test]
fn json_has_our_names_and_those_of_mlflow_with_the_same_values() {
    let desk = Desk::new();
    desk.template("    - {name: accuracy, lowerBound: 0.9}\n");
    let (out, _) = desk.ends("-f eval.yaml --predictions v3.csv -o json", 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["kind"], "Evaluation");
    assert_eq!(report["task"], "Multiclass");
    let metrics = report["measured"][0]["metrics"].as_array().unwrap();
    let accuracy = metrics
        .iter()
        .find(|metric| metric["name"] == "accuracy")
        .unwrap();
    assert_eq!(accuracy["value"], report["mlflow"]["accuracy_score"]);
    let accuracy = accuracy["value"].as_f64().unwrap();
    assert!((accuracy - 0.9556).abs() < 1e-4, "{accuracy}");
    for name in [
        "f1_score",
        "precision_score",
        "recall_score",
        "example_count",
    ] {
        assert!(report["mlflow"][name].is_number(), "{name}");
    }
    let cells = report["confusion"][0]["candidate"].as_array().unwrap();
    let all: f64 = cells
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|cell| cell.as_f64().unwrap())
        .sum();
    assert!((all - 540.0).abs() < 1e-9);
    assert_eq!(report["data"][0]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn junit_has_a_case_per_bound_and_counts_what_is_not_clear_as_an_error() {
    let desk = Desk::new();
    desk.template(
        "    - {name: accuracy, lowerBound: 0.9}\n    - {name: accuracy, lowerBound: 0.95}\n    - {name: f1, average: Macro, lowerBound: 0.999}\n    - {name: mcc, lowerBound: 0.999, critical: false}\n",
    );
    let (out, _) = desk.ends("-f eval.yaml --predictions v3.csv -o junit", 1);
    assert!(
        out.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>"),
        "{out}"
    );
    assert!(
        out.contains("tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\""),
        "{out}"
    );
    assert!(
        out.contains("name=\"f1 (Macro) at least 0.999\"><failure type=\"Fail\""),
        "{out}"
    );
    // No bound at all is one case that did not pass.
    let (out, _) = desk.ends("--labels y.csv --predictions v3.csv -o junit", 7);
    assert!(
        out.contains("tests=\"1\" failures=\"0\" errors=\"1\""),
        "{out}"
    );
}

#[test]
fn wrong_usage_and_bad_input_end_with_2_and_one_sentence() {
    let desk = Desk::new();
    desk.template(
        "    - {name: logLoss, upperBound: 0.2}\n    - {name: accuracy, lowerBound: 0.9}\n",
    );
    desk.write("short.csv", "prediction\n1\n");
    desk.write(
        "other.csv",
        &fs::read_to_string(desk.dir.path().join("v3.csv"))
            .unwrap()
            .replace("\n8\n", "\neight\n"),
    );
    let cases = [
        (
            "--labels none.csv --predictions v3.csv",
            "error: cannot read none.csv: No such file or directory",
        ),
        (
            "--labels y.csv --predictions short.csv",
            "error: short.csv: expected 540 rows, one for each of y.csv, found 1",
        ),
        (
            "--labels y.csv --predictions other.csv",
            "column \"prediction\": expected one of the labels \"0\", \"1\", ",
        ),
        (
            "--labels y.csv --predictions v3.csv --min accuracy=high",
            "\"high\" is no number",
        ),
        (
            "--labels y.csv --predictions v3.csv --min acuracy=0.9",
            "unknown metric \"acuracy\" (did you mean \"accuracy\"?)",
        ),
        (
            "--labels y.csv --predictions v3.csv --min mae=0.9",
            "metric mae is not for classes",
        ),
        (
            "-f eval.yaml --predictions v3.csv",
            "error: eval.yaml, in `spec`: `metrics[0]`: metric logLoss needs probabilities of every class",
        ),
        (
            "-f none.yaml --predictions v3.csv",
            "error: cannot read none.yaml: No such file",
        ),
        ("--predictions v3.csv", "--file"),
        (
            "--labels y.csv --predictions v3.csv --max-decrease accuracy=0.1",
            "--baseline",
        ),
    ];
    for (line, expected) in cases {
        let (out, err) = desk.ends(line, 2);
        assert_eq!(out, "", "{line}");
        assert!(err.contains(expected), "{line}: {err}");
        assert!(!err.contains("error: error"), "{err}");
    }
}

#[test]
fn two_classes_with_probabilities_are_joined_by_id_and_sliced() {
    let desk = Desk::new();
    let mut labels = "id,label,region\n".to_owned();
    let mut lines = vec![];
    for row in 0..400 {
        let (label, region) = (row % 2, if row % 4 < 2 { "eu" } else { "us" });
        writeln!(labels, "{row},{},{region}", ["ham", "spam"][label]).unwrap();
        let wrong = region == "us" && row % 5 == 0;
        let right = if wrong { 1 - label } else { label };
        let spam = if right == 1 { 0.9 } else { 0.1 };
        lines.push(format!(
            "{{\"id\": {row}, \"probability\": [{}, {spam}]}}\n",
            1.0 - spam
        ));
    }
    desk.write("y.csv", &labels);
    desk.write("p.jsonl", &lines.into_iter().rev().collect::<String>());
    desk.write(
        "eval.yaml",
        "apiVersion: mcdeploy.dev/v1alpha1
kind: EvaluationTemplate
metadata: {name: mail}
spec:
  task: Binary
  dataset:
    files: [y.csv]
    labels: [ham, spam]
  metrics:
    - {name: rocAuc, lowerBound: 0.8}
    - {name: recall, class: spam, lowerBound: 0.8}
  slices:
    - columns: [region]
  confidence: {level: 0.9, resamples: 500, seed: 7}
",
    );
    let (out, _) = desk.ends("-f eval.yaml --predictions p.jsonl -o json", 7);
    let report: Value = serde_json::from_str(&out).unwrap();
    let verdict = |region: &str, name: &str| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks
            .iter()
            .find(|check| check["metric"]["name"] == name && check["slice"]["region"] == region);
        check.unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict("eu", "recall"), "Pass");
    assert_eq!(verdict("us", "recall"), "Inconclusive");
    assert_eq!(report["mlflow"]["true_positives"], 180.0);
    assert_eq!(report["measured"].as_array().unwrap().len(), 3);
    // The same seed gives the same bytes.
    let (again, _) = desk.ends("-f eval.yaml --predictions p.jsonl -o json", 7);
    assert_eq!(again, out);
}

#[test]
fn an_incumbent_without_probabilities_is_compared_by_what_it_has() {
    let desk = Desk::new();
    desk.write("y.csv", &format!("label\n{}", "a\nb\n".repeat(50)));
    desk.write(
        "p.csv",
        &format!("probability\n{}", "0.1\n0.9\n".repeat(50)),
    );
    desk.write(
        "old.csv",
        &format!("prediction\n{}", "a\nb\na\na\n".repeat(25)),
    );
    let line = "--labels y.csv --predictions p.csv --baseline old.csv --max-decrease accuracy=0.01";
    let (out, _) = desk.ends(&format!("{line} -o json"), 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let metrics = report["measured"][0]["metrics"].as_array().unwrap();
    let find = |name: &str| {
        metrics
            .iter()
            .find(|metric| metric["name"] == name)
            .unwrap()
    };
    assert_eq!(find("accuracy")["baseline"], 0.75);
    assert_eq!(find("rocAuc")["value"], 1.0);
    assert!(find("rocAuc").get("baseline").is_none());
}

#[test]
fn the_report_is_one_page_that_needs_nothing_else_and_is_written_whole() {
    let desk = Desk::new();
    let line = "--labels y.csv --predictions v3.csv --baseline v1.csv --min accuracy=0.9";
    let (_, err) = desk.ends(&format!("{line} --report r.html"), 0);
    assert!(err.contains("wrote r.html"), "{err}");
    let page = fs::read_to_string(desk.dir.path().join("r.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>\n") && page.ends_with("</html>\n"));
    for elsewhere in [
        "http://", "https://", "src=", "url(", "@import", "<link", "<iframe",
    ] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    // Bad input writes nothing, and a directory that is not there is one sentence.
    desk.ends("--labels y.csv --predictions none.csv --report new.html", 2);
    assert!(!desk.dir.path().join("new.html").exists());
    let (_, err) = desk.ends(&format!("{line} --report none/r.html"), 1);
    assert!(err.contains("error: cannot write none/r.html: "), "{err}");
    let left = fs::read_dir(desk.dir.path()).unwrap();
    let names: Vec<String> = left
        .map(|one| one.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| !name.starts_with(".mcdeploy")),
        "{names:?}"
    );
}

#[test]
fn what_is_suggested_is_a_template_that_evaluate_takes_as_it_is() {
    let desk = Desk::new();
    let (out, _) = desk.ends("suggest --labels y.csv --predictions v3.csv", 0);
    assert!(out.contains("# Classes are about equally common"), "{out}");
    desk.write("eval.yaml", &out);
    let (out, _) = desk.ends("-f eval.yaml --predictions v3.csv", 0);
    assert!(
        out.starts_with("Good enough: both bounds are met on 540 rows."),
        "{out}"
    );
    desk.ends("-f eval.yaml --predictions v1.csv", 1);
    desk.ends("suggest --labels y.csv --predictions none.csv", 2);
}

#[test]
fn help_says_what_exit_codes_mean() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mcdeploy"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for args in [&["help", "exit-codes"][..], &["exit-codes"], &["--help"]] {
        let text = run(args);
        assert!(text.contains("    7  inconclusive"), "{text}");
    }
}

#[test]
fn answers_in_parquet_are_judged_as_others_are() {
    let desk = Desk::new();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../mcdeploy-evaluate/tests/fixtures/p.parquet");
    fs::copy(fixture, desk.dir.path().join("p.parquet")).unwrap();
    desk.write("y.csv", "id,label\n1,ham\n2,spam\n3,ham\n");
    let (out, _) = desk.ends("--labels y.csv --predictions p.parquet -o json", 7);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["mlflow"]["accuracy_score"], 1.0);
    assert_eq!(found["data"][1]["file"], "p.parquet");
}

#[test]
fn scores_of_the_other_label_are_hinted_at() {
    let desk = Desk::new();
    let rows = 0..60_u8;
    let leaves = |row: u8| row.is_multiple_of(3);
    let label = |row| if leaves(row) { "churn" } else { "stay" };
    let labels: Vec<&str> = rows.clone().map(label).collect();
    desk.write("y.csv", &format!("label\n{}", labels.join("\n")));
    // Of "churn", which is the first label as they are sorted.
    let scores = rows.map(|row| if leaves(row) { 0.9 } else { 0.2 } + 0.001 * f64::from(row));
    let scores: Vec<String> = scores.map(|score| score.to_string()).collect();
    desk.write("p.csv", &format!("probability\n{}", scores.join("\n")));
    let line = "--labels y.csv --predictions p.csv --report r.html";
    let told = "the scores rank the other way round";
    let (out, err) = desk.ends(&format!("{line} -o json"), 7);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert!(found["next"][0].as_str().unwrap().contains(told), "{out}");
    assert!(err.contains(told), "{err}");
    let page = fs::read_to_string(desk.dir.path().join("r.html")).unwrap();
    assert!(page.contains(told));
    // The advice is good.
    desk.write(
        "eval.yaml",
        "apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n  task: Binary\n  dataset: {files: [y.csv], labels: [stay, churn]}\n  metrics: [{name: rocAuc, lowerBound: 0.5}]\n",
    );
    let (_, err) = desk.ends("-f eval.yaml --predictions p.csv", 0);
    assert!(!err.contains(told), "{err}");
}

#[test]
fn a_dataset_in_a_store_is_read_by_its_digest() {
    let desk = Desk::new();
    let labels = fs::read_to_string(desk.dir.path().join("y.csv")).unwrap();
    fs::create_dir_all(desk.dir.path().join("data/v1")).unwrap();
    desk.write("data/v1/y.csv", &labels);
    fs::remove_file(desk.dir.path().join("y.csv")).unwrap();
    let store = format!("file://{}", desk.dir.path().join("store").display());
    fs::create_dir(desk.dir.path().join("store")).unwrap();
    let mut push = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
    push.current_dir(desk.dir.path())
        .args(["push", "held-out:v1", "--dir", "data", "-o", "json"])
        .args(["--store", &store]);
    let pushed = push.output().unwrap();
    let text = String::from_utf8_lossy(&pushed.stderr);
    assert!(pushed.status.success(), "{text}");
    let pushed: Value = serde_json::from_slice(&pushed.stdout).unwrap();
    let digest = pushed["manifestDigest"].as_str().unwrap();
    let template = |version: &str, digest: &str| {
        desk.write(
            "eval.yaml",
            &format!(
                "apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n  task: Multiclass\n  dataset:\n    artifact: {{name: held-out, version: {version}, digest: \"{digest}\", store: \"{store}\"}}\n    files: [y.csv]\n  metrics: [{{name: accuracy, lowerBound: 0.9}}]\n"
            ),
        );
    };
    template("v1", digest);
    let (out, _) = desk.ends("-f eval.yaml --predictions v3.csv -o json", 0);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["data"][0]["role"], "dataset");
    assert_eq!(found["data"][0]["file"], "held-out:v1");
    assert_eq!(
        found["data"][0]["sha256"],
        digest.trim_start_matches("sha256:")
    );
    assert_eq!(found["data"][1]["file"], "held-out:v1/y.csv");
    let other = format!("sha256:{}", "0".repeat(64));
    template("v1", &other);
    let (_, err) = desk.ends("-f eval.yaml --predictions v3.csv", 1);
    assert!(
        err.contains("cannot read the dataset held-out:v1 of file://"),
        "{err}"
    );
    assert!(err.contains(&other) && err.contains(digest), "{err}");
    template("v2", digest);
    let (_, err) = desk.ends("-f eval.yaml --predictions v3.csv", 5);
    assert!(err.contains("the dataset held-out:v2 with"), "{err}");
    template("v1", "latest");
    let (_, err) = desk.ends("-f eval.yaml --predictions v3.csv", 2);
    let expected = "eval.yaml: `spec.dataset.artifact.digest` is \"latest\", expected sha256: and 64 of 0-9 and a-f";
    assert!(err.contains(expected), "{err}");
}
