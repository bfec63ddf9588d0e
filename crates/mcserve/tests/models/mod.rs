//! The real binary with models as exporters write them by default: every answer is the one
//! of scikit-learn or onnxruntime, and every mistake of a client has its name.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio};

use reqwest::StatusCode;
use serde_json::{Value, json};

use tokio::process::Command;

use crate::support::Child;

/// A request, and what was computed for it where the model comes from.
#[derive(serde::Deserialize)]
struct Case {
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    labels: BTreeMap<String, Value>,
    tolerance: f64,
}

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

fn cases() -> BTreeMap<String, Case> {
    let mut cases = BTreeMap::new();
    for entry in std::fs::read_dir(data("served")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path.join("case.json")).unwrap();
        cases.insert(name, serde_json::from_str(&text).unwrap());
    }
    cases
}

fn infer(case: &str) -> String {
    format!("/v2/models/{case}/infer")
}

fn compare(case: &str, got: &Value, expected: &Value, tolerance: f64) {
    for key in ["name", "datatype", "shape"] {
        assert_eq!(got[key], expected[key], "{case}: {key}");
    }
    let (got, expected) = (&got["data"], &expected["data"]);
    let pairs = got
        .as_array()
        .unwrap()
        .iter()
        .zip(expected.as_array().unwrap());
    for (index, (got, expected)) in pairs.enumerate() {
        match (got.as_f64(), expected.as_f64()) {
            (Some(a), Some(b)) => {
                let near = (a - b).abs() <= tolerance * b.abs().max(1.0);
                assert!(near, "{case}, value {index}: {a} is not {b}");
            }
            _ => assert_eq!(got, expected, "{case}, value {index}"),
        }
    }
    assert_eq!(
        got.as_array().unwrap().len(),
        expected.as_array().unwrap().len()
    );
}

#[tokio::test]
async fn default_exports_give_the_answers_of_their_makers() {
    let server = Child::start_models(&data("served")).await;
    let cases = cases();
    assert!(cases.len() > 50, "{}", cases.len());
    for (name, case) in &cases {
        let (status, answer) = server
            .post(&infer(name), &json!({ "inputs": case.inputs }))
            .await;
        assert_eq!(status, StatusCode::OK, "{name}: {answer}");
        let outputs = answer["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), case.outputs.len(), "{name}");
        for (got, expected) in outputs.iter().zip(&case.outputs) {
            compare(name, got, expected, case.tolerance);
        }
        let (_, metadata) = server.get(&format!("/v2/models/{name}")).await;
        for output in metadata["outputs"].as_array().unwrap() {
            let shown = output["parameters"]["labels"].as_str();
            let shown: Option<Value> = shown.map(|text| serde_json::from_str(text).unwrap());
            let labels = case.labels.get(output["name"].as_str().unwrap());
            assert_eq!(shown.as_ref(), labels, "{name}: {output}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn every_row_alone_gives_what_it_gives_in_a_batch() {
    let server = Child::start_models(&data("served")).await;
    let cases = cases();
    let case = &cases["columns_one_hot"];
    let expected = case.outputs[0]["data"].as_array().unwrap();
    for (row, expected) in expected.iter().enumerate() {
        let inputs: Vec<Value> = case
            .inputs
            .iter()
            .map(|input| {
                let mut one = input.clone();
                one["shape"] = json!([1, 1]);
                one["data"] = json!([input["data"][row]]);
                one
            })
            .collect();
        let (_, answer) = server
            .post(&infer("columns_one_hot"), &json!({ "inputs": inputs }))
            .await;
        assert_eq!(answer["outputs"][0]["data"], json!([expected]));
    }
    server.stop().await;
}

fn input(name: &str, datatype: &str, shape: &Value, values: &Value) -> Value {
    json!({ "name": name, "datatype": datatype, "shape": shape, "data": values })
}

#[tokio::test]
async fn mistakes_of_a_client_are_400_with_the_name_of_the_input() {
    let server = Child::start_models(&data("served")).await;
    let ids = |values: Value| json!([input("ids", "INT64", &json!([1, 2]), &values)]);
    let two = |a: usize, b: usize| {
        let of = |name: &str, rows: usize| {
            let values = vec![0.5; rows * 2];
            input(name, "FP32", &json!([rows, 2]), &json!(values))
        };
        json!([of("a", a), of("b", b)])
    };
    let color = |color: Value| {
        json!([
            input("color", "BYTES", &json!([1, 1]), &json!([color])),
            input("size", "INT64", &json!([1, 1]), &json!([1])),
            input("weight", "FP32", &json!([1, 1]), &json!([0.5])),
        ])
    };
    let rows = json!([input("x", "FP32", &json!([2, 2]), &json!([1, 2, 3, 4]))]);
    let table = [
        (
            "embedding",
            ids(json!([0, 5])),
            "OutOfRange",
            "\"ids\", value 1: 5",
        ),
        (
            "embedding",
            ids(json!([-6, 0])),
            "OutOfRange",
            "\"ids\", value 0: -6",
        ),
        ("two_inputs", two(2, 3), "UnequalSizes", "\"b\" has size 3"),
        (
            "two_batches_by_name",
            two(2, 3),
            "Shapes",
            "input \"a\" [2, 2], input \"b\" [3, 2]",
        ),
        ("batch_of_one", rows, "WrongShape", "the model takes [1, 2]"),
        (
            "columns_one_hot_strict",
            color(json!("mauve")),
            "UnknownCategory",
            "input \"color\" [1, 1]",
        ),
        (
            "columns_one_hot",
            color(json!(7)),
            "NotRepresentable",
            "\"color\", value 0: 7",
        ),
    ];
    for (case, inputs, code, expected) in table {
        let (status, answer) = server
            .post(&infer(case), &json!({ "inputs": inputs }))
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{case}: {answer}");
        assert_eq!(answer["code"], code, "{case}: {answer}");
        let message = answer["error"].as_str().unwrap();
        assert!(message.contains(expected), "{case}: {message}");
    }
    let inputs = color(json!("mauve"));
    let (status, answer) = server
        .post(&infer("columns_one_hot"), &json!({ "inputs": inputs }))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_leaves_the_workers_whole() {
    let server = Child::start_models(&data("served")).await;
    let of = |name: &str, rows: usize| {
        let values = vec![0.5; rows * 2];
        input(name, "FP32", &json!([rows, 2]), &json!(values))
    };
    let path = infer("two_batches_by_name");
    for _ in 0..20 {
        let inputs = json!([of("a", 2), of("b", 3)]);
        let (status, answer) = server.post(&path, &json!({ "inputs": inputs })).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    }
    let inputs = json!([of("a", 3), of("b", 3)]);
    let (status, answer) = server.post(&path, &json!({ "inputs": inputs })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    server.stop().await;
}

/// As tritonclient (bare words), `KServe`'s client (null) and the protobuf mapping (texts)
/// send them.
#[tokio::test]
async fn nan_and_infinity_go_in_and_come_out_as_clients_write_them() {
    let server = Child::start_models(&data("served")).await;
    for values in ["[NaN, 0]", "[null, 0]", r#"["NaN", 0]"#] {
        let body = format!(
            r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,2],"data":{values}}}]}}"#
        );
        let (status, answer) = server.post_text(&infer("logarithm"), body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["outputs"][0]["data"], json!(["NaN", "-Infinity"]));
    }
    let body = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[Infinity, 1]}]}"#;
    let (_, answer) = server.post_text(&infer("logarithm"), body.into()).await;
    assert_eq!(answer["outputs"][0]["data"], json!(["Infinity", 0.0]));
    server.stop().await;
}

