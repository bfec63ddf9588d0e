//! `mcdeploy artifacts` against real object stores, and no hub anywhere.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use mcdeploy_api::StoreAccess;
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};
use serde_json::Value;

/// The program with no configuration of the machine around it.
fn mcdeploy(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcdeploy"));
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("KUBECONFIG", home.join("no-such-file"))
        .current_dir(home);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command, args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(args).output().unwrap();
    (status.code().unwrap(), text(&stdout), text(&stderr))
}

fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

struct Clouds {
    s3: Versitygw,
    azure: Azurite,
    gcs: FakeGcs,
    home: tempfile::TempDir,
}

impl Clouds {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        for (version, bytes) in [("v1", vec![1; 100_000]), ("v2", vec![2; 3_000_000])] {
            let dir = home.path().join("models").join(version);
            std::fs::create_dir_all(dir.join("weights")).unwrap();
            std::fs::write(dir.join("config.json"), b"{}").unwrap();
            std::fs::write(dir.join("weights/a b.bin"), bytes).unwrap();
        }
        Self {
            s3: Versitygw::start().await.unwrap(),
            azure: Azurite::start().await.unwrap(),
            gcs: FakeGcs::start().await.unwrap(),
            home,
        }
    }

    fn secret(access: &StoreAccess, key: &str) -> String {
        access.secret.0[key].clone()
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let s3 = self.s3.access();
        let mut command = mcdeploy(self.home.path());
        command
            .env("AWS_ACCESS_KEY_ID", Self::secret(&s3, "accessKeyId"))
            .env(
                "AWS_SECRET_ACCESS_KEY",
                Self::secret(&s3, "secretAccessKey"),
            )
            .env(
                "AZURE_STORAGE_SAS_TOKEN",
                Self::secret(&self.azure.access(), "sasToken"),
            );
        let (code, stdout, stderr) = run(&mut command, args);
        for access in [s3, self.azure.access()] {
            for secret in access.secret.0.values() {
                assert!(!stdout.contains(secret) && !stderr.contains(secret));
            }
        }
        (code, stdout, stderr)
    }

    fn s3_url(&self) -> String {
        let endpoint = self.s3.access().spec.location.s3.unwrap().endpoint;
        format!(
            "s3://models?region=us-east-1&endpoint={}",
            endpoint.unwrap()
        )
    }

    fn azure_url(&self) -> String {
        let endpoint = self
            .azure
            .access()
            .spec
            .location
            .azure_blob
            .unwrap()
            .endpoint;
        format!("az://acct/models?region=westeurope&endpoint={endpoint}")
    }

    fn gcs_url(&self) -> String {
        let endpoint = self.gcs.access().spec.location.gcs.unwrap().endpoint;
        let endpoint = endpoint.unwrap();
        format!("gs://models?region=europe-west4&anonymous&endpoint={endpoint}")
    }

    fn push(&self, version: &str, store: &str) -> (i32, String, String) {
        let version = format!("digits:{version}");
        self.run(&[
            "artifacts",
            "push",
            &version,
            "--dir",
            "models",
            "--store",
            store,
        ])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_pushed_listed_and_verified_in_three_clouds_without_a_hub() {
    let clouds = Clouds::start().await;
    let (s3, azure, gcs) = (clouds.s3_url(), clouds.azure_url(), clouds.gcs_url());
    for store in [&s3, &azure, &gcs] {
        let (code, stdout, stderr) = clouds.push("v1", store);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("digits v1 pushed to "), "{stdout}");
    }
    let (code, _, stderr) = clouds.push("v2", &s3);
    assert_eq!(code, 0, "{stderr}");
    let (code, stdout, stderr) = clouds.run(&["artifacts", "ls", &s3, &azure, &gcs, "-o", "json"]);
    assert_eq!(code, 0, "{stderr}");
    let items = json(&stdout)["items"].as_array().unwrap().clone();
    let shown: Vec<_> = items
        .iter()
        .map(|i| {
            format!(
                "{} {} {} {}",
                i["store"], i["version"], i["state"], i["sizeBytes"]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#""s3://models" "v1" "Whole" 100002"#,
            r#""s3://models" "v2" "Whole" 3000002"#,
            r#""az://acct/models" "v1" "Whole" 100002"#,
            r#""gs://models" "v1" "Whole" 100002"#,
        ]
    );
    let verify = ["artifacts", "verify", "digits:v1", &s3, &azure, &gcs];
    let (code, stdout, stderr) = clouds.run(&verify);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(stdout.matches("Verified").count(), 3, "{stdout}");
    let (code, stdout, _) = clouds.run(&["artifacts", "verify", "digits:v2", &s3, &gcs]);
    assert_eq!(code, 1);
    assert!(stdout.contains("Missing"), "{stdout}");
    std::fs::write(clouds.s3.object_file("digits/v1/config.json"), b"{!}").unwrap();
    let (code, stdout, _) = clouds.run(&verify);
    assert_eq!(code, 1);
    assert!(stdout.contains("config.json: expected 2 bytes"), "{stdout}");
    let (code, _, stderr) = clouds.run(&["artifacts", "verify", "digits:v9", &s3]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("hint:"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_reads_the_size_from_the_store_that_has_the_version() {
    let clouds = Clouds::start().await;
    let (s3, azure, gcs) = (clouds.s3_url(), clouds.azure_url(), clouds.gcs_url());
    clouds.push("v2", &s3);
    let to = format!("{azure},{gcs}");
    let plan = [
        "artifacts",
        "plan",
        "digits:v2",
        "--from",
        &s3,
        "--to",
        &to,
        "-o",
        "json",
    ];
    let (code, stdout, stderr) = clouds.run(&plan);
    assert_eq!(code, 0, "{stderr}");
    let report = json(&stdout);
    assert_eq!(report["sizeBytes"], 3_000_002);
    let transfers = report["plan"]["transfers"].as_array().unwrap();
    assert_eq!(
        transfers.len(),
        1,
        "one reading feeds both targets: {stdout}"
    );
    assert_eq!(transfers[0]["place"], "this machine");
    let (code, _, stderr) = clouds.run(&[
        "artifacts",
        "plan",
        "digits:v1",
        "--from",
        &s3,
        "--to",
        &gcs,
    ]);
    assert_eq!(code, 5, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_copied_to_other_clouds_and_to_disk_unless_that_costs_too_much() {
    let clouds = Clouds::start().await;
    let (s3, azure, gcs) = (clouds.s3_url(), clouds.azure_url(), clouds.gcs_url());
    clouds.push("v2", &s3);
    let disk = clouds.home.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let to = format!("{azure},{gcs},file://{}", disk.display());
    let copy = [
        "artifacts",
        "replicate",
        "digits:v2",
        "--from",
        &s3,
        "--to",
        &to,
        "-o",
        "json",
    ];
    let capped: Vec<&str> = copy
        .iter()
        .copied()
        .chain(["--max-cost", "0.0001"])
        .collect();
    let (code, stdout, stderr) = clouds.run(&capped);
    assert_eq!(code, 1, "{stdout}");
    assert!(stderr.contains("may be spent"), "{stderr}");
    assert!(!disk.join("digits").exists());
    for state in ["Copied", "Unchanged"] {
        let (code, stdout, stderr) = clouds.run(&copy);
        assert_eq!(code, 0, "{stderr}");
        let report = json(&stdout);
        let targets = report["targets"].as_array().unwrap();
        let all = targets.iter().filter(|target| target["state"] == state);
        assert_eq!(all.count(), 3, "{stdout}");
    }
    let verify = ["artifacts", "verify", "digits:v2", &s3, &azure, &gcs];
    let (code, stdout, stderr) = clouds.run(&verify);
    assert_eq!(code, 0, "{stdout}{stderr}");
    std::fs::write(clouds.home.path().join("models/v2/config.json"), b"other").unwrap();
    let other = format!("file://{}", disk.display());
    let (code, _, stderr) = clouds.push("v2", &other);
    assert_eq!(code, 6, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_nothing_yet_is_followed_until_its_copy_came_through() {
    let clouds = Clouds::start().await;
    let (s3, azure, gcs) = (clouds.s3_url(), clouds.azure_url(), clouds.gcs_url());
    clouds.push("v2", &s3);
    let hop = |from: &str, to: &str, more: &[&str]| {
        let args = [
            "artifacts",
            "replicate",
            "digits:v2",
            "--from",
            from,
            "--to",
            to,
        ];
        clouds.run(&[&args[..], more].concat())
    };
    let (code, _, stderr) = hop(&azure, &gcs, &[]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("--follow"), "{stderr}");
    std::thread::scope(|scope| {
        let onward = scope.spawn(|| hop(&azure, &gcs, &["--follow"]));
        std::thread::park_timeout(std::time::Duration::from_millis(1500));
        assert!(!onward.is_finished(), "it did not wait");
        let (code, _, stderr) = hop(&s3, &azure, &[]);
        assert_eq!(code, 0, "{stderr}");
        let (code, _, stderr) = onward.join().unwrap();
        assert_eq!(code, 0, "{stderr}");
    });
    let (code, stdout, stderr) = clouds.run(&["artifacts", "verify", "digits:v2", &azure, &gcs]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_that_metadata_hides_is_found_by_reading_and_repaired_from_a_whole_copy() {
    let clouds = Clouds::start().await;
    let (s3, gcs) = (clouds.s3_url(), clouds.gcs_url());
    clouds.push("v1", &s3);
    clouds.push("v1", &gcs);
    // The same length: the server answers its old checksum.
    std::fs::write(clouds.s3.object_file("digits/v1/config.json"), b"!!").unwrap();
    let (code, stdout, stderr) = clouds.run(&["artifacts", "verify", "digits:v1", &s3]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let scrub = [
        "artifacts",
        "scrub",
        "digits:v1",
        &s3,
        &gcs,
        "--percent",
        "100",
    ];
    let (code, stdout, stderr) = clouds.run(&scrub);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("config.json: expected 2 bytes"), "{stdout}");
    assert!(stderr.contains("hint: --repair"), "{stderr}");
    let repair: Vec<&str> = scrub.iter().copied().chain(["--repair"]).collect();
    let (code, stdout, stderr) = clouds.run(&repair);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stderr.contains("wrong bytes are kept as"), "{stderr}");
    let (code, stdout, _) = clouds.run(&scrub);
    assert_eq!(code, 0, "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_unfinished_pushes_left_is_freed_only_when_old_and_asked_for() {
    let clouds = Clouds::start().await;
    let s3 = clouds.s3_url();
    clouds.push("v1", &s3);
    let claim = clouds.s3.object_file("digits/v2/mcdeploy-push.json");
    std::fs::create_dir_all(claim.parent().unwrap()).unwrap();
    std::fs::write(&claim, b"{}").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    let (code, stdout, stderr) = clouds.run(&["artifacts", "gc", &s3, "-o", "json"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(json(&stdout)["stores"][0]["claims"], serde_json::json!([]));
    let old = ["artifacts", "gc", &s3, "--older-than", "1s", "-o", "json"];
    let (code, stdout, stderr) = clouds.run(&old);
    assert_eq!(code, 0, "{stderr}");
    let claims = &json(&stdout)["stores"][0]["claims"];
    assert_eq!(claims.as_array().unwrap().len(), 1, "{stdout}");
    assert!(claim.exists(), "a dry run frees nothing");
    let really: Vec<&str> = old.iter().copied().chain(["--yes"]).collect();
    let (code, _, stderr) = clouds.run(&really);
    assert_eq!(code, 0, "{stderr}");
    assert!(!claim.exists());
    let (code, stdout, _) = clouds.run(&["artifacts", "verify", "digits:v1", &s3]);
    assert_eq!(code, 0, "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_hub_a_version_goes_only_by_its_digest_and_when_asked_for() {
    let clouds = Clouds::start().await;
    let s3 = clouds.s3_url();
    clouds.push("v1", &s3);
    clouds.push("v2", &s3);
    let gc =
        |rest: &[&str]| clouds.run(&[&["artifacts", "gc", &s3, "-o", "json"][..], rest].concat());
    let (code, _, stderr) = gc(&["--versions"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--remove MODEL:VERSION@DIGEST"), "{stderr}");
    let (code, _, stderr) = gc(&["--remove", "digits:v1"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("without its digest"), "{stderr}");
    let (_, stdout, _) = clouds.run(&["artifacts", "ls", &s3, "-o", "json"]);
    let items = json(&stdout)["items"].clone();
    let digest = |index: usize| items[index]["manifestDigest"].as_str().unwrap().to_owned();
    let exact = |version: &str, index| format!("digits:{version}@{}", digest(index));
    let wrong = exact("v1", 1);
    let (code, stdout, stderr) = gc(&["--remove", &wrong, "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        json(&stdout)["versions"][0]["reason"],
        "OtherBytes",
        "{stdout}"
    );
    let right = exact("v1", 0);
    let (code, stdout, stderr) = gc(&["--remove", &right]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("no hub was asked"), "{stderr}");
    assert_eq!(json(&stdout)["versions"][0]["action"], "Remove", "{stdout}");
    assert!(
        clouds.s3.object_file("digits/v1/config.json").exists(),
        "a dry run"
    );
    let theirs = clouds.s3.object_file("digits/v1/notes.txt");
    std::fs::write(&theirs, b"of a person").unwrap();
    let (code, stdout, stderr) = gc(&["--remove", &right, "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    let row = &json(&stdout)["versions"][0];
    assert_eq!(row["action"], "Removed", "{stdout}");
    let message = row["message"].as_str().unwrap();
    assert!(message.contains("digits/v1/notes.txt"), "{message}");
    assert!(!clouds.s3.object_file("digits/v1/config.json").exists());
    assert_eq!(std::fs::read(&theirs).unwrap(), b"of a person");
    let (code, stdout, stderr) = gc(&["--remove", &right, "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    let row = &json(&stdout)["versions"][0];
    assert_eq!(
        (row["action"].as_str(), row["reason"].as_str()),
        (Some("Keep"), Some("Foreign")),
        "{stdout}"
    );
    let (code, stdout, _) = clouds.run(&["artifacts", "verify", "digits:v2", &s3]);
    assert_eq!(code, 0, "{stdout}");
}

const FLEET: [&str; 8] = [
    "artifacts",
    "plan",
    "--from",
    "s3://a?region=us-east-1",
    "--to",
    "s3://b?region=eu-west-1,az://c/d?region=westeurope,gs://e?region=europe-west4",
    "--place",
    "aws/us-east-1,aws/eu-west-1,azure/westeurope,gcp/europe-west4",
];

fn plan(more: &[&str]) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let args: Vec<&str> = FLEET.iter().chain(more).copied().collect();
    run(&mut mcdeploy(home.path()), &args)
}

#[test]
fn a_plan_shows_every_leg_with_its_price_and_the_naive_star() {
    let (code, stdout, stderr) = plan(&["--size", "100GiB"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("PRICED BY"), "{stdout}");
    assert!(stdout.contains("aws-internet-from-na-eu"), "{stdout}");
    assert!(
        stdout.contains("total $20.00, naive star $20.00"),
        "{stdout}"
    );
    let (_, stdout, _) = plan(&["--size", "100GiB", "--offer", "aws-interconnect-multicloud"]);
    assert!(stdout.contains("aws-interconnect-to-gcp"), "{stdout}");
    assert!(stdout.contains("total $9.00"), "{stdout}");
    let home = tempfile::tempdir().unwrap();
    let more = "az://c/d?region=westeurope,az://c/e?region=eastus,gs://e?region=europe-west4";
    let mut args: Vec<&str> = FLEET.iter().copied().chain(["--size", "100GiB"]).collect();
    args[5] = more;
    let (_, stdout, _) = run(&mut mcdeploy(home.path()), &args);
    assert!(stdout.contains("% saved"), "{stdout}");
}

#[test]
fn a_plan_that_breaks_a_rule_says_which_and_what_next() {
    for (more, expected) in [
        (
            &["--max-cost", "19.99"][..],
            "costs $20.00, and at most $19.99",
        ),
        (
            &["--jurisdiction", "eu"],
            r#"source store "s3://a" is in US"#,
        ),
        (&["--offer", "aws-interconect-multicloud"], "did you mean"),
        (&["--prices", "no-such-file"], "cannot use the price file"),
    ] {
        let args: Vec<&str> = ["--size", "100GiB"].iter().chain(more).copied().collect();
        let (code, stdout, stderr) = plan(&args);
        assert!(code == 1 || code == 2, "{more:?}");
        assert!(stdout.is_empty() && stderr.contains(expected), "{stderr}");
    }
}

/// A store's URL with a path in it.
fn place(store: &str, path: &str) -> String {
    match store.split_once('?') {
        Some((base, options)) => format!("{base}/{path}?{options}"),
        None => format!("{store}/{path}"),
    }
}

/// States of the objects in a report, in their order.
fn states(stdout: &str) -> Vec<String> {
    let report = json(stdout);
    let objects = report["objects"].as_array().unwrap();
    let state = |object: &Value| object["state"].as_str().unwrap().to_owned();
    objects.iter().map(state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_copied_through_every_kind_of_store_and_never_overwritten() {
    let clouds = Clouds::start().await;
    let home = clouds.home.path();
    let large: Vec<u8> = (0..17_000_000_u32)
        .map(|n| (n / 7 % 251).to_le_bytes()[0])
        .collect();
    std::fs::write(home.join("models/v2/large.bin"), &large).unwrap();
    let local = |path: &str| format!("file://{}/{path}", home.display());
    let hops = [
        local("models/v2/"),
        place(&clouds.s3_url(), "copy/v2/"),
        place(&clouds.azure_url(), "copy/v2/"),
        place(&clouds.gcs_url(), "copy/v2/"),
        place(&clouds.s3_url(), "back/v2/"),
        local("back"),
    ];
    for pair in hops.windows(2) {
        let cp = ["artifacts", "cp", &pair[0], &pair[1], "-o", "json"];
        let (code, stdout, stderr) = clouds.run(&[&cp[..], &["--dry-run"]].concat());
        assert_eq!(
            (code, states(&stdout)),
            (0, vec!["WouldCopy".to_owned(); 3]),
            "{stderr}"
        );
        let (code, stdout, stderr) = clouds.run(&cp);
        assert_eq!(
            (code, states(&stdout)),
            (0, vec!["Copied".to_owned(); 3]),
            "{stderr}"
        );
        let (code, stdout, stderr) = clouds.run(&cp);
        assert_eq!(
            (code, states(&stdout)),
            (0, vec!["Unchanged".to_owned(); 3]),
            "{stderr}"
        );
    }
    assert!(std::fs::read(home.join("back/large.bin")).unwrap() == large);
    let back = std::fs::read(home.join("back/weights/a b.bin")).unwrap();
    assert!(back == vec![2; 3_000_000]);

    for store in [clouds.s3_url(), clouds.azure_url(), clouds.gcs_url()] {
        let other = local("models/v1/weights/a b.bin");
        let taken = place(&store, "copy/v2/weights/a b.bin");
        if store.starts_with("s3") {
            let (code, stdout, _) =
                clouds.run(&["artifacts", "cp", &hops[0], &hops[1], "-o", "json"]);
            assert_eq!(
                (code, states(&stdout)),
                (0, vec!["Unchanged".to_owned(); 3])
            );
        }
        for more in [&["--dry-run"][..], &[]] {
            let cp = ["artifacts", "cp", &other, &taken, "-o", "json"];
            let (code, stdout, stderr) = clouds.run(&[&cp[..], more].concat());
            assert_eq!(
                (code, states(&stdout)),
                (6, vec!["Conflict".to_owned()]),
                "{stderr}"
            );
            assert!(stderr.contains("nothing was overwritten"), "{stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_copied_to_a_name_or_into_a_directory_and_an_absent_one_is_named() {
    let clouds = Clouds::start().await;
    let config = format!(
        "file://{}/models/v1/config.json",
        clouds.home.path().display()
    );
    for (to, key) in [
        ("one/name.json", "one/name.json"),
        ("one/", "one/config.json"),
    ] {
        let target = place(&clouds.gcs_url(), to);
        let (code, stdout, stderr) =
            clouds.run(&["artifacts", "cp", &config, &target, "-o", "json"]);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(json(&stdout)["objects"][0]["to"], key);
    }
    let absent = place(&clouds.s3_url(), "no/such");
    let (code, _, stderr) =
        clouds.run(&["artifacts", "cp", &absent, &place(&clouds.gcs_url(), "x")]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("no/such"), "{stderr}");
    let (code, _, stderr) = clouds.run(&["artifacts", "cp", "https://x/y", "s3://b/c"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn what_another_tool_wrote_where_a_version_goes_is_a_conflict_and_stays() {
    let home = tempfile::tempdir().unwrap();
    let file = |path: &str, bytes: &[u8]| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    file("models/v1/model.bin", b"ours");
    file("models/v1/labels", b"the same");
    file("store/llama/v1/model.bin", b"of another tool");
    let store = format!("file://{}/store", home.path().display());
    let push = || {
        let args = [
            "artifacts",
            "push",
            "llama:v1",
            "--dir",
            "models",
            "--store",
        ];
        run(mcdeploy(home.path()).args(args), &[&store])
    };
    let theirs = home.path().join("store/llama/v1/model.bin");
    for _ in 0..2 {
        let (code, _, stderr) = push();
        assert_eq!(code, 6, "{stderr}");
        assert_eq!(std::fs::read(&theirs).unwrap(), b"of another tool");
        for part in [
            "llama/v1/model.bin",
            "15 bytes",
            "written 20",
            "move or delete",
        ] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
    }
    std::fs::remove_file(&theirs).unwrap();
    file("store/llama/v1/labels", b"the same");
    let (code, _, stderr) = push();
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("1 file was there already"), "{stderr}");
    assert!(stderr.contains("labels"), "{stderr}");
}

#[test]
fn a_link_that_leads_out_of_a_copied_directory_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::create_dir(path("repository")).unwrap();
    std::fs::write(path("credentials"), b"key").unwrap();
    std::fs::write(path("repository/1"), b"weights").unwrap();
    symlink("1", path("repository/inside")).unwrap();
    symlink("../credentials", path("repository/outside")).unwrap();
    let url = |name: &str| format!("file://{}", path(name).display());
    let copy = |from: &str| {
        let args = ["artifacts", "cp", &url(from), &url("copied/")];
        run(&mut mcdeploy(home.path()), &args)
    };
    let (code, _, stderr) = copy("repository/");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("repository/outside"), "{stderr}");
    let there = |name: &str| std::fs::read(path("copied").join(name)).ok();
    assert_eq!(there("inside").as_deref(), Some(&b"weights"[..]));
    assert_eq!(there("outside"), None);
    // What is named is meant.
    let (code, _, stderr) = copy("repository/outside");
    assert_eq!(code, 0, "{stderr}");
}
