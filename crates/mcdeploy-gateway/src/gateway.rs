//! One gateway, put together and run.

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    admin,
    check::Checks,
    config::Config,
    disk::{self, Disk},
    input::{Input, ObjectKey},
    kube_source,
    metrics::ModelLabels,
    router::{Applied, Report, Router},
    serve::{self, Listener},
    state::State,
    status::Writer,
    tls::{Certificate, CertificateError},
};

/// Everything that a gateway is started with.
#[derive(Debug)]
pub struct Options {
    /// Settings.
    pub config: Config,
    /// Where clients and other gateways connect to.
    pub listen: SocketAddr,
    /// Where clients connect to over TLS, beside `listen`.
    pub tls: Option<Tls>,
    /// Where `/healthz` and `/metrics` are.
    pub admin: SocketAddr,
    /// Directory of the copy of the last good snapshots.
    pub state_dir: Option<PathBuf>,
}

/// TLS for clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where they connect to.
    pub listen: SocketAddr,
    /// Directory of `tls.crt` and `tls.key`, both PEM.
    pub dir: PathBuf,
}

/// Where routes come from.
pub enum Source {
    /// The member's API server, where what is applied is also written to.
    Kube {
        /// Its client.
        client: kube::Client,
        /// Name of this gateway's pod.
        pod: String,
    },
    /// A channel. `None`: nothing known yet.
    Channel(watch::Receiver<Option<Input>>),
}

/// The gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Its address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why: taken, or not an address of this machine.
        source: io::Error,
    },
    /// There is no certificate to begin with.
    #[error("begin with a certificate for clients")]
    Certificate(#[from] CertificateError),
    /// TLS cannot be served.
    #[error("serve TLS")]
    Tls(#[source] rustls::Error),
    /// There is no API server to ask.
    #[error("find the API server of this cluster; is this a pod with a service account?")]
    FindApiServer(#[source] Box<kube::config::InferConfigError>),
    /// The client of the API server cannot be made.
    #[error("make a client of the API server")]
    MakeClient(#[source] Box<kube::Error>),
}

/// A client of the API server of the cluster that this process runs in, or that its
/// kubeconfig names. Time-outs fit a gateway.
///
/// # Errors
/// There is no such cluster, or its configuration is not usable.
pub async fn kube_client() -> Result<kube::Client, GatewayError> {
    let mut config = kube::Config::infer()
        .await
        .map_err(|e| GatewayError::FindApiServer(Box::new(e)))?;
    config.connect_timeout = Some(Duration::from_secs(3));
    // Longer than a watch is left without its end, shorter than anybody's patience.
    config.read_timeout = Some(Duration::from_secs(30));
    config.write_timeout = Some(Duration::from_secs(5));
    kube::Client::try_from(config).map_err(|e| GatewayError::MakeClient(Box::new(e)))
}

/// A gateway that listens, but does not answer yet.
#[derive(Debug)]
pub struct Gateway {
    state: Arc<State>,
    listener: TcpListener,
    tls: Option<(TcpListener, Arc<Certificate>, Arc<ServerConfig>)>,
    admin: TcpListener,
    disk: Option<Disk>,
}

impl Gateway {
    /// Takes the addresses.
    ///
    /// # Errors
    /// One is taken, or there is no certificate for TLS.
    pub async fn bind(options: Options) -> Result<Self, GatewayError> {
        let listen = async |address| {
            let bound = TcpListener::bind(address).await;
            bound.map_err(|source| GatewayError::Listen { address, source })
        };
        let tls = match options.tls {
            Some(Tls { listen: at, dir }) => {
                let certificate = Certificate::read(dir)?;
                let config = certificate.config().map_err(GatewayError::Tls)?;
                Some((listen(at).await?, certificate, config))
            }
            None => None,
        };
        Ok(Self {
            state: Arc::new(State::new(options.config)),
            listener: listen(options.listen).await?,
            tls,
            admin: listen(options.admin).await?,
            disk: options.state_dir.map(Disk::new),
        })
    }

    /// Where clients connect to.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where clients connect to over TLS.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn tls_address(&self) -> io::Result<Option<SocketAddr>> {
        let tls = self.tls.as_ref();
        tls.map(|(listener, ..)| listener.local_addr()).transpose()
    }

    /// Where `/metrics` is.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `cancel`, then drains.
    pub async fn run(self, source: Source, cancel: CancellationToken) {
        let Self {
            state,
            listener,
            tls,
            admin,
            disk,
        } = self;
        let start = load(disk.as_ref()).await;
        let reports = watch::Sender::new(BTreeMap::new());
        let not_kept = watch::Sender::new(None);
        let mut tasks = Vec::new();
        let mut writer = None;
        let inputs = match source {
            Source::Channel(inputs) => inputs,
            Source::Kube { client, pod } => {
                let inputs = Arc::new(watch::Sender::new(None));
                let receiver = inputs.subscribe();
                let status = Writer {
                    client: client.clone(),
                    pod,
                };
                writer = Some(status.clone());
                let told = status.run(reports.subscribe(), not_kept.subscribe());
                tasks.push(spawn(told));
                let start = start.clone().unwrap_or_default();
                tasks.push(spawn(kube_source::run(
                    client,
                    start,
                    inputs,
                    state.clone(),
                )));
                receiver
            }
        };
        let good = watch::Sender::new(start.clone().unwrap_or_default());
        if let Some(disk) = disk {
            let kept = disk::keep(disk, good.subscribe(), state.clone(), not_kept);
            tasks.push(spawn(kept));
        }
        let follower = Follower {
            state: state.clone(),
            router: Router::new(&state.config.cluster, state.config.retries),
            checks: Checks::default(),
            good,
            reports: reports.clone(),
        };
        tasks.push(spawn(follower.run(start, inputs)));
        tasks.push(spawn(admin::serve(state.clone(), admin)));
        let mut listeners = vec![Listener {
            socket: listener,
            tls: None,
        }];
        if let Some((socket, certificate, config)) = tls {
            tasks.push(spawn(certificate.follow(state.clone())));
            let tls = Some(TlsAcceptor::from(config));
            listeners.push(Listener { socket, tls });
        }
        tracing::info!(cluster = %state.config.cluster, "gateway serves");
        serve::serve(state, listeners, cancel).await;
        drop(tasks);
        if let Some(writer) = writer {
            let keys: Vec<ObjectKey> = reports.borrow().keys().cloned().collect();
            writer.leave(keys.into_iter()).await;
        }
    }
}

fn spawn<T>(task: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        task.await;
    }))
}

