//! Which stores can be used, and what was last seen in them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mcdeploy_api::{
    ArtifactStore, ArtifactStoreSpec, ObjectName, Reason, ReplicaState, SecretValues, Sha256Digest,
    StoreAccess, StoreAuth,
};
use mcdeploy_cluster::{ClusterClient, ClusterError};
use mcdeploy_exec::KnownStore;
use mcdeploy_plan::{CopyAsk, ReplicaFacts, StoreFacts, StoreName};
use mcdeploy_store::{Store, StoreError, verify_replica};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{context::OpenStore, secrets};

/// How long a look that failed is not repeated: a silent store must not slow down the
/// clusters of others.
const FAILED_LOOK: Duration = Duration::from_secs(5);

/// Opened stores, and what was last seen in them.
pub(crate) struct Stores {
    open: OpenStore,
    /// By name, with the version of spec and credentials that each was opened with.
    opened: Mutex<HashMap<String, Opened>>,
    looked: Mutex<HashMap<(StoreName, Sha256Digest), Looked>>,
}

type Opened = (String, Arc<dyn Store>);

#[derive(Clone)]
struct Looked {
    at: Instant,
    version: String,
    facts: ReplicaFacts,
}

/// Every `ArtifactStore` with its credentials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// What the planner is told.
    pub(crate) facts: BTreeMap<StoreName, StoreFacts>,
    /// Usable ones.
    pub(crate) known: BTreeMap<StoreName, KnownStore>,
}

/// Reads every `ArtifactStore` and the Secrets that they name.
pub(crate) async fn load(hub: &ClusterClient, namespace: &str) -> Result<Loaded, ClusterError> {
    let mut loaded = Loaded::default();
    let stores: Vec<ArtifactStore> = hub.list(None, "").await?;
    for store in stores {
        let name = store.metadata.name.clone().unwrap_or_default();
        let known = known(hub, namespace, &name, &store).await?;
        let usable = match known {
            Ok(known) => {
                let version = known.version.clone();
                loaded.known.insert(name.as_str().into(), known);
                Ok(version)
            }
            Err(why) => Err(why),
        };
        let provider = store.spec.provider;
        loaded
            .facts
            .insert(name.into(), StoreFacts { provider, usable });
    }
    Ok(loaded)
}

/// A store with its credentials, or why it has none.
async fn known(
    hub: &ClusterClient,
    namespace: &str,
    name: &str,
    store: &ArtifactStore,
) -> Result<Result<KnownStore, String>, ClusterError> {
    let auth = &store.spec.auth;
    let read = async |reference: &Option<ObjectName>| {
        let Some(reference) = reference else {
            return Ok(Ok(None));
        };
        let found = values(hub, namespace, name, &reference.name).await?;
        Ok::<_, ClusterError>(found.map(Some))
    };
    let (secret, reader) = match (
        read(&auth.secret_ref).await?,
        read(&auth.read_secret_ref).await?,
    ) {
        (Ok(secret), Ok(reader)) => (secret.unwrap_or_default(), reader),
        (Err(why), _) | (Ok(_), Err(why)) => return Ok(Err(why)),
    };
    // No matter of access: who sets these changes no pod, and no daemon has to know them.
    let spec = ArtifactStoreSpec {
        jurisdiction: None,
        auth: StoreAuth {
            read_secret_ref: None,
            ..auth.clone()
        },
        ..store.spec.clone()
    };
    let access = StoreAccess {
        name: name.to_owned(),
        spec,
        secret,
    };
    Ok(Ok(KnownStore::new(access, reader)))
}

