//! Up and down: nothing is left behind, a crash half-way is picked up, and a machine
//! that cannot carry a sandbox is told so before anything is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use mcdeploy_e2e::sandbox::program;
use tokio::sync::Mutex;

/// There is one sandbox a machine.
static MACHINE: Mutex<()> = Mutex::const_new(());

fn sandbox(words: &[&str]) -> Output {
    let program = program("mcdeploy").expect("the CLI is built");
    let mut command = Command::new(program);
    command.arg("sandbox").args(words);
    command.output().expect("the CLI starts")
}

fn succeed(words: &[&str]) -> String {
    let output = sandbox(words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sandbox {words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a machine looks like from outside, one entry per thing.
fn machine() -> BTreeMap<&'static str, BTreeSet<String>> {
    let lines = |words: &[&str]| -> BTreeSet<String> {
        let output = Command::new(words[0]).args(&words[1..]).output();
        let output = output.expect("the command starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    };
    let links = "ip -brief link | cut -d' ' -f1";
    let groups = "find /sys/fs/cgroup -maxdepth 3 -type d -not -path '*process_api*'";
    BTreeMap::from([
        ("links", lines(&["sh", "-c", links])),
        ("routes", lines(&["ip", "route", "show", "table", "all"])),
        ("nft", lines(&["nft", "list", "ruleset"])),
        ("mounts", lines(&["cat", "/proc/self/mounts"])),
        ("cgroups", lines(&["sh", "-c", groups])),
        ("sysctls", sysctls()),
        ("processes", processes()),
        ("paths", paths()),
    ])
}

/// Names of processes of the kinds that a sandbox starts.
fn processes() -> BTreeSet<String> {
    let ours = [
        "kube",
        "containerd",
        "docker-registr",
        "versitygw",
        "fake-gcs",
        "pause",
        "mcd",
    ];
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("proc").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let dead =
            fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| stat.contains(") Z "));
        if !dead && ours.iter().any(|ours| name.starts_with(ours)) && !name.starts_with("mcdeploy-")
        {
            found.insert(format!("{pid} {}", name.trim()));
        }
    }
    found
}

/// Directories where programs leave things, one level deep.
fn paths() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for directory in [
        "/run",
        "/var/lib",
        "/var/log",
        "/etc",
        "/opt",
        "/usr/libexec",
        "/var/run",
    ] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            found.insert(entry.path().display().to_string());
        }
    }
    found
}

fn sysctls() -> BTreeSet<String> {
    // These count, or change by themselves.
    let moving = [
        "/random/",
        "-nr",
        "dentry-state",
        "inode-",
        "ns_last_pid",
        "nf_conntrack_count",
        "/quota/",
        "aio-nr",
        "file-nr",
        "/pty/nr",
        "route/flush",
        "sched_domain",
    ];
    let mut found = BTreeSet::new();
    walk(Path::new("/proc/sys"), &mut |path| {
        let name = path.display().to_string();
        if !moving.iter().any(|moving| name.contains(moving))
            && let Ok(value) = fs::read_to_string(path)
        {
            found.insert(format!("{name} = {}", value.trim()));
        }
    });
    found
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        } else {
            visit(&entry.path());
        }
    }
}

fn assert_same(
    before: &BTreeMap<&str, BTreeSet<String>>,
    after: &BTreeMap<&str, BTreeSet<String>>,
) {
    for (what, before) in before {
        let after = &after[what];
        let gone: Vec<_> = before.difference(after).collect();
        let new: Vec<_> = after.difference(before).collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "{what}: gone {gone:#?}, new {new:#?}"
        );
    }
}

#[tokio::test]
async fn down_leaves_the_machine_as_it_was_even_after_a_crash_half_way() {
    let _machine = MACHINE.lock().await;
    // Tools and packages are no part of what comes and goes.
    succeed(&["up"]);
    succeed(&["down"]);
    let before = machine();
    let mut up = Command::new(program("mcdeploy").expect("the CLI is built"))
        .args(["sandbox", "up"])
        .stderr(Stdio::null())
        .spawn()
        .expect("the CLI starts");
    tokio::time::sleep(Duration::from_secs(3)).await;
    up.kill().expect("kill");
    up.wait().expect("wait");
    succeed(&["up"]);
    let running = processes();
    let start = Instant::now();
    succeed(&["up"]);
    let again = start.elapsed();
    assert!(
        again < Duration::from_secs(10),
        "a second up took {again:?}"
    );
    let missing: Vec<_> = running
        .iter()
        .filter(|name| name.contains(" kube"))
        .filter(|name| !processes().contains(*name))
        .cloned()
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "a second up restarted these");
    let status: serde_json::Value =
        serde_json::from_str(&succeed(&["status", "-o", "json"])).expect("JSON");
    for cloud in status["clouds"].as_array().expect("clouds") {
        assert_eq!(cloud["ready"], true, "{cloud}");
    }
    succeed(&["down"]);
    succeed(&["down"]);
    assert_same(&before, &machine());
}

#[tokio::test]
async fn an_unfit_machine_is_told_in_one_line_and_left_alone() {
    let _machine = MACHINE.lock().await;
    let before = machine();
    let program = program("mcdeploy").expect("the CLI is built");
    let refuse = |command: &mut Command, word: &str| {
        let output = command.output().expect("the CLI starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(errors.contains(word), "{errors}");
        assert_eq!(errors.trim().lines().count(), 1, "{errors}");
    };
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let mut unprivileged = Command::new("setpriv");
    refuse(
        unprivileged
            .args(nobody)
            .arg(&program)
            .args(["sandbox", "up"]),
        "needs root",
    );
    let ip = |words: &str| {
        let status = Command::new("ip").args(words.split(' ')).status();
        assert!(status.expect("ip starts").success(), "ip {words}");
    };
    ip("link add mcdtest type bridge");
    ip("address add 10.203.0.200/32 dev mcdtest");
    let output = sandbox(&["up"]);
    ip("link delete mcdtest");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("10.203.0.200 of mcdtest"), "{errors}");
    assert_eq!(errors.trim().lines().count(), 1, "{errors}");
    ip("link add mcd0 type bridge");
    let output = sandbox(&["up"]);
    ip("link delete mcd0");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("the link mcd0 exists"), "{errors}");
    assert_same(&before, &machine());
}
