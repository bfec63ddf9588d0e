use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::*;
use crate::Engine;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

fn refusal(path: &Path) -> String {
    let error = Engine::load(path, "m", "1").unwrap_err();
    let source = std::error::Error::source(&error);
    format!(
        "{error} {}",
        source.map(ToString::to_string).unwrap_or_default()
    )
}

#[test]
fn what_cannot_be_served_is_refused_by_name_with_the_way_out() {
    let table: [(&str, &[&str]); 8] = [
        ("support_vectors", &["SVMClassifier", "LinearSVC"]),
        (
            "own_domain",
            &["com.example.Frobnicate", "node \"n1\"", "onnxruntime"],
        ),
        ("no_operator", &["Frobnicate", "node \"n1\"", "Triton"]),
        ("own_function", &["\"F\"", "inline_local_functions"]),
        (
            "no_shape",
            &["input \"x\"", "no declared shape", "[None, 4]"],
        ),
        ("bfloat16", &["\"x\"", "BFLOAT16", "FP32"]),
        (
            "votes_for_the_second",
            &["TreeEnsembleClassifier", "all votes for the second"],
        ),
        (
            "tree_that_never_ends",
            &["TreeEnsembleRegressor", "form a ring"],
        ),
    ];
    for (case, expected) in table {
        let path = data("refused").join(case).join("model.onnx");
        let message = refusal(&path);
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        for part in expected {
            assert!(message.contains(part), "{case}: {message}");
        }
    }
}

#[test]
fn files_that_are_no_models_are_named_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let table = [
        ("", "it is empty"),
        (
            "version https://git-lfs.github.com/spec/v1\noid",
            "git lfs pull",
        ),
        ("<html>", "is no ONNX model"),
    ];
    for (text, expected) in table {
        let path = dir.path().join("model.onnx");
        fs::write(&path, text).unwrap();
        let message = refusal(&path);
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    let message = refusal(&dir.path().join("none.onnx"));
    assert!(
        message.contains("cannot read") && message.contains("No such file"),
        "{message}"
    );
}

/// The model with weights beside it, in a directory in which they can be moved.
fn external() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v1")).unwrap();
    for name in ["model.onnx", "model.onnx.data"] {
        fs::copy(
            data("external").join(name),
            dir.path().join("v1").join(name),
        )
        .unwrap();
    }
    dir
}

/// Makes the model point elsewhere: a name of as many letters.
fn point_to(dir: &TempDir, location: &str) {
    let path = dir.path().join("v1/model.onnx");
    let bytes = fs::read(&path).unwrap();
    let old = b"model.onnx.data";
    assert_eq!(old.len(), location.len());
    let at = bytes
        .windows(old.len())
        .position(|window| window == old)
        .unwrap();
    let mut changed = bytes;
    changed[at..at + old.len()].copy_from_slice(location.as_bytes());
    fs::write(path, changed).unwrap();
}

#[test]
fn weights_beside_the_model_are_read_and_links_inside_its_directory_followed() {
    let dir = external();
    let model = dir.path().join("v1/model.onnx");
    Engine::load(&model, "m", "1").unwrap();
    let beside = dir.path().join("v1/model.onnx.data");
    fs::create_dir(dir.path().join("v1/..data")).unwrap();
    fs::rename(&beside, dir.path().join("v1/..data/w")).unwrap();
    symlink("..data/w", &beside).unwrap();
    Engine::load(&model, "m", "1").unwrap();
}

#[test]
fn weights_outside_of_the_version_are_refused_by_name() {
    let dir = external();
    let model = dir.path().join("v1/model.onnx");
    let weights = dir.path().join("v1/model.onnx.data");
    fs::copy(&weights, dir.path().join("secrets")).unwrap();
    fs::remove_file(&weights).unwrap();
    let message = refusal(&model);
    assert!(
        message.contains("\"model.onnx.data\", which is not there"),
        "{message}"
    );
    symlink(dir.path().join("secrets"), &weights).unwrap();
    let message = refusal(&model);
    assert!(
        message.contains("a link to") && message.contains("secrets"),
        "{message}"
    );
    for location in ["../secrets/././", "/etc/hostname/.", "a/../../secrets"] {
        let dir = external();
        point_to(&dir, location);
        let message = refusal(&dir.path().join("v1/model.onnx"));
        assert!(message.contains("not a path inside"), "{message}");
        assert!(
            message.contains(location) && message.contains("\"w\""),
            "{message}"
        );
    }
}

#[test]
fn weights_that_are_not_whole_are_refused() {
    let dir = external();
    let weights = dir.path().join("v1/model.onnx.data");
    fs::write(&weights, [0; 23]).unwrap();
    let message = refusal(&dir.path().join("v1/model.onnx"));
    assert!(
        message.contains("bytes 0 to 24") && message.contains("has 23"),
        "{message}"
    );
    fs::remove_file(&weights).unwrap();
    fs::create_dir(&weights).unwrap();
    let message = refusal(&dir.path().join("v1/model.onnx"));
    assert!(message.contains("which is not there"), "{message}");
}

#[test]
fn sizes_left_open_are_one_batch_and_named_ones_their_own() {
    let dims = |case: &str| -> Vec<Vec<Dim>> {
        let path = data("served").join(case).join("1/model.onnx");
        let inputs = load(&path).unwrap().inputs;
        inputs.into_iter().map(|input| input.dims).collect()
    };
    let two = Dim::Fixed(2);
    assert_eq!(
        dims("two_inputs"),
        [[Dim::Group(0), two], [Dim::Group(0), two]]
    );
    assert_eq!(
        dims("two_batches_by_name"),
        [[Dim::Group(0), two], [Dim::Group(1), two]]
    );
    assert_eq!(dims("batch_zero"), [[Dim::Group(0), two]]);
    assert_eq!(dims("batch_odd_name"), [[Dim::Group(0), two]]);
    assert_eq!(dims("embedding"), [[Dim::Group(0), Dim::Group(1)]]);
    assert_eq!(dims("batch_of_one"), [[Dim::Fixed(1), two]]);
}

#[test]
fn inputs_that_are_looked_up_know_how_far_they_may_go() {
    for (case, expected) in [
        ("embedding", Some((-5, 4))),
        ("pick_columns", Some((-5, 4))),
        ("forest", None),
    ] {
        let path = data("served").join(case).join("1/model.onnx");
        assert_eq!(load(&path).unwrap().inputs[0].range, expected, "{case}");
    }
}