/// Values of a Secret, or why it cannot be used.
async fn values(
    hub: &ClusterClient,
    namespace: &str,
    store: &str,
    secret: &str,
) -> Result<Result<SecretValues, String>, ClusterError> {
    let found = match secrets::read(hub, namespace, secret).await? {
        Ok(found) => found,
        Err(why) => return Ok(Err(format!("spec.auth of ArtifactStore {store:?}: {why}"))),
    };
    let Some(found) = found else {
        return Ok(Err(format!(
            "Secret {secret:?} of ArtifactStore {store:?} is not in namespace {namespace:?}"
        )));
    };
    let mut values = SecretValues::default();
    for (key, value) in found.data.unwrap_or_default() {
        let Ok(value) = String::from_utf8(value.0) else {
            return Ok(Err(format!("key {key:?} of Secret {secret:?} is not text")));
        };
        values.0.insert(key, value);
    }
    Ok(Ok(values))
}

impl Stores {
    pub(crate) fn new(open: OpenStore) -> Self {
        Self {
            open,
            opened: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// Names of stores that were opened.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.opened).keys().cloned().collect()
    }

    /// A store, opened once per version of its spec and credentials.
    pub(crate) async fn opened(
        &self,
        access: &StoreAccess,
        version: &str,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let known = lock(&self.opened).get(&access.name).cloned();
        if let Some((_, store)) = known.filter(|(v, _)| v == version) {
            return Ok(store);
        }
        let store = (self.open)(access.clone()).await?;
        let entry = (version.to_owned(), Arc::clone(&store));
        lock(&self.opened).insert(access.name.clone(), entry);
        Ok(store)
    }

    /// What was last seen of a copy, however long ago.
    pub(crate) fn last(&self, store: &str, digest: Sha256Digest) -> Option<ReplicaFacts> {
        let looked = lock(&self.looked);
        let entry = looked.get(&(store.into(), digest))?;
        Some(entry.facts.clone())
    }

    /// Looks at a copy, unless that was done less than `max_age` ago. Answers what is
    /// there, and whether that is news.
    pub(crate) async fn look(
        &self,
        KnownStore {
            access, version, ..
        }: &KnownStore,
        wanted: &CopyAsk,
        max_age: Duration,
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> (ReplicaFacts, bool) {
        let key = (wanted.store.clone(), wanted.digest);
        let before = lock(&self.looked).get(&key).cloned();
        if let Some(before) = before.as_ref().filter(|b| b.version == *version) {
            let max_age = match before.facts.state {
                ReplicaState::Unknown => FAILED_LOOK,
                ReplicaState::Verified
                | ReplicaState::Copying
                | ReplicaState::Missing
                | ReplicaState::ChecksumMismatch => max_age,
            };
            if before.at.elapsed() < max_age {
                return (before.facts.clone(), false);
            }
        }
        let look = self.verify(access, version, wanted, cancel);
        let facts = match tokio::time::timeout(deadline, look).await {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => unknown(error.reason(), error.to_string()),
            Err(_) => unknown(
                Reason::StoreUnreachable,
                format!("no answer within {} ms", deadline.as_millis()),
            ),
        };
        let news = before.is_none_or(|before| before.facts != facts);
        let entry = Looked {
            at: Instant::now(),
            version: version.clone(),
            facts: facts.clone(),
        };
        lock(&self.looked).insert(key, entry);
        (facts, news)
    }

    async fn verify(
        &self,
        access: &StoreAccess,
        version: &str,
        wanted: &CopyAsk,
        cancel: &CancellationToken,
    ) -> Result<ReplicaFacts, StoreError> {
        let store = self.opened(access, version).await?;
        let CopyAsk {
            store: _,
            model,
            version,
            digest,
        } = wanted;
        let report = verify_replica(&*store, model, version, digest, cancel).await?;
        Ok(ReplicaFacts {
            state: report.state,
            verified_bytes: i64::try_from(report.verified_bytes).unwrap_or(i64::MAX),
            reason: Reason::AsDesired,
            message: report.message,
        })
    }
}

fn unknown(reason: Reason, message: String) -> ReplicaFacts {
    ReplicaFacts {
        state: ReplicaState::Unknown,
        verified_bytes: 0,
        reason,
        message,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
