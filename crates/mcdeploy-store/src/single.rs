//! An object of one part: kept until it is completed, then created by one request.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, HeldPart, ObjectKey, StoreError, Upload,
    request::{Request, Requester},
};

/// A store that creates an object by one request.
#[async_trait]
pub(crate) trait PutWhole: Send + Sync {
    /// Who asks.
    fn requester(&self) -> &Requester;

    /// Creates the object, if nobody was first. Gives its pin.
    async fn put_whole(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        bytes: Bytes,
    ) -> Result<String, Cause>;
}

/// One put, sent when it is completed.
pub(crate) struct Single<S> {
    store: S,
    key: ObjectKey,
    content: Checksums,
    part_bytes: u64,
    bytes: Mutex<Bytes>,
}

impl<S> Single<S> {
    pub(crate) fn new(store: S, key: ObjectKey, content: Checksums, part_bytes: u64) -> Self {
        Self {
            store,
            key,
            content,
            part_bytes,
            bytes: Mutex::default(),
        }
    }
}

#[async_trait]
impl<S: PutWhole> Upload for Single<S> {
    fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    fn held(&self) -> BTreeMap<u32, HeldPart> {
        BTreeMap::new()
    }

    async fn part(
        &self,
        _index: u32,
        bytes: Bytes,
        _checksums: Checksums,
        _cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<String, StoreError> {
        let Self {
            store,
            key,
            content,
            bytes,
            ..
        } = *self;
        let bytes = bytes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let request = Request::new("write", key.as_str())
            .bytes(content.size_bytes)
            .commit();
        let attempt = || store.put_whole(&key, &content, bytes.clone());
        store.requester().send(request, cancel, attempt).await
    }

    async fn abort(self: Box<Self>) {}
}
