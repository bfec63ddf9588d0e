//! etcd and kube-apiserver: every kind, no nodes, no controllers.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Command,
    time::Duration,
};

use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;

use super::{
    StartError,
    child::{Server, free_port, temporary_directory, write},
};
use crate::{
    Say, kubeconfig,
    pki::{self, Authority},
    tools::{self, Tool},
};

const READY_WITHIN: Duration = Duration::from_mins(1);

/// A Kubernetes API server of one's own. No controllers run: a deleted namespace stays
/// `Terminating`, a Deployment makes no pods, and a pod needs no service account.
#[derive(Debug)]
pub struct TestApiServer {
    // In the order in which they must go.
    api_server: Server,
    _etcd: Server,
    _directory: TempDir,
    url: String,
    kubeconfig: String,
    certificate_authority: String,
    token: String,
}

impl TestApiServer {
    /// Starts one and waits until it is ready: 3 to 6 s on an idle machine.
    ///
    /// # Errors
    /// A tool is missing, a process ended, or nothing answered within a minute.
    pub async fn start() -> Result<Self, StartError> {
        let kube = tools::ensure(Tool::Kube, &Say::stderr()).await?;
        let mut tries = 3;
        loop {
            tries -= 1;
            match Self::try_start(&kube).await {
                // Somebody took the port in between.
                Err(StartError::Ended { .. }) if tries > 0 => {}
                result => return result,
            }
        }
    }

    async fn try_start(kube: &Path) -> Result<Self, StartError> {
        let directory = temporary_directory("apiserver")?;
        let home = directory.path();
        let etcd_url = format!("http://127.0.0.1:{}", free_port()?);
        let etcd = Server::start("etcd", home, kube, &etcd_arguments(&etcd_url)?, &GO)?;
        let port = free_port()?;
        let authority = Authority::generate("mcdeploy-test")?;
        let token = pki::random_word()?;
        let arguments = api_server_arguments(home, &authority, &token, &etcd_url, port)?;
        let api_server = Server::start("kube-apiserver", home, kube, &arguments, &GO)?;
        let url = format!("https://127.0.0.1:{port}");
        let certificate_authority = authority.certificate().to_owned();
        let kubeconfig = kubeconfig::with_token("test", &url, &certificate_authority, &token);
        let mut server = Self {
            api_server,
            _etcd: etcd,
            _directory: directory,
            url,
            kubeconfig,
            certificate_authority,
            token,
        };
        server.wait_ready().await?;
        Ok(server)
    }

    async fn wait_ready(&mut self) -> Result<(), StartError> {
        let client = self.client().await?;
        let ready = async || {
            let request = http::Request::get("/readyz").body(Vec::new());
            let request = request.map_err(|error| error.to_string())?;
            let answer = client.request_text(request).await;
            answer.map(drop).map_err(|error| error.to_string())
        };
        self.api_server.wait_ready(READY_WITHIN, ready).await
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig (YAML) of an administrator: CA and bearer token inline.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Runs helm against the server, with nothing of this machine's own settings.
    ///
    /// # Errors
    /// Helm cannot be had, or refused; with what it said.
    pub fn helm(&self, arguments: &[&str]) -> Result<(), StartError> {
        let program = tools::ensure_blocking(Tool::Helm, &Say::stderr())?;
        let home = temporary_directory("helm")?;
        let kubeconfig = write(home.path(), "kubeconfig", &self.kubeconfig)?;
        let mut helm = Command::new(program);
        helm.args(arguments).arg("--kubeconfig").arg(kubeconfig);
        for place in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(place, home.path());
        }
        Ok(tools::run(
            &mut helm,
            Path::new("/"),
            "helm",
            "the sandbox builds it",
        )?)
    }

    /// The CA that signed the server's certificate, PEM.
    pub fn certificate_authority(&self) -> &str {
        &self.certificate_authority
    }

    /// The administrator's bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same as a client configuration.
    ///
    /// # Errors
    /// None in practice: the kubeconfig is ours.
    pub async fn config(&self) -> Result<kube::Config, StartError> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig)?;
        let options = KubeConfigOptions::default();
        Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?)
    }

    /// A client of an administrator, with kube's own time-outs.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub async fn client(&self) -> Result<kube::Client, StartError> {
        let client = kube::Client::try_from(self.config().await?);
        client.map_err(|error| StartError::Client(Box::new(error)))
    }

    /// Makes the API server fall silent (`true`), or go on: connections stay open and
    /// nothing is answered.
    ///
    /// # Errors
    /// The process is gone.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.api_server.freeze(frozen)
    }
}

/// Small heaps: tests run several servers at once.
const GO: [(&str, &str); 1] = [("GOGC", "50")];

fn etcd_arguments(url: &str) -> Result<Vec<String>, StartError> {
    let peer = format!("http://127.0.0.1:{}", free_port()?);
    Ok(vec![
        "etcd".into(),
        "--data-dir=etcd".into(),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".into(),
        "--log-level=error".into(),
    ])
}

fn api_server_arguments(
    home: &Path,
    authority: &Authority,
    token: &str,
    etcd_url: &str,
    port: u16,
) -> Result<Vec<String>, StartError> {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let service = IpAddr::from([10, 205, 0, 1]);
    let names = ["localhost", "kubernetes", "kubernetes.default.svc"];
    let serving = authority.server("kube-apiserver", &names, &[loopback, service])?;
    let (signing, verifying) = pki::token_signing_keys()?;
    write(home, "ca.crt", authority.certificate())?;
    write(home, "server.crt", &serving.certificate)?;
    write(home, "server.key", &serving.key)?;
    write(home, "tokens.key", &signing)?;
    write(home, "tokens.pub", &verifying)?;
    let administrator = format!("{token},admin,admin,\"system:masters\"\n");
    write(home, "tokens.csv", &administrator)?;
    let fixed = [
        "apiserver",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--client-ca-file=ca.crt",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--token-auth-file=tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-signing-key-file=tokens.key",
        "--service-account-key-file=tokens.pub",
        "--service-cluster-ip-range=10.205.0.0/16",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        // Nobody would make the default service accounts.
        "--disable-admission-plugins=ServiceAccount",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        "--v=0",
    ];
    let mut arguments: Vec<_> = fixed.into_iter().map(str::to_owned).collect();
    arguments.push(format!("--etcd-servers={etcd_url}"));
    arguments.push(format!("--secure-port={port}"));
    Ok(arguments)
}
