//! Opens the backend that an `ArtifactStore` names.

use std::sync::Arc;

use mcdeploy_api::{StoreAccess, StoreAuth, StoreLocation};

use crate::{Cause, Store, StoreError, azure_blob, gcs, s3};

/// Opens a store. Makes no request to it: see `check_store`.
///
/// # Errors
/// `Permanent` when the spec or the Secret is not usable.
pub async fn open(access: &StoreAccess) -> Result<Arc<dyn Store>, StoreError> {
    let StoreLocation {
        s3,
        azure_blob,
        gcs,
    } = &access.spec.location;
    let StoreAuth {
        secret_ref,
        // Whoever opens has one credential, the writer's or the reader's.
        read_secret_ref: _,
        anonymous,
        ambient,
    } = &access.spec.auth;
    let auth = match (secret_ref, anonymous, ambient) {
        (Some(_), None, None) => Auth::Secret,
        (None, Some(_), None) => Auth::Anonymous,
        (None, None, Some(_)) => Auth::Ambient,
        _ => {
            let detail = "auth: set exactly one of secretRef, anonymous, ambient";
            return Err(refused(access, detail.to_owned()));
        }
    };
    match (s3, azure_blob, gcs) {
        (Some(location), None, None) => s3::open(access, location, auth).await,
        (None, Some(location), None) => azure_blob::open(access, location, auth),
        (None, None, Some(location)) => gcs::open(access, location, auth).await,
        _ => {
            let detail = "location: set exactly one of s3, azureBlob, gcs";
            Err(refused(access, detail.to_owned()))
        }
    }
}

/// How requests are authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Secret,
    Anonymous,
    Ambient,
}

/// A value that the Secret must have.
pub(crate) fn secret_value(access: &StoreAccess, key: &str) -> Result<String, StoreError> {
    match access.secret.0.get(key).map(|value| value.trim()) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        Some(_) | None => {
            let secret = access.spec.auth.secret_ref.as_ref().map_or("", |r| &r.name);
            let keys: Vec<_> = access.secret.0.keys().collect();
            Err(refused(
                access,
                format!("secret {secret:?} needs the key {key:?}; it has {keys:?}"),
            ))
        }
    }
}

/// An error about the store's own configuration.
pub(crate) fn refused(access: &StoreAccess, detail: String) -> StoreError {
    StoreError {
        store: access.name.clone(),
        location: format!("{} {}", access.spec.provider, access.spec.region).into(),
        operation: "open",
        key: None,
        cause: Cause::Configuration { detail },
    }
}
