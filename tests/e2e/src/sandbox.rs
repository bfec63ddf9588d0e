//! The sandbox and the real CLI, as a user has them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use mcdeploy_api::names;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{clock, digits};

pub mod faults;

/// The member clusters, which are named like their clouds.
pub const CLOUDS: [&str; 3] = ["aws", "gcp", "azure"];

/// A running sandbox, seen from outside.
pub struct Sandbox {
    program: PathBuf,
    project: TempDir,
    kubeconfig: PathBuf,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The words of the command.
    pub command: String,
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Said {
    /// The output, when the exit code is 0.
    ///
    /// # Errors
    /// Another exit code, with everything that was said.
    pub fn ok(self) -> anyhow::Result<Self> {
        if self.code == Some(0) {
            return Ok(self);
        }
        bail!(
            "`{}` ended with {:?} after {:.1} s\n{}{}",
            self.command,
            self.code,
            self.took.as_secs_f64(),
            self.stdout,
            self.stderr
        )
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("`{}` printed no JSON: {}", self.command, self.stdout))
    }

    /// Both outputs.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A program of this workspace, next to the running one.
///
/// # Errors
/// It was not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("find this program")?;
    let beside = this.ancestors().skip(1).take(2);
    let found = beside.map(|dir| dir.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace --bins`"))
}

impl Sandbox {
    /// Makes a project directory with the digits example. Nothing is started.
    ///
    /// # Errors
    /// The CLI is not built, or files cannot be copied.
    pub fn new() -> anyhow::Result<Self> {
        install_crypto();
        let project = tempfile::tempdir().context("make a project directory")?;
        let from = digits::directory();
        for version in digits::VERSIONS {
            let file = format!("models/{version}/model.onnx");
            let to = project.path().join(&file);
            std::fs::create_dir_all(to.parent().unwrap_or(project.path()))?;
            std::fs::copy(from.join(&file), &to).with_context(|| format!("copy {file}"))?;
        }
        let file = "mcdeploy.yaml";
        std::fs::copy(from.join(file), project.path().join(file)).context("copy mcdeploy.yaml")?;
        Ok(Self {
            program: program("mcdeploy")?,
            kubeconfig: project.path().join("hub.kubeconfig"),
            project,
        })
    }

    /// The directory of `mcdeploy.yaml`.
    pub fn project(&self) -> &Path {
        self.project.path()
    }

    /// Writes the hub's kubeconfig, which later commands use.
    ///
    /// # Errors
    /// The sandbox does not run.
    pub async fn connect(&self) -> anyhow::Result<()> {
        let said = self.run(&["sandbox", "kubeconfig", "hub"]).await?.ok()?;
        std::fs::write(&self.kubeconfig, said.stdout).context("write the hub's kubeconfig")
    }

    /// Runs `mcdeploy` in the project directory and keeps what it says. Ends it after
    /// 15 minutes.
    ///
    /// # Errors
    /// It cannot be started, or did not end.
    pub async fn run(&self, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(words, command.output()).await
    }

    /// Runs `mcdeploy` on the screen: its tree is part of the story.
    ///
    /// # Errors
    /// It cannot be started, or did not end.
    pub async fn show(&self, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = self.command(words);
        let status = async {
            let status = command.status().await?;
            Ok(Output {
                status,
                stdout: vec![],
                stderr: vec![],
            })
        };
        finish(words, status).await
    }

    /// The command, not started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(self.project.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// The kubeconfig of a cloud's administrator.
    ///
    /// # Errors
    /// The sandbox does not run.
    pub async fn client(&self, cloud: &str) -> anyhow::Result<Client> {
        let said = self.run(&["sandbox", "kubeconfig", cloud]).await?.ok()?;
        let kubeconfig = Kubeconfig::from_yaml(&said.stdout)
            .with_context(|| format!("kubeconfig of {cloud}"))?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.connect_timeout = Some(Duration::from_secs(3));
        config.read_timeout = Some(Duration::from_secs(10));
        Client::try_from(config).with_context(|| format!("client of {cloud}"))
    }

    /// Address of a cloud's gateway, as its load balancer shows it.
    ///
    /// # Errors
    /// It has none.
    pub async fn gateway(&self, cloud: &str) -> anyhow::Result<SocketAddr> {
        let services: Api<Service> =
            Api::namespaced(self.client(cloud).await?, names::SYSTEM_NAMESPACE);
        let service = services.get(names::GATEWAY_SERVICE).await?;
        let ip = (|| {
            service
                .status?
                .load_balancer?
                .ingress?
                .into_iter()
                .next()?
                .ip
        })();
        let ip = ip.with_context(|| format!("the gateway of {cloud} has no address"))?;
        format!("{ip}:{}", names::GATEWAY_PORT)
            .parse()
            .with_context(|| format!("address of the gateway of {cloud}"))
    }

    /// Addresses of all gateways, by cluster.
    ///
    /// # Errors
    /// One has none.
    pub async fn gateways(&self) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let mut found = vec![];
        for cloud in CLOUDS {
            found.push((cloud.to_owned(), self.gateway(cloud).await?));
        }
        Ok(found)
    }

    /// `mcdeploy status -o json`, whatever its exit code.
    ///
    /// # Errors
    /// It printed no JSON.
    pub async fn status(&self) -> anyhow::Result<Value> {
        self.run(&["status", "-o", "json"]).await?.json()
    }
}

async fn finish(
    words: &[&str],
    run: impl Future<Output = std::io::Result<Output>>,
) -> anyhow::Result<Said> {
    const PATIENCE: Duration = Duration::from_mins(15);
    let command = format!("mcdeploy {}", words.join(" "));
    let start = clock::now();
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .with_context(|| format!("`{command}` did not end"))?
        .with_context(|| format!("cannot start `{command}`"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        command,
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        took: start.elapsed(),
    })
}

/// Tries until it holds.
///
/// # Errors
/// It did not in `patience`; the last reason.
pub async fn eventually<T, F: Future<Output = anyhow::Result<T>>>(
    what: &str,
    patience: Duration,
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let start = clock::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() > patience => {
                return Err(error.context(format!("{what}: not in {} s", patience.as_secs())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

/// Fails with a message unless it holds.
///
/// # Errors
/// It does not hold.
pub fn expect(holds: bool, what: impl FnOnce() -> String) -> anyhow::Result<()> {
    ensure!(holds, what());
    Ok(())
}

fn install_crypto() {
    // An error means that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
