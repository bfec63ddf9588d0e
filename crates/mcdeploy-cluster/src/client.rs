//! A client of one cluster, and the bounds on every call.
//!
//! | module | room |
//! |---|---|
//! | `verbs` | get, list, apply, create, replace, delete |
//! | `send` | one call on the wire: fence, deadline, retries, bounded body |
//! | `refusal` | which error an answer is |

mod refusal;
mod send;
mod verbs;

use std::{fmt::Debug, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::{Config, Resource, runtime::watcher};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Call, ClusterError, error::innermost, kube_client, parse_kubeconfig};

/// What an object must be able to do to be sent and received.
pub trait ApiObject:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> ApiObject for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Bounds on every call.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// Longest time for one call, its retries included.
    pub deadline: Duration,
    /// Longest time for a connection, TLS included.
    pub connect: Duration,
    /// Most tries after the first.
    pub retries: u32,
    /// First wait between tries; it doubles.
    pub backoff: Duration,
    /// Longest wait between tries. A `Retry-After` beyond it ends the call.
    pub longest_wait: Duration,
    /// Longest answer that is read, in bytes.
    pub max_body: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            connect: Duration::from_secs(2),
            retries: 3,
            backoff: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            max_body: 64 << 20,
        }
    }
}

/// Whether a server-side apply takes fields from other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Take them: for objects that mcdeploy owns.
    Yes,
    /// Answer [`ClusterError::Conflict`]: for objects that users edit too.
    No,
}

/// How an object is deleted.
#[derive(Clone, Debug, Default)]
pub struct Delete {
    /// Only if the object still has this uid.
    pub uid: Option<String>,
    /// Only if the object still has this resource version.
    pub resource_version: Option<String>,
}

/// A client of one cluster. Cheap to clone.
///
/// Cancel-safe: dropping a call's future stops it. A dropped or timed-out write may
/// have happened; observe again.
#[derive(Clone)]
pub struct ClusterClient {
    kube: kube::Client,
    shared: Arc<Shared>,
    settings: ClientSettings,
    fence: Option<Fence>,
}

/// Asked before each write; `false` keeps it from being sent.
pub type Fence = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

struct Shared {
    cluster: String,
    server: String,
    ca_pem: String,
    tls_server_name: Option<String>,
    is_unchecked: bool,
}

impl Debug for ClusterClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterClient")
            .field("cluster", &self.shared.cluster)
            .field("server", &self.shared.server)
            .finish_non_exhaustive()
    }
}

/// A watch ends, and is begun anew, after this many seconds at the latest: a cluster
/// that went silent is noticed by then.
const WATCH_SECONDS: u32 = 20;
/// Silence on a connection after which it is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(25);

impl ClusterClient {
    /// A client of the cluster at `config`, which `cluster` names for people. Retries of
    /// the library are switched off: this client has its own. Needs a tokio runtime.
    ///
    /// # Errors
    /// `Permanent` when the configuration's keys or certificates cannot be used.
    pub fn new(
        cluster: &str,
        mut config: Config,
        settings: ClientSettings,
    ) -> Result<Self, ClusterError> {
        config.default_retry = false;
        config.connect_timeout = Some(settings.connect);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(settings.deadline);
        config.reset_reader_on_write = true;
        let shared = Shared {
            cluster: cluster.to_owned(),
            server: config
                .cluster_url
                .to_string()
                .trim_end_matches('/')
                .to_owned(),
            ca_pem: config.root_cert.as_deref().map_or_else(String::new, pem),
            tls_server_name: config.tls_server_name.clone(),
            is_unchecked: config.accept_invalid_certs,
        };
        let kube = kube_client(config).map_err(|error| ClusterError::Configure {
            cluster: cluster.to_owned(),
            detail: innermost(&error),
        })?;
        Ok(Self {
            kube,
            shared: Arc::new(shared),
            settings,
            fence: None,
        })
    }

    /// A client by a kubeconfig's text, with the default bounds.
    ///
    /// # Errors
    /// `Permanent`: [`ClusterError::Kubeconfig`] for what [`parse_kubeconfig`] refuses.
    pub fn from_kubeconfig(cluster: &str, text: &str) -> Result<Self, ClusterError> {
        let config = parse_kubeconfig(text).map_err(|why| ClusterError::Kubeconfig {
            cluster: cluster.to_owned(),
            why,
        })?;
        Self::new(cluster, config, ClientSettings::default())
    }

    /// A client of the cluster that this process runs in as a pod.
    ///
    /// # Errors
    /// `Permanent` when the process has no service account around it.
    pub fn in_cluster(cluster: &str) -> Result<Self, ClusterError> {
        let config = Config::incluster().map_err(|error| ClusterError::Configure {
            cluster: cluster.to_owned(),
            detail: format!("no service account of a pod found: {}", innermost(&error)),
        })?;
        Self::new(cluster, config, ClientSettings::default())
    }

    /// The same client with another deadline per call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut client = self.clone();
        client.settings.deadline = deadline;
        client
    }

    /// The same client, which writes only while `fence` says so.
    #[must_use]
    pub fn with_fence(&self, fence: Fence) -> Self {
        let mut client = self.clone();
        client.fence = Some(fence);
        client
    }

    /// Name of the cluster, for people.
    pub fn cluster(&self) -> &str {
        &self.shared.cluster
    }

    /// Address of the API server, such as `https://10.0.0.1:6443`.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The CA certificates that the server is checked against, as PEM; empty when the
    /// configuration names none.
    pub fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    /// The name that the server's certificate is checked against, when it is not the one in
    /// its address.
    pub fn tls_server_name(&self) -> Option<&str> {
        self.shared.tls_server_name.as_deref()
    }

    /// Whether the configuration says not to check the server (`insecure-skip-tls-verify`).
    pub fn is_unchecked(&self) -> bool {
        self.shared.is_unchecked
    }

    /// The library's client, for watches. Its calls have no deadline: give them one.
    pub fn kube(&self) -> &kube::Client {
        &self.kube
    }

    /// Settings of a watch that notices a cluster gone silent within 25 s.
    pub fn watch_config() -> watcher::Config {
        watcher::Config::default().timeout(WATCH_SECONDS)
    }
}

/// DER certificates as PEM.
fn pem(certificates: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for der in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(der);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = tail;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
