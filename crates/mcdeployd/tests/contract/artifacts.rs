//! `mcdeployd transfer` and `mcdeployd fetch` as a Job and an init container run them:
//! a plan file in, files and one line of termination message out.

use std::{fs, os::unix::fs::FileExt as _, path::Path, process::Stdio, time::Duration};

use mcdeploy_api::{
    Empty, FetchPlan, SecretValues, Sha256Digest, StoreAccess, StoreAuth, TransferPlan,
    TransferProgress,
};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use mcdeploy_store::{open, push_version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1024 * 1024;
/// The limit of the containers that `mcdeploy-manifests` makes for both.
const CONTAINER_KIB: u64 = 128 * 1024;

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
    run_with(dir, arguments, &[], terminate_after).await
}

/// The same with more of an environment, such as a cloud puts around a pod.
async fn run_with(
    dir: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    terminate_after: Option<Duration>,
) -> Run {
    let log = dir.join("termination-log");
    fs::write(&log, "").unwrap();
    let stderr = dir.join("stderr");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcdeployd"))
        .args(arguments)
        .arg("--termination-log")
        .arg(&log)
        .envs(environment.iter().copied())
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
        node_cache: None,
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
    // Twice what either process may take.
    let bytes: Vec<u8> = (0..2 * CONTAINER_KIB * 1024)
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
            targets: vec![azure.access()],
        },
    );
    let copied = run(dir.path(), &["transfer", "--plan", &plan], None).await;
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    assert!(copied.peak_kib < CONTAINER_KIB, "{} KiB", copied.peak_kib);
    assert_eq!(copied.termination, "");
    // The operator reads the same lines.
    let mut said = copied.stderr.lines().filter_map(TransferProgress::parse);
    let last = said.next_back().expect("a line when all is in");
    let size = bytes.len() as u64;
    assert_eq!((last.done_bytes, last.total_bytes), (size, size));
    assert_eq!(last.store, azure.access().name);

    let plan = write_plan(dir.path(), &fetch_plan(digest, azure.access()));
    let to = dir.path().join("models");
    let arguments = ["fetch", "--plan", &plan, "--to", to.to_str().unwrap()];
    let fetched = run(dir.path(), &arguments, None).await;
    assert_eq!(fetched.code, Some(0), "{}", fetched.stderr);
    assert!(fetched.peak_kib < CONTAINER_KIB, "{} KiB", fetched.peak_kib);
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