async fn load(disk: Option<&Disk>) -> Option<Input> {
    match disk?.load().await {
        Ok(input) => input,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no copy of the last snapshots; waiting for the API server"
            );
            None
        }
    }
}

/// Turns inputs into tables.
struct Follower {
    state: Arc<State>,
    router: Router,
    checks: Checks,
    good: watch::Sender<Input>,
    reports: watch::Sender<BTreeMap<ObjectKey, Report>>,
}

impl Follower {
    async fn run(mut self, start: Option<Input>, mut inputs: watch::Receiver<Option<Input>>) {
        if let Some(start) = start {
            tracing::info!(
                snapshots = start.snapshots.len(),
                "routing by the copy of the last snapshots until the API server answers"
            );
            self.apply(&start);
        }
        loop {
            let input = inputs.borrow_and_update().clone();
            if let Some(input) = input {
                self.apply(&input);
            }
            if inputs.changed().await.is_err() {
                // Nothing new will come; what is there stays, with its checks.
                std::future::pending::<()>().await;
            }
        }
    }

    fn apply(&mut self, input: &Input) {
        let Applied {
            table,
            upstreams,
            reports,
            good,
        } = self.router.apply(input);
        self.state.table.send_replace(Some(table));
        self.checks.follow(&self.state, &upstreams);
        let old = self.reports.send_replace(reports.clone());
        self.tell(&old, &reports);
        self.good.send_if_modified(|old| {
            let changed = *old != good;
            *old = good;
            changed
        });
    }

    /// Logs and counts what changed.
    fn tell(&self, old: &BTreeMap<ObjectKey, Report>, new: &BTreeMap<ObjectKey, Report>) {
        let metrics = &self.state.metrics;
        for (key, report) in new {
            let before = old.get(key);
            let labels = ModelLabels {
                model: report.model.clone(),
            };
            if let Some((epoch, _)) = &report.applied
                && before.map(|b| &b.applied) != Some(&report.applied)
            {
                metrics.epoch_term.get_or_create(&labels).set(epoch.term);
                metrics.epoch_seq.get_or_create(&labels).set(epoch.seq);
                tracing::info!(snapshot = %key, %epoch, "snapshot applied");
            }
            if let Some(refused) = &report.refused
                && before.and_then(|b| b.refused.as_ref()) != Some(refused)
            {
                metrics.refused.get_or_create(&labels).inc();
                tracing::error!(snapshot = %key, reason = %refused, "snapshot refused");
            }
        }
        for (key, report) in old {
            if !new.contains_key(key) {
                metrics.forget(&report.model);
                tracing::info!(snapshot = %key, "snapshot deleted");
            }
        }
    }
}
