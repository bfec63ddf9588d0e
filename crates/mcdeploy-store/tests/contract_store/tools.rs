//! What the tests share: deterministic bytes, writing around the API, a metered store.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use mcdeploy_api::ErrorClass;
use mcdeploy_store::{
    Checksums, Leftover, ListedObject, ObjectInfo, ObjectKey, Resume, Store, StoreError,
    StoredChecksums, Upload,
};
use rand::{RngCore as _, SeedableRng as _, rngs::SmallRng};
use tokio_util::sync::CancellationToken;

pub(crate) const MIB: usize = 1024 * 1024;

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

pub(crate) fn token() -> CancellationToken {
    CancellationToken::new()
}

pub(crate) fn random_bytes(length: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; length];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

/// Creates an object through the trait alone.
pub(crate) async fn create(
    store: &dyn Store,
    key: &ObjectKey,
    bytes: &Bytes,
) -> Result<(), StoreError> {
    create_as(store, key, bytes, &Checksums::of(bytes)).await
}

/// Creates an object while saying that its content is `content`.
pub(crate) async fn create_as(
    store: &dyn Store,
    key: &ObjectKey,
    bytes: &Bytes,
    content: &Checksums,
) -> Result<(), StoreError> {
    let cancel = token();
    let upload = store.begin(key, content, Resume::Never, &cancel).await?;
    let part = usize::try_from(upload.part_bytes()).unwrap();
    let parts = bytes.len().div_ceil(part);
    for index in 0..parts {
        let range = index * part..((index + 1) * part).min(bytes.len());
        let piece = bytes.slice(range);
        let checksums = if parts == 1 {
            *content
        } else {
            Checksums::of(&piece)
        };
        let index = u32::try_from(index).unwrap();
        upload.part(index, piece, checksums, &cancel).await?;
    }
    upload.complete(&cancel).await.map(drop)
}

/// Puts other bytes under a key, as somebody with credentials can.
pub(crate) async fn overwrite(store: &dyn Store, key: &ObjectKey, bytes: &Bytes) {
    let object = store.head(key, &token()).await.unwrap();
    store.delete(&object, &token()).await.unwrap();
    create(store, key, bytes).await.unwrap();
}

pub(crate) async fn read_all(store: &dyn Store, key: &ObjectKey) -> Bytes {
    let object = store.head(key, &token()).await.unwrap();
    store
        .read(&object, 0..object.size_bytes, &token())
        .await
        .unwrap()
}

pub(crate) fn class<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> ErrorClass {
    outcome.unwrap_err().class()
}

/// Changes one byte of a file in place.
pub(crate) fn flip_byte(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

/// Counts bytes that were read and are still held by somebody.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) inner: Arc<dyn Store>,
    held: Arc<AtomicU64>,
    pub(crate) most_held: Arc<AtomicU64>,
    pub(crate) read: AtomicU64,
}

struct Held(Bytes, Arc<AtomicU64>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
    }
}

impl Metered {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            held: Arc::default(),
            most_held: Arc::default(),
            read: AtomicU64::default(),
        }
    }
}

#[async_trait]
impl Store for Metered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn location(&self) -> &str {
        self.inner.location()
    }

    async fn list(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<ListedObject>, StoreError> {
        self.inner.list(prefix, cancel).await
    }

    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError> {
        self.inner.head(key, cancel).await
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        self.inner.stored_checksums(object, cancel).await
    }

    async fn read(
        &self,
        object: &ObjectInfo,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError> {
        let bytes = self.inner.read(object, range, cancel).await?;
        let length = bytes.len() as u64;
        self.read.fetch_add(length, Ordering::Relaxed);
        let held = self.held.fetch_add(length, Ordering::Relaxed) + length;
        self.most_held.fetch_max(held, Ordering::Relaxed);
        Ok(Bytes::from_owner(Held(bytes, self.held.clone())))
    }

    async fn begin(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        self.inner.begin(key, content, resume, cancel).await
    }

    async fn leftovers(&self, cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError> {
        self.inner.leftovers(cancel).await
    }

    async fn discard(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.inner.discard(leftover, cancel).await
    }

    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.inner.delete(object, cancel).await
    }
}
