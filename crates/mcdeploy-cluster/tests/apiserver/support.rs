//! One API server for all tests of this binary, with both charts installed in it.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use mcdeploy_cluster::ClusterClient;
use mcdeploy_sandbox::{Say, testing::TestApiServer, tools};

/// A server that lives as long as a test uses it.
pub(crate) struct Shared {
    server: TestApiServer,
}

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

impl Shared {
    /// The server that other tests use too, else a new one.
    pub(crate) fn get() -> Arc<Self> {
        let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = slot.upgrade() {
            return shared;
        }
        let started = std::thread::spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(TestApiServer::start()).unwrap()
        });
        let server = started.join().unwrap();
        let shared = Arc::new(Self { server });
        shared.helm(&["install", "mcdeploy-crds", &chart("mcdeploy-crds")]);
        shared.helm(&[
            "install",
            "mcdeploy",
            &chart("mcdeploy"),
            "--namespace=mcdeploy-system",
            "--create-namespace",
            "--set=hub.enabled=true,member.enabled=true,member.cluster=aws",
            "--set=member.cache.enabled=true,member.cache.path=/var/lib/models",
            "--set=member.cache.nodeSelector.disk=fast",
            "--set=image.repository=registry.example.com/mcdeployd",
            &format!("--set=image.digest=sha256:{}", "a".repeat(64)),
        ]);
        *slot = Arc::downgrade(&shared);
        shared
    }

    /// A client of an administrator.
    pub(crate) fn client(&self) -> ClusterClient {
        ClusterClient::from_kubeconfig("test", self.server.kubeconfig()).unwrap()
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &str {
        self.server.kubeconfig()
    }

    pub(crate) fn helm(&self, arguments: &[&str]) {
        self.server.helm(arguments).unwrap();
    }
}

/// The chart for a member, rendered with more values; else what helm says against them.
#[expect(
    clippy::unwrap_in_result,
    reason = "a program that does not start ends the test"
)]
pub(crate) fn template(values: &str) -> Result<String, String> {
    let program = tools::ensure_blocking(tools::Tool::Helm, &Say::stderr()).unwrap();
    let done = Command::new(program)
        .args(["template", "mcdeploy", &chart("mcdeploy")])
        .args(["--kube-version=1.37.0", "--namespace=mcdeploy-system"])
        .args(["--set", values])
        .args(["--set", "member.enabled=true,member.cluster=aws"])
        .args(["--set", "image.repository=registry.example.com/mcdeployd"])
        .arg(format!("--set=image.digest=sha256:{}", "a".repeat(64)))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() {
        Ok(text(&done.stdout))
    } else {
        Err(text(&done.stderr))
    }
}

fn chart(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts");
    root.join(name).display().to_string()
}

/// A namespace of one's own.
pub(crate) async fn namespace(client: &ClusterClient, name: &str) -> String {
    client.ensure_namespace(name).await.unwrap();
    name.to_owned()
}