/// What follows `sig=` in a SAS, as it stands there and decoded.
fn signatures(access: &StoreAccess) -> Vec<String> {
    let sas = &access.secret.0["sasToken"];
    let signature = sas.split("sig=").nth(1).unwrap();
    let signature = signature.split('&').next().unwrap().to_owned();
    let decoded = signature.replace("%2B", "+").replace("%2F", "/");
    let decoded = decoded.replace("%3D", "=");
    vec![signature, decoded]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_signature_reaches_the_log_whatever_is_logged() {
    let (aws, azure) = tokio::join!(Versitygw::start(), Azurite::start());
    let (aws, azure) = (aws.unwrap(), azure.unwrap());
    let digest = push(&aws.access(), b"weights").await;
    let dir = tempfile::tempdir().unwrap();
    let mut refused = azure.access();
    let sas = refused.secret.0.get_mut("sasToken").unwrap();
    // Signed for other rights than it says: the store answers 403.
    *sas = sas.replace("sp=", "sp=y");
    for (target, code) in [(refused, Some(1)), (azure.access(), Some(0))] {
        let mut secrets = signatures(&target);
        secrets.extend(aws.access().secret.0.remove("secretAccessKey"));
        let plan = TransferPlan {
            model: "digits".to_owned(),
            version: "v1".to_owned(),
            manifest_digest: digest,
            source: aws.access(),
            targets: vec![target],
        };
        let plan = write_plan(dir.path(), &plan);
        for log in [
            "info",
            "trace",
            "typespec_client_core=trace,azure_core=trace,trace",
        ] {
            let arguments = ["--log", log, "transfer", "--plan", &plan];
            let ran = run(dir.path(), &arguments, None).await;
            assert_eq!(ran.code, code, "{}", ran.stderr);
            assert!(ran.stderr.contains("\"level\""), "something is logged");
            let told = format!("{}{}", ran.stderr, ran.termination);
            for secret in &secrets {
                let line = told.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(line, None, "--log {log}");
            }
        }
    }
}

/// The same store, used by what is around the process.
fn ambient(mut access: StoreAccess) -> StoreAccess {
    access.secret = SecretValues::default();
    access.spec.auth = StoreAuth {
        ambient: Some(Empty {}),
        ..StoreAuth::default()
    };
    access
}

/// A server that answers requests for a path that contains `path` with one text, and
/// knows nothing else. Answers its address, and what was asked.
async fn answering(
    path: &'static str,
    kind: &'static str,
    text: String,
) -> (String, std::sync::Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let log = std::sync::Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            log.lock().unwrap().push_str(&request);
            let first = request.lines().next().unwrap_or_default();
            let status = if first.contains(path) {
                "200 OK"
            } else {
                "404 Not Found"
            };
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                 Metadata-Flavor: Google\r\nConnection: close\r\n\r\n{text}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

async fn fetched_with(plan: &FetchPlan, environment: &[(&str, &str)]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let path = write_plan(dir.path(), plan);
    let to = dir.path().join("models");
    let arguments = ["fetch", "--plan", &path, "--to", to.to_str().unwrap()];
    // Nothing of this machine's own.
    let mut all = vec![
        ("HOME", "/nonexistent"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    all.extend(environment);
    let ran = run_with(dir.path(), &arguments, &all, None).await;
    assert_eq!(
        ran.code == Some(0),
        to.join("digits/v1/model.onnx").exists()
    );
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_is_used_by_the_role_that_a_projected_token_gives() {
    let aws = Versitygw::start().await.unwrap();
    let digest = push(&aws.access(), b"weights").await;
    let plan = fetch_plan(digest, ambient(aws.access()));
    let secret = aws.access().secret.0;
    let (id, key) = (&secret["accessKeyId"], &secret["secretAccessKey"]);
    let sts = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{id}</AccessKeyId>\
         <SecretAccessKey>{key}</SecretAccessKey><SessionToken></SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    let (address, asked) = answering("/", "text/xml", sts).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "projected-token").unwrap();
    let environment = [
        (
            "AWS_ROLE_ARN",
            "arn:aws:iam::123456789012:role/fleet-models",
        ),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", &format!("http://{address}")),
    ];
    let ran = fetched_with(&plan, &environment).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.contains("AssumeRoleWithWebIdentity"), "{asked}");
    assert!(asked.contains("projected-token"), "{asked}");
    assert!(!ran.stderr.contains("projected-token") && !ran.stderr.contains(key.as_str()));

    let keys = [
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", key),
    ];
    let ran = fetched_with(&plan, &keys).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let ran = fetched_with(&plan, &[]).await;
    assert_eq!(ran.code, Some(1), "nothing is around it");
    assert!(ran.termination.contains("aws"), "{}", ran.termination);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_storage_is_used_by_what_the_metadata_server_gives() {
    let gcp = FakeGcs::start().await.unwrap();
    let digest = push(&gcp.access(), b"weights").await;
    let anonymous = fetched_with(&fetch_plan(digest, gcp.access()), &[]).await;
    assert_eq!(anonymous.code, Some(0), "{}", anonymous.stderr);
    let token = r#"{"access_token":"metadata-token","expires_in":3600,"token_type":"Bearer"}"#;
    let (address, asked) = answering("/token", "application/json", token.to_owned()).await;
    let plan = fetch_plan(digest, ambient(gcp.access()));
    let ran = fetched_with(&plan, &[("GCE_METADATA_HOST", address.as_str())]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.contains("/token"), "{asked}");
    assert!(!ran.stderr.contains("metadata-token"));
}
