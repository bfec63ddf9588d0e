//! A running `mcserve` process, and the digits example.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStderr, Command},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A process; killed when dropped.
pub(crate) struct Child {
    process: tokio::process::Child,
    _log: Lines<BufReader<ChildStderr>>,
    _models: TempDir,
    address: SocketAddr,
    client: Client,
}

fn command(models: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcserve"));
    command
        .args(["--listen", "127.0.0.1:0", "--models-dir"])
        .arg(models)
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Child {
    /// Starts it on a free port with the versions in `versions` as the model `digits`,
    /// and waits until it is ready.
    pub(crate) async fn start(versions: &Path, flags: &[&str]) -> Self {
        let models = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(versions, models.path().join("digits")).unwrap();
        let dir = models.path().to_owned();
        Self::spawn(&dir, models, flags).await
    }

    /// Starts it on a free port with every model in a directory, and waits until it is ready.
    pub(crate) async fn start_models(dir: &Path) -> Self {
        Self::spawn(dir, tempfile::tempdir().unwrap(), &[]).await
    }

    async fn spawn(dir: &Path, models: TempDir, flags: &[&str]) -> Self {
        let mut process = command(dir).args(flags).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut address = None;
        tokio::time::timeout(PATIENCE, async {
            while let Some(line) = log.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap();
                let fields = &line["fields"];
                if let Some(text) = fields["address"].as_str() {
                    address = Some(text.parse().unwrap());
                }
                if fields["message"] == "ready" {
                    break;
                }
            }
        })
        .await
        .expect("ready in time");
        Self {
            process,
            _log: log,
            _models: models,
            address: address.expect("it says where it listens"),
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
        }
    }

    /// Runs it on a directory with which it cannot start: exit code and log.
    pub(crate) async fn run_to_end(models: &Path, flags: &[&str]) -> (Option<i32>, String) {
        let run = command(models).args(flags).output();
        let output = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        response.text().await.unwrap()
    }

    pub(crate) async fn post_raw(&self, path: &str, body: String) -> Response {
        let request = self.client.post(self.url(path)).body(body);
        request.send().await.unwrap()
    }

    pub(crate) async fn post_encoded(&self, path: &str, encoding: &str, body: Vec<u8>) -> Response {
        let request = self.client.post(self.url(path)).body(body);
        let request = request.header("content-encoding", encoding);
        request.send().await.unwrap()
    }

    pub(crate) async fn post_text(&self, path: &str, body: String) -> (StatusCode, Value) {
        let response = self.post_raw(path, body).await;
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.post_text(path, body.to_string()).await
    }

    pub(crate) fn terminate(&self) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    }

    pub(crate) async fn wait(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended.expect("it ends in time").unwrap().code()
    }

    pub(crate) async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }
}

/// A path in `examples/digits`.
pub(crate) fn digits(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
    root.canonicalize().unwrap().join(path)
}

/// Pixels of every held-out row.
pub(crate) fn held_out() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(digits("held-out.csv")).unwrap();
    let row = |line: &str| {
        let values: Vec<u8> = line.split(',').map(|v| v.parse().unwrap()).collect();
        values[..64].to_vec()
    };
    text.lines().skip(1).map(row).collect()
}

/// Class of every held-out row, from scikit-learn.
pub(crate) fn expected(version: &str) -> Vec<i64> {
    let text = std::fs::read_to_string(digits(&format!("expected-{version}.json"))).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(value["classes"].clone()).unwrap()
}
