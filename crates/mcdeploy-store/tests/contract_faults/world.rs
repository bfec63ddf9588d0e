//! What the fault tests share: stores behind proxies, versions, and short names.

use std::{any::Any, fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use mcdeploy_api::{ReplicaState, Sha256Digest, StoreAccess};
use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Proxy, ProxyRequest, Versitygw};
use mcdeploy_store::{
    ObjectKey, Replicated, Replication, Store, TransferError, TransferOptions, open, push_version,
    replicate_version, verify_replica,
};
use rand::{RngCore as _, SeedableRng as _, rngs::SmallRng};
use tokio_util::sync::CancellationToken;

pub(crate) const MIB: usize = 1024 * 1024;
pub(crate) const MODEL: &str = "digits";

/// A store and the proxy in front of it.
pub(crate) struct Cloud {
    _server: Box<dyn Any + Send + Sync>,
    pub(crate) proxy: Proxy,
    /// Through the proxy.
    pub(crate) access: StoreAccess,
    pub(crate) store: Arc<dyn Store>,
    /// Around the proxy.
    pub(crate) direct: Arc<dyn Store>,
}

impl Cloud {
    async fn new(server: impl Any + Send + Sync, access: StoreAccess) -> Self {
        let (proxy, through) = Proxy::in_front_of(&access).await.unwrap();
        Self {
            _server: Box::new(server),
            proxy,
            store: open(&through).await.unwrap(),
            access: through,
            direct: open(&access).await.unwrap(),
        }
    }

    pub(crate) async fn aws() -> Self {
        let server = Versitygw::start().await.unwrap();
        let access = server.access();
        Self::new(server, access).await
    }

    pub(crate) async fn azure() -> Self {
        let server = Azurite::start().await.unwrap();
        let access = server.access();
        Self::new(server, access).await
    }

    pub(crate) async fn gcp() -> Self {
        let server = FakeGcs::start().await.unwrap();
        let access = server.access();
        Self::new(server, access).await
    }

    pub(crate) async fn all() -> [Self; 3] {
        let starts = async { tokio::join!(Self::aws(), Self::azure(), Self::gcp()) };
        let (aws, azure, gcp) = Box::pin(starts).await;
        [aws, azure, gcp]
    }

    pub(crate) async fn verified(&self, version: &str, digest: &Sha256Digest) -> ReplicaState {
        state(self.direct.as_ref(), version, digest).await
    }
}

pub(crate) async fn state(store: &dyn Store, version: &str, digest: &Sha256Digest) -> ReplicaState {
    let report = verify_replica(store, MODEL, version, digest, &token()).await;
    report.unwrap().state
}

pub(crate) fn token() -> CancellationToken {
    CancellationToken::new()
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

pub(crate) fn random_bytes(length: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; length];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

/// Puts other bytes under a key, as somebody with credentials can.
pub(crate) async fn overwrite(store: &dyn Store, name: &str, bytes: &Bytes) {
    delete(store, name).await;
    let made = crate::writers::create(store, &key(name), bytes).await;
    made.unwrap();
}

pub(crate) async fn delete(store: &dyn Store, name: &str) {
    let object = store.head(&key(name), &token()).await.unwrap();
    store.delete(&object, &token()).await.unwrap();
}

/// A directory with files of these names and lengths.
pub(crate) fn directory(files: &[(&str, usize)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (seed, (name, length)) in (1..).zip(files) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, random_bytes(*length, seed)).unwrap();
    }
    dir
}

/// Pushes and gives the digest.
pub(crate) async fn push(store: &dyn Store, dir: &Path, version: &str) -> Sha256Digest {
    let pushed = push_version(store, dir, MODEL, version, &|_| {}, &token()).await;
    pushed.unwrap().manifest_digest
}

/// A version with one file of this length, in this store.
pub(crate) async fn one_file(store: &dyn Store, version: &str, length: usize) -> Sha256Digest {
    let dir = directory(&[("model.onnx", length)]);
    push(store, dir.path(), version).await
}

/// Little memory and patience, so that faults bite soon.
pub(crate) fn options() -> TransferOptions {
    TransferOptions {
        buffer_bytes: 64 * MIB as u64,
        hold_back: Duration::from_secs(1),
        rounds: 3,
        pause: Duration::from_millis(200),
        follow: None,
    }
}

pub(crate) async fn replicate(
    source: &dyn Store,
    targets: &[&dyn Store],
    (version, digest): (&str, &Sha256Digest),
    options: &TransferOptions,
) -> Result<Replicated, TransferError> {
    let request = Replication {
        source,
        targets,
        model: MODEL,
        version,
        digest,
    };
    replicate_version(&request, options, &|_| {}, &token()).await
}

/// Whether a request carries a good piece of an object to a store.
pub(crate) fn is_part(request: &ProxyRequest) -> bool {
    // Google's SDK does not say how long the body is; its parts are known by their name.
    let is_google = request.path.starts_with("/upload/") && request.query.contains("parts");
    let is_sent = matches!(request.method.as_str(), "PUT" | "POST");
    is_sent && (request.body_bytes > MIB as u64 || is_google)
}

/// Whether a request reads an object's bytes, and not the manifest's.
pub(crate) fn is_read_of_model(request: &ProxyRequest) -> bool {
    request.method == "GET" && request.path.ends_with("model.onnx")
}
