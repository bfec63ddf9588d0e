//! `mcdeployd transfer` and `mcdeployd fetch` as a Job and an init container run them:
//! a plan file in, files and one line of termination message out.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::{fs, os::unix::fs::FileExt as _, path::Path, process::Stdio, time::Duration};

use mcdeploy_api::{FetchPlan, Sha256Digest, StoreAccess, TransferPlan};
use mcdeploy_sandbox::testing::{Azurite, Versitygw};
use mcdeploy_store::{open, push_version};
use tokio::{process::Command, time::timeout};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1024 * 1024;

/// How a run of the daemon ended.
struct Run {
    code: Option<i32>,
    stderr: String,
    termination: String,
    /// Largest resident set, in KiB.
    peak_kib: u64,
}

/// Runs a subcommand; after `terminate_after`, asks it to end.
async fn run(dir: &Path, arguments: &[&str], terminate_after: Option<Duration>) -> Run {
    let log = dir.join("termination-log");
    fs::write(&log, "").unwrap();
    let stderr = dir.join("stderr");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcdeployd"))
        .args(arguments)
        .arg("--termination-log")
        .arg(&log)
        .stdin(Stdio::null())
        .stderr(fs::File::create(&stderr).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let mut peak_kib = 0;
    let mut waited = Duration::ZERO;
    let every = Duration::from_millis(20);
    let status = loop {
        if let Ok(status) = timeout(every, child.wait()).await {
            break status.unwrap();
        }
        waited += every;
        assert!(waited < Duration::from_mins(2), "it does not end");
        if terminate_after.is_some_and(|after| waited >= after && waited < after + every) {
            let kill = Command::new("kill").arg(pid.to_string()).status().await;
            assert!(kill.unwrap().success());
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
    };
    Run {
        code: status.code(),
        stderr: fs::read_to_string(stderr).unwrap(),
        termination: fs::read_to_string(log).unwrap(),
        peak_kib,
    }
}

fn write_plan(dir: &Path, plan: &impl serde::Serialize) -> String {
    let path = dir.join("plan.json");
    fs::write(&path, serde_json::to_vec(plan).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn fetch_plan(digest: Sha256Digest, store: StoreAccess) -> FetchPlan {
    FetchPlan {
        model: "digits".to_owned(),
        version: "v1".to_owned(),
        manifest_digest: digest,
        store,
    }
}

async fn push(access: &StoreAccess, bytes: &[u8]) -> Sha256Digest {
    let model = tempfile::tempdir().unwrap();
    fs::write(model.path().join("model.onnx"), bytes).unwrap();
    let store = open(access).await.unwrap();
    let cancel = CancellationToken::new();
    let pushed = push_version(
        store.as_ref(),
        model.path(),
        "digits",
        "v1",
        &|_| {},
        &cancel,
    );
    pushed.await.unwrap().manifest_digest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_copied_and_fetched_in_little_memory() {
    let (aws, azure) = tokio::join!(Versitygw::start(), Azurite::start());
    let (aws, azure) = (aws.unwrap(), azure.unwrap());
    let bytes: Vec<u8> = (0..100 * MIB)
        .map(|n| (n * n / 251).to_le_bytes()[0])
        .collect();
    let digest = push(&aws.access(), &bytes).await;
    let dir = tempfile::tempdir().unwrap();
    let plan = write_plan(
        dir.path(),
        &TransferPlan {
            model: "digits".to_owned(),
            version: "v1".to_owned(),
            manifest_digest: digest,
            source: aws.access(),
            target: azure.access(),
            more_targets: vec![],
        },
    );
    let copied = run(dir.path(), &["transfer", "--plan", &plan], None).await;
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    assert!(copied.peak_kib < 128 * 1024, "{} KiB", copied.peak_kib);
    assert_eq!(copied.termination, "");

    let plan = write_plan(dir.path(), &fetch_plan(digest, azure.access()));
    let to = dir.path().join("models");
    let arguments = ["fetch", "--plan", &plan, "--to", to.to_str().unwrap()];
    let fetched = run(dir.path(), &arguments, None).await;
    assert_eq!(fetched.code, Some(0), "{}", fetched.stderr);
    assert!(fetched.peak_kib < 128 * 1024, "{} KiB", fetched.peak_kib);
    assert!(fs::read(to.join("digits/v1/model.onnx")).unwrap() == bytes);
    for run in [&copied, &fetched] {
        for secret in azure
            .access()
            .secret
            .0
            .values()
            .chain(aws.access().secret.0.values())
        {
            assert!(!run.stderr.contains(secret.as_str()), "{}", run.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_changed_on_the_stores_disk_ends_a_fetch_with_file_expected_and_actual() {
    let aws = Versitygw::start().await.unwrap();
    let digest = push(&aws.access(), &vec![7; MIB]).await;
    let file = fs::File::options()
        .write(true)
        .open(aws.object_file("digits/v1/model.onnx"))
        .unwrap();
    file.write_all_at(&[8], 1000).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("models");
    let plan = write_plan(dir.path(), &fetch_plan(digest, aws.access()));
    let arguments = ["fetch", "--plan", &plan, "--to", to.to_str().unwrap()];
    let refused = run(dir.path(), &arguments, None).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let line = &refused.termination;
    let expected = Sha256Digest::of(vec![7; MIB]);
    let start = format!("ChecksumMismatch: model.onnx: expected 1048576 bytes {expected}, actual ");
    assert!(line.starts_with(&start), "{line}");
    assert!(!to.join("digits/v1").exists());

    let plan = write_plan(
        dir.path(),
        &fetch_plan(Sha256Digest::of("other"), aws.access()),
    );
    let arguments = ["fetch", "--plan", &plan, "--to", to.to_str().unwrap()];
    let refused = run(dir.path(), &arguments, None).await;
    let line = &refused.termination;
    assert!(
        line.starts_with("ChecksumMismatch: mcdeploy-manifest.json: expected "),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_from_a_silent_store_ends_when_asked_to() {
    let aws = Versitygw::start().await.unwrap();
    let digest = push(&aws.access(), b"weights").await;
    aws.freeze(true).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let plan = write_plan(dir.path(), &fetch_plan(digest, aws.access()));
    let to = dir.path().join("models");
    let arguments = ["fetch", "--plan", &plan, "--to", to.to_str().unwrap()];
    let ended = run(dir.path(), &arguments, Some(Duration::from_secs(1)));
    let ended = timeout(Duration::from_secs(8), ended).await.unwrap();
    aws.freeze(false).unwrap();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.termination.contains("cancelled"),
        "{}",
        ended.termination
    );
}
