//! Not yet.
use crate::{
    Store, StoreError,
    open::{Auth, refused},
};
use mcdeploy_api::{AzureBlobLocation, StoreAccess};
use std::sync::Arc;
pub(crate) fn open(
    access: &StoreAccess,
    _: &AzureBlobLocation,
    _: Auth,
) -> Result<Arc<dyn Store>, StoreError> {
    Err(refused(access, "not built yet".to_owned()))
}
