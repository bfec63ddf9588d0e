//! Files, keys and URLs as people have them, given to the program itself.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

/// Runs it in a directory, with nothing of this machine around it.
fn run(home: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
    command.current_dir(home).env_clear().env("HOME", home);
    let output = command.args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn url(home: &Path, path: &str) -> String {
    format!("file://{}/{path}", home.display())
}

#[test]
fn a_copy_names_what_it_skips_and_counts_what_it_could_not_do() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    fs::create_dir(path("data")).unwrap();
    for name in ["a", "b", "dot."] {
        fs::write(path("data").join(name), name).unwrap();
    }
    let made = Command::new("mkfifo").arg(path("data/pipe")).status();
    assert!(made.unwrap().success());
    let (from, to) = (url(home.path(), "data/"), url(home.path(), "to/"));
    let (code, stdout, stderr) = run(home.path(), &["artifacts", "cp", &from, &to, "-o", "json"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("1 of 3 objects were not copied"),
        "{stderr}"
    );
    assert!(
        stderr.contains("dot.") && stderr.contains("ends with a dot"),
        "{stderr}"
    );
    assert!(
        stderr.contains("1 skipped") && stderr.contains("a pipe"),
        "{stderr}"
    );
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let objects = report["objects"].as_array().unwrap();
    let states: Vec<_> = objects.iter().map(|object| &object["state"]).collect();
    assert_eq!(states, ["Copied", "Copied", "Failed", "Skipped"]);
    assert_eq!(fs::read(path("to/b")).unwrap(), b"b");

    fs::remove_file(path("data/dot.")).unwrap();
    let (code, _, stderr) = run(home.path(), &["artifacts", "cp", &from, &to]);
    assert_eq!(code, 0, "what is skipped is no failure: {stderr}");
    let pipe = url(home.path(), "data/pipe");
    let (code, _, stderr) = run(home.path(), &["artifacts", "cp", &pipe, &to]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("is a pipe"), "{stderr}");
}

#[test]
fn a_key_with_a_question_mark_is_named_by_its_percent_encoding() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("what?#.onnx"), b"weights").unwrap();
    let from = url(home.path(), "what%3F%23.onnx");
    let to = url(home.path(), "to%20here/");
    let (code, _, stderr) = run(home.path(), &["artifacts", "cp", &from, &to]);
    assert_eq!(code, 0, "{stderr}");
    let copied = home.path().join("to here/what?#.onnx");
    assert_eq!(fs::read(copied).unwrap(), b"weights");
    let typed = "s3://bucket/what?.onnx";
    let (code, _, stderr) = run(home.path(), &["artifacts", "cp", typed, &to]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("%3F"), "{stderr}");
}

#[test]
fn a_clone_is_pushed_without_its_history_and_a_pointer_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let version = home.path().join("models/v1");
    fs::create_dir_all(version.join(".git")).unwrap();
    fs::write(version.join(".git/HEAD"), "ref: refs/heads/main").unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    fs::write(version.join("model.onnx"), pointer).unwrap();
    fs::create_dir(home.path().join("store")).unwrap();
    let store = url(home.path(), "store");
    let words = [
        "push",
        "digits:v1",
        "--dir",
        "models",
        "--store",
        &store,
        "-o",
        "json",
    ];
    let (code, _, stderr) = run(home.path(), &words);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("git lfs pull"), "{stderr}");
    fs::write(version.join("model.onnx"), "weights").unwrap();
    let (code, stdout, stderr) = run(home.path(), &words);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("left out") && stderr.contains(".git"),
        "{stderr}"
    );
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["files"], json!(1));
}

#[test]
fn an_inventory_is_read_as_terraform_and_windows_write_it() {
    let home = tempfile::tempdir().unwrap();
    let inventory = json!({
        "apiVersion": "mcdeploy.dev/v1alpha1", "kind": "FleetInventory", "clusters": [],
        "stores": [{
            "name": "aws", "provider": "aws", "region": "us-east-1",
            "location": { "s3": { "bucket": "models" } }, "auth": { "ambient": {} },
        }],
    });
    let all = json!({
        "mcdeploy": { "sensitive": false, "type": ["object", {}], "value": inventory },
        "vpc": { "sensitive": false, "type": "string", "value": "vpc-1" },
    });
    let text = format!("\u{feff}{all}");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes(), &utf16] {
        fs::write(home.path().join("fleet.json"), bytes).unwrap();
        let words = [
            "clusters",
            "add",
            "-f",
            "fleet.json",
            "--dry-run",
            "-o",
            "json",
        ];
        let (code, stdout, stderr) = run(home.path(), &words);
        assert_eq!(code, 0, "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(report["entries"][0]["name"], "aws");
    }
    let none = json!({ "vpc": all["vpc"] }).to_string();
    fs::write(home.path().join("fleet.json"), none).unwrap();
    let words = ["clusters", "add", "-f", "fleet.json", "--dry-run"];
    let (code, _, stderr) = run(home.path(), &words);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("terraform output -json NAME"), "{stderr}");
}