#[tokio::test]
async fn weights_beside_the_model_are_served() {
    let models = tempfile::tempdir().unwrap();
    let version = models.path().join("m/1/onnx");
    std::fs::create_dir_all(&version).unwrap();
    for name in ["model.onnx", "model.onnx.data"] {
        std::fs::copy(data("external").join(name), version.join(name)).unwrap();
    }
    std::fs::write(version.join("._model.onnx"), "resource fork").unwrap();
    let server = Child::start_models(models.path()).await;
    let inputs = json!([input("x", "FP32", &json!([1, 2]), &json!([1, 10]))]);
    let (_, answer) = server.post(&infer("m"), &json!({ "inputs": inputs })).await;
    assert_eq!(answer["outputs"][0]["data"], json!([30.0, 41.0, 52.0]));
    server.stop().await;
}

#[tokio::test]
async fn of_a_release_and_its_candidate_the_release_is_served() {
    let models = tempfile::tempdir().unwrap();
    for version in ["1.0.0", "1.0.0-rc1", "0.9.0"] {
        let dir = models.path().join("m").join(version);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(data("served/linear/1/model.onnx"), dir.join("model.onnx")).unwrap();
    }
    let server = Child::start_models(models.path()).await;
    let inputs = &cases()["linear"].inputs;
    let (_, answer) = server.post(&infer("m"), &json!({ "inputs": inputs })).await;
    assert_eq!(answer["model_version"], "1.0.0");
    let (_, metadata) = server.get("/v2/models/m").await;
    assert_eq!(metadata["versions"], json!(["0.9.0", "1.0.0-rc1", "1.0.0"]));
    server.stop().await;
}

async fn check(dir: &std::path::Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mcserve"))
        .arg("check")
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn check_says_what_can_be_served_and_what_cannot() {
    let (code, out, _) = check(&data("served/logistic/1")).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "logistic/1: can be served: X FP32 [-1, 4] -> output_label INT64 [-1], \
         output_probability FP32 [-1, 3]\n"
    );
    let models = tempfile::tempdir().unwrap();
    let one = models.path().join("svm/1");
    std::fs::create_dir_all(&one).unwrap();
    std::fs::copy(
        data("refused/support_vectors/model.onnx"),
        one.join("model.onnx"),
    )
    .unwrap();
    std::os::unix::fs::symlink(data("served/forest"), models.path().join("forest")).unwrap();
    let (code, out, _) = check(models.path()).await;
    assert_eq!(code, Some(1));
    assert!(out.contains("forest/1: can be served: X FP32"), "{out}");
    assert!(
        out.contains("svm/1: refused: ") && out.contains("SVMClassifier"),
        "{out}"
    );
    let empty = tempfile::tempdir().unwrap();
    let (code, out, log) = check(empty.path()).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        log.contains("expected <model>/<version>/<name>.onnx"),
        "{log}"
    );
}
