//! Whether a store can be used: list, put, head, read.

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
    let error = |operation, cause| StoreError {
        store: store.name().to_owned(),
        location: store.location().into(),
        operation,
        key: Some(CHECK_KEY.into()),
        cause,
    };
    let key =
        ObjectKey::new(CHECK_KEY).map_err(|cause| error("check", Cause::InvalidKey(cause)))?;
    store.list(CHECK_KEY, cancel).await?;
    let bytes = Bytes::from_static(CHECK_BYTES);
    match create_bytes(store, &key, &bytes, cancel).await {
        // Other bytes were put by another version of mcdeploy: putting works.
        Ok(_) | Err(CreateError::Taken { .. }) => {}
        Err(CreateError::Store(error)) => return Err(error),
    }
    match read_small(store, &key, cancel).await? {
        Some(_) => Ok(()),
        None => Err(error("read", Cause::NotFound)),
    }
}
