//! `mcdeployd copy-image` between real registries.

use std::{fs, process::Stdio};

use mcdeploy_api::{CopyImagePlan, RepositoryAccess, SecretValues, Sha256Digest};
use mcdeploy_registry::{Credentials, ImageState, Repository, RepositoryAddress, image_state};
use mcdeploy_sandbox::testing::TestRegistry;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

fn access(registry: &TestRegistry) -> RepositoryAccess {
    RepositoryAccess {
        registry: registry.authority().to_owned(),
        name: "models/mcserve".to_owned(),
        plain_http: true,
        secret: SecretValues([("password".to_owned(), "hunter2".to_owned())].into()),
    }
}

/// Whether it succeeded, its last words, and its log.
async fn run(plan: &CopyImagePlan) -> (bool, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (file, last) = (dir.path().join("plan.json"), dir.path().join("last"));
    fs::write(&file, serde_json::to_vec(plan).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeployd"));
    command.arg("copy-image").arg("--plan").arg(&file);
    command.arg("--termination-log").arg(&last);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8(log).unwrap();
    let last = fs::read_to_string(last).unwrap_or_default();
    (output.status.success(), last, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_copied_and_one_that_is_not_there_is_said_in_a_word() {
    let (from, to) = tokio::join!(TestRegistry::start(), TestRegistry::start());
    let (from, to) = (from.unwrap(), to.unwrap());
    let digest = from.put_image("models/mcserve", "one").await.unwrap();
    let mut plan = CopyImagePlan {
        digest,
        source: access(&from),
        target: access(&to),
    };
    for _ in ["copies", "finds it there"] {
        let (ok, _, log) = run(&plan).await;
        assert!(ok, "{log}");
        assert!(log.contains(&digest.to_string()) && !log.contains("hunter2"));
    }
    let address = RepositoryAddress {
        registry: to.authority().to_owned(),
        name: "models/mcserve".to_owned(),
        plain_http: true,
    };
    let target = Repository::new(address, Credentials::Anonymous);
    let cancel = CancellationToken::new();
    let state = image_state(&target, &digest, &cancel).await.unwrap();
    assert_eq!(state, ImageState::Whole);

    plan.digest = Sha256Digest::of("never pushed");
    let (ok, last, log) = run(&plan).await;
    assert!(!ok, "{log}");
    let place = format!("ImageMissing: {}/models/mcserve: ", from.authority());
    assert!(last.starts_with(&place), "{last}");
    assert!(last.contains(&plan.digest.to_string()), "{last}");
    assert!(!format!("{last}{log}").contains("hunter2"));
}
