//! Whether a store can be used: list, put, head, read; by readers: list, head, read.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, ObjectKey, Store, StoreError,
    create::{CreateError, create_bytes},
    publish::read_small,
};

/// Key of the object that is put once to see that putting works.
const CHECK_KEY: &str = ".mcdeploy/check";
const CHECK_BYTES: &[u8] = b"mcdeploy put this here to see that it can\n";

/// Lists, puts one small object (once: later it is there), looks at it and reads it.
///
/// # Errors
/// The first step that failed.
pub async fn check_store(store: &dyn Store, cancel: &CancellationToken) -> Result<(), StoreError> {
    let key = check_key(store)?;
    store.list(CHECK_KEY, cancel).await?;
    let bytes = Bytes::from_static(CHECK_BYTES);
    match create_bytes(store, &key, &bytes, cancel).await {
        // Other bytes were put by another version of mcdeploy: putting works.
        Ok(_) | Err(CreateError::Taken { .. }) => {}
        Err(CreateError::Store(error)) => return Err(error),
    }
    read(store, &key, cancel).await
}

/// Lists, looks at what [`check_store`] put and reads it, as pods that fetch do.
///
/// # Errors
/// The first step that failed.
pub async fn check_reader(store: &dyn Store, cancel: &CancellationToken) -> Result<(), StoreError> {
    let key = check_key(store)?;
    store.list(CHECK_KEY, cancel).await?;
    read(store, &key, cancel).await
}

async fn read(
    store: &dyn Store,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    match read_small(store, key, cancel).await? {
        Some(_) => Ok(()),
        None => Err(error(store, "read", Cause::NotFound)),
    }
}

fn check_key(store: &dyn Store) -> Result<ObjectKey, StoreError> {
    ObjectKey::new(CHECK_KEY).map_err(|cause| error(store, "check", Cause::InvalidKey(cause)))
}

fn error(store: &dyn Store, operation: &'static str, cause: Cause) -> StoreError {
    StoreError {
        store: store.name().to_owned(),
        location: store.location().into(),
        operation,
        key: Some(CHECK_KEY.into()),
        cause,
    }
}
