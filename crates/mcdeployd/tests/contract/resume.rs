//! `mcdeployd transfer` is killed in the middle of an object and run again.

use std::{fs, path::Path, process::Stdio, time::Duration};

use mcdeploy_api::{ReplicaState, TransferPlan};
use mcdeploy_sandbox::testing::{Azurite, Proxy, Versitygw};
use mcdeploy_store::{open, push_version, verify_replica};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1024 * 1024;
/// So large that what is in memory at the kill is under a tenth of it.
const SIZE: usize = 512 * MIB;

fn transfer(dir: &Path, plan: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mcdeployd"))
        .args(["transfer", "--buffer-mib", "48", "--plan"])
        .arg(plan)
        .arg("--termination-log")
        .arg(dir.join("termination-log"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(dir.join("stderr")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s2_a_killed_transfer_goes_on_and_sends_at_most_a_tenth_twice() {
    let (aws, azure) = tokio::join!(Versitygw::start(), Azurite::start());
    let (aws, azure) = (aws.unwrap(), azure.unwrap());
    let (proxy, target) = Proxy::in_front_of(&azure.access()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    fs::create_dir(&model).unwrap();
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n / 7919 * n).to_le_bytes()[0]).collect();
    fs::write(model.join("model.onnx"), bytes).unwrap();
    let cancel = CancellationToken::new();
    let source = open(&aws.access()).await.unwrap();
    let pushed = push_version(source.as_ref(), &model, "digits", "v1", &|_| {}, &cancel);
    let digest = pushed.await.unwrap().manifest_digest;
    let plan = dir.path().join("plan.json");
    let content = TransferPlan {
        model: "digits".to_owned(),
        version: "v1".to_owned(),
        manifest_digest: digest,
        source: aws.access(),
        targets: vec![target],
    };
    fs::write(&plan, serde_json::to_vec(&content).unwrap()).unwrap();

    let mut first = transfer(dir.path(), &plan);
    while proxy.counts().sent_bytes < SIZE as u64 / 2 {
        assert!(first.try_wait().unwrap().is_none(), "it ended by itself");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // SIGKILL: nothing is cleaned up.
    first.kill().await.unwrap();
    let direct = open(&azure.access()).await.unwrap();
    let state = async || {
        let report = verify_replica(direct.as_ref(), "digits", "v1", &digest, &cancel);
        report.await.unwrap().state
    };
    assert_eq!(state().await, ReplicaState::Missing);

    let status = transfer(dir.path(), &plan).wait().await.unwrap();
    let stderr = fs::read_to_string(dir.path().join("stderr")).unwrap();
    assert!(status.success(), "{stderr}");
    assert_eq!(state().await, ReplicaState::Verified);
    let sent = proxy.counts().sent_bytes;
    assert!(sent * 10 <= SIZE as u64 * 11, "{sent} bytes sent of {SIZE}");
}
