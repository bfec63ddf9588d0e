//! What controllers share.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use mcdeploy_api::StoreAccess;
use mcdeploy_cluster::{ClusterClient, Fence, lease};
use mcdeploy_plan::{Memory, Timings};
use mcdeploy_probe::Probe;
use mcdeploy_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    copies::{Copies, FollowLog},
    members::Members,
    metrics::Metrics,
    queue::Queue,
    registries::Registries,
    stores::Stores,
};

/// How a store is opened; tests put directories in its place.
pub type OpenStore = Arc<
    dyn Fn(StoreAccess) -> BoxFuture<'static, Result<Arc<dyn Store>, StoreError>> + Send + Sync,
>;

/// Opens stores as their specs say.
pub fn store_opener() -> OpenStore {
    Arc::new(|access| async move { mcdeploy_store::open(&access).await }.boxed())
}

/// What the operator is told from outside.
#[derive(Clone)]
pub struct Settings {
    /// The operator's own namespace: Secrets and the Lease are here.
    pub namespace: String,
    /// Different for every process: the pod's name and something random.
    pub identity: String,
    /// Image of `mcdeployd`, by digest, for the pods and Jobs that it makes.
    pub daemon_image: String,
    /// Where `/healthz` and `/metrics` are answered; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// Waits within a rollout.
    pub timings: Timings,
    /// Times of the election.
    pub lease: lease::Timing,
    /// Times between looks.
    pub pace: Pace,
    /// How stores are opened.
    pub open_store: OpenStore,
    /// How the logs of transfer Jobs are read.
    pub follow_log: FollowLog,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("namespace", &self.namespace)
            .field("identity", &self.identity)
            .field("daemon_image", &self.daemon_image)
            .field("timings", &self.timings)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// Times between looks, where no watch says that something changed.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// While a rollout is under way.
    pub moving: Duration,
    /// While something is blocked or not seen.
    pub blocked: Duration,
    /// When all is as desired.
    pub settled: Duration,
    /// At a member cluster that is seen.
    pub member_seen: Duration,
    /// At a member cluster that is lost.
    pub member_lost: Duration,
    /// Longest time for one call to a member cluster.
    pub member_deadline: Duration,
    /// Longest time for a look at one copy in a store, or for one probe.
    pub look_deadline: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            moving: Duration::from_millis(500),
            blocked: Duration::from_secs(5),
            settled: Duration::from_secs(30),
            member_seen: Duration::from_secs(10),
            member_lost: Duration::from_secs(3),
            member_deadline: Duration::from_secs(3),
            look_deadline: Duration::from_secs(3),
        }
    }
}

/// Namespace and name.
pub(crate) type Key = (String, String);

/// Everything that the controllers of one term share.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    /// Term of this leader.
    pub(crate) term: i64,
    /// The hub; its writes are fenced.
    pub(crate) hub: ClusterClient,
    /// The fence, for clients of members.
    pub(crate) fence: Fence,
    pub(crate) members: Members,
    pub(crate) stores: Stores,
    pub(crate) registries: Registries,
    pub(crate) copies: Copies,
    pub(crate) probe: Probe,
    pub(crate) memories: Mutex<HashMap<Key, Memory>>,
    /// Namespaces of known deployments.
    pub(crate) namespaces: tokio::sync::watch::Sender<BTreeSet<String>>,
    pub(crate) metrics: Metrics,
    pub(crate) queues: Queues,
    /// Ends with the term.
    pub(crate) cancel: CancellationToken,
}

/// What waits to be looked at.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) members: Queue<String>,
    pub(crate) stores: Queue<String>,
    pub(crate) versions: Queue<Key>,
    pub(crate) deployments: Queue<Key>,
}

impl Context {
    /// Remembers that a deployment is there.
    pub(crate) fn know_deployment(&self, key: Key) {
        self.memories().entry(key).or_default();
        self.tell_namespaces();
    }

    /// Forgets a deployment that is gone.
    pub(crate) fn forget_deployment(&self, key: &Key) {
        self.memories().remove(key);
        self.copies.lags(|lags| lags.forget(key));
        self.tell_namespaces();
    }

    fn tell_namespaces(&self) {
        let known = self.known_deployments().into_iter();
        let now: BTreeSet<_> = known.map(|(namespace, _)| namespace).collect();
        self.namespaces.send_if_modified(|told| {
            let news = *told != now;
            *told = now;
            news
        });
    }

    pub(crate) fn known_deployments(&self) -> Vec<Key> {
        self.memories().keys().cloned().collect()
    }

    pub(crate) fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Memory>> {
        self.memories
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
