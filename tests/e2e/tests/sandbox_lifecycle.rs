//! Up and down: nothing is left behind, a crash half-way is picked up, and a machine
//! that cannot carry a sandbox is told so before anything is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use mcdeploy_api::names;
use mcdeploy_e2e::sandbox::{Sandbox, program};
use mcdeploy_sandbox::testing::SmallDisk;
use tokio::{sync::Mutex, time::Instant};

const SECOND: Duration = Duration::from_secs(1);

/// There is one sandbox a machine.
static MACHINE: Mutex<()> = Mutex::const_new(());

fn sandbox(words: &[&str]) -> Output {
    let program = program("mcdeploy").expect("the CLI is built");
    let mut command = Command::new(program);
    // Where the charts are.
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    command.current_dir(repository).arg("sandbox").args(words);
    command.output().expect("the CLI starts")
}

fn succeed(words: &[&str]) -> String {
    let output = sandbox(words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sandbox {words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a machine looks like from outside, one entry per thing. Other programs run on it
/// too: what is certainly theirs is left out.
fn machine() -> BTreeMap<&'static str, BTreeSet<String>> {
    let of = |words: &[&str]| -> BTreeSet<String> {
        let output = Command::new(words[0]).args(&words[1..]).output();
        let output = output.expect("the command starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    };
    let links = "ip -brief link | cut -d' ' -f1";
    let groups = "find /sys/fs/cgroup -maxdepth 3 -type d -not -path '*process_api*'";
    BTreeMap::from([
        ("links", of(&["sh", "-c", links])),
        ("routes", of(&["ip", "route", "show", "table", "all"])),
        ("nft", of(&["nft", "list", "ruleset"])),
        ("mounts", mounts()),
        ("cgroups", of(&["sh", "-c", groups])),
        ("sysctls", sysctls()),
        ("processes", processes()),
        ("paths", paths()),
    ])
}

/// Mounts, without those that tests make in the directory for temporary files.
fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let temporary = std::env::temp_dir();
    let is_temporary = |line: &&str| {
        let point = line.split(' ').nth(1).unwrap_or_default();
        Path::new(point).starts_with(&temporary)
    };
    let lasting = text.lines().filter(|line| !is_temporary(line));
    lasting.map(str::to_owned).collect()
}

/// Ids and names of the sandbox's processes.
fn processes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("proc").flatten() {
        let process = entry.path();
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        if !stat.is_empty() && !stat.contains(") Z ") && is_of_a_sandbox(&process) {
            let pid = entry.file_name().to_string_lossy().into_owned();
            found.insert(format!("{pid} {}", name.trim()));
        }
    }
    found
}

/// By any of three marks, because one that left the control groups is still of the sandbox:
/// its group, a network that is not this machine's own, or the sandbox's directory on its
/// command line.
fn is_of_a_sandbox(process: &Path) -> bool {
    let read = |file: &str| {
        let bytes = fs::read(process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let net = fs::read_link(process.join("ns/net"));
    let own = fs::read_link("/proc/self/ns/net").expect("a network");
    read("cgroup").contains("/mcdeploy/")
        || net.is_ok_and(|net| net != own)
        || read("cmdline").contains("/var/lib/mcdeploy-sandbox")
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

/// Without the places where packages put things, and without settings that were not
/// there before.
fn but_for_tools(
    machine: &BTreeMap<&'static str, BTreeSet<String>>,
    before: &BTreeMap<&str, BTreeSet<String>>,
) -> BTreeMap<&'static str, BTreeSet<String>> {
    let name = |setting: &str| setting.split(" = ").next().map(str::to_owned);
    let known: BTreeSet<_> = before["sysctls"].iter().map(|line| name(line)).collect();
    let mut machine = machine.clone();
    machine.remove("paths");
    if let Some(settings) = machine.get_mut("sysctls") {
        settings.retain(|line| known.contains(&name(line)));
    }
    machine
}

#[tokio::test]
async fn down_leaves_the_machine_as_it_was_even_after_a_crash_half_way() {
    let _machine = MACHINE.lock().await;
    // The first of this machine changes what any later one finds changed already. Its
    // tools and packages stay, and so do kernel modules with their settings.
    let untouched = machine();
    succeed(&["up", "--install"]);
    succeed(&["down"]);
    let before = machine();
    assert_same(
        &but_for_tools(&untouched, &untouched),
        &but_for_tools(&before, &untouched),
    );
    // Each goes on where the one before was ended.
    for milliseconds in [200, 1000, 3000] {
        kill_after(Duration::from_millis(milliseconds), &["up"]).await;
    }
    succeed(&["up"]);
    kill_helm_at_work().await;
    succeed(&["up", "--install"]);
    let running = processes();
    succeed(&["up"]);
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

/// Interrupts an installation while helm is at work in some cloud, which leaves its
/// release pending there.
async fn kill_helm_at_work() {
    let sandbox = Sandbox::new().expect("the example");
    let mut clients = Vec::new();
    for cloud in ["hub", "aws", "gcp", "azure"] {
        clients.push(sandbox.client(cloud).await.expect("a kubeconfig"));
    }
    let pending = async || {
        let looks = clients.iter().map(async |client| {
            let releases: Api<Secret> = Api::namespaced(client.clone(), names::SYSTEM_NAMESPACE);
            let labels = ListParams::default().labels("owner=helm,status=pending-install");
            let found = releases.list_metadata(&labels).await.expect("an answer");
            !found.items.is_empty()
        });
        futures::future::join_all(looks).await.contains(&true)
    };
    let mut up = start(&["up", "--install"]);
    let start = Instant::now();
    while !pending().await {
        assert!(start.elapsed() < 90 * SECOND, "helm was never at work");
        assert!(matches!(up.try_wait(), Ok(None)), "it ended by itself");
    }
    kill(&mut up);
    assert!(pending().await, "helm ended its work all the same");
}

/// Starts a command that leads a process group of its own.
fn start(words: &[&str]) -> Child {
    let mut command = Command::new(program("mcdeploy").expect("the CLI is built"));
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .arg("sandbox")
        .args(words)
        .stderr(Stdio::null())
        .process_group(0);
    command.spawn().expect("the CLI starts")
}

/// As a machine that is switched off: the command and what it runs, at once.
fn kill(command: &mut Child) {
    let group = format!("-{}", command.id());
    let kill = Command::new("kill").args(["-9", "--", &group]).status();
    assert!(kill.expect("kill starts").success());
    command.wait().expect("wait");
}

async fn kill_after(time: Duration, words: &[&str]) {
    let mut command = start(words);
    tokio::time::sleep(time).await;
    kill(&mut command);
}

/// A cloud as somebody outside sees it.
struct Outside {
    sandbox: Sandbox,
    address: SocketAddr,
}

impl Outside {
    /// Whether the API server answers within 2 s.
    async fn answers(&self, cloud: &str) -> bool {
        let client = self.sandbox.client(cloud).await.expect("a kubeconfig");
        let version = tokio::time::timeout(2 * SECOND, client.apiserver_version());
        version.await.is_ok_and(|version| version.is_ok())
    }

    /// Waits until it does.
    async fn until_it_answers(&self, cloud: &str) {
        let start = Instant::now();
        while !self.answers(cloud).await {
            assert!(start.elapsed() < 30 * SECOND, "{cloud} does not answer");
        }
    }

    /// Waits until a busy machine has time for all connections at once.
    async fn until_none_is_late(&self) {
        let start = Instant::now();
        while self.late().await > 0 {
            assert!(start.elapsed() < 30 * SECOND, "connections stay late");
        }
    }

    /// Of 40 connections at once, how many were not there within half a second.
    async fn late(&self) -> usize {
        let connects = (0..40).map(|_| async {
            let connect = tokio::net::TcpStream::connect(self.address);
            tokio::time::timeout(SECOND / 2, connect).await
        });
        let all = futures::future::join_all(connects).await;
        all.iter().filter(|one| !matches!(one, Ok(Ok(_)))).count()
    }

    /// How long a few hundred kilobytes take.
    async fn download(&self, cloud: &str) -> Duration {
        let client = self.sandbox.client(cloud).await.expect("a kubeconfig");
        let request = http::Request::get("/openapi/v2").body(vec![]);
        let start = Instant::now();
        let text = client.request_text(request.expect("a request")).await;
        assert!(text.expect("an answer").len() > 100_000);
        start.elapsed()
    }
}

/// Whether the gateway port of gcp's node, its API, can be reached from inside a cloud.
fn reaches(from: &str, to: SocketAddr) -> bool {
    let holder = holder(from);
    let net = format!("--net=/proc/{holder}/ns/net");
    let connect = format!("</dev/tcp/{}/{}", to.ip(), to.port());
    let words = [net.as_str(), "timeout", "1", "bash", "-c", &connect];
    let status = Command::new("nsenter")
        .args(words)
        .stderr(Stdio::null())
        .status();
    status.expect("nsenter starts").success()
}

/// Whether it does within some tries.
fn reaches_in_time(from: &str, to: SocketAddr) -> bool {
    (0..20).any(|_| reaches(from, to))
}

/// The process that holds the namespaces of the cloud with this address.
fn holder(address: &str) -> String {
    let of_holder = |pid: &str| {
        let net = format!("--net=/proc/{pid}/ns/net");
        let words = [net.as_str(), "ip", "-brief", "-4", "address"];
        let output = Command::new("nsenter").args(words).output();
        let text = String::from_utf8_lossy(&output.expect("nsenter starts").stdout).into_owned();
        text.contains(&format!("{address}/"))
    };
    let names = processes();
    let sleepers = names.iter().filter_map(|name| name.strip_suffix(" sleep"));
    let mut holders = sleepers.filter(|pid| of_holder(pid));
    holders
        .next()
        .expect("a cloud with that address")
        .to_owned()
}

#[tokio::test]
async fn every_kind_of_outage_does_what_its_name_says_and_heals() {
    const AWS: &str = "10.203.0.11";
    const AZURE: &str = "10.203.0.13";
    let _machine = MACHINE.lock().await;
    let before = machine();
    succeed(&["up"]);
    let address: SocketAddr = "10.203.0.12:6443".parse().expect("an address");
    let outside = Outside {
        sandbox: Sandbox::new().expect("the example"),
        address,
    };
    outside.until_none_is_late().await;
    // The quickest of three: the machine may have had other work.
    let mut quick = outside.download("gcp").await;
    for _ in 0..2 {
        quick = quick.min(outside.download("gcp").await);
    }

    for nonsense in [["--from", "gcp"], ["--slow", "banana"]] {
        let refused = sandbox(&[&["outage", "gcp"], &nonsense[..]].concat());
        assert!(!refused.status.success(), "{nonsense:?}");
    }
    succeed(&["outage", "gcp"]);
    assert_eq!(outside.late().await, 40);
    let second = sandbox(&["outage", "gcp", "--pause"]);
    assert!(!second.status.success(), "a second fault is refused");
    succeed(&["heal", "gcp"]);

    succeed(&["outage", "gcp", "--from", "aws"]);
    assert!(!reaches(AWS, address), "aws is cut off from gcp");
    assert!(reaches_in_time(AZURE, address), "azure is not");
    succeed(&["heal", "gcp"]);
    assert!(reaches_in_time(AWS, address));

    succeed(&["outage", "gcp", "--loss", "30"]);
    let late = outside.late().await;
    assert!((3..40).contains(&late), "{late} of 40 were late");
    succeed(&["heal", "gcp"]);

    succeed(&["outage", "gcp", "--slow", "1mbit"]);
    let slow = outside.download("gcp").await;
    assert!(slow > quick + SECOND / 2, "{quick:?}, then {slow:?}");
    succeed(&["heal", "gcp"]);

    succeed(&["outage", "gcp", "--pause"]);
    // The kernel still takes connections; nobody answers on them.
    assert!(outside.late().await < 40);
    assert!(!outside.answers("gcp").await);
    succeed(&["heal", "gcp"]);
    outside.until_it_answers("gcp").await;

    let running = || {
        let names = processes();
        names.iter().filter(|name| name.contains(" kube")).count()
    };
    let all = running();
    succeed(&["outage", "gcp", "--kill"]);
    assert!(running() < all, "gcp's processes are gone");
    assert!(!outside.answers("gcp").await);
    succeed(&["heal", "gcp"]);
    // Heal waits for the node, whose last word may be from before.
    let start = Instant::now();
    while running() < all && start.elapsed() < 20 * SECOND {
        tokio::time::sleep(SECOND / 5).await;
    }
    assert_eq!(running(), all);
    outside.until_it_answers("gcp").await;

    // A fault whose command was killed is ended by heal, as any other.
    kill_after(Duration::from_millis(30), &["outage", "gcp", "--pause"]).await;
    succeed(&["heal", "gcp"]);
    outside.until_it_answers("gcp").await;
    kill_after(Duration::from_millis(30), &["outage", "gcp", "--kill"]).await;

    // Down works under a fault, too.
    succeed(&["outage", "aws", "--pause"]);
    succeed(&["outage", "azure", "--loss", "5"]);
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
    // Tools that are not built yet need room, too.
    let small = SmallDisk::new(8).expect("a small disk");
    refuse(
        Command::new(&program)
            .args(["sandbox", "up"])
            .env("XDG_CACHE_HOME", small.path()),
        "0.0 GiB free and the sandbox needs 6 GiB there: make room",
    );
    drop(small);
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
