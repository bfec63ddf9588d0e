//! Not yet.
use crate::{
    Store, StoreError,
    open::{Auth, refused},
};
use mcdeploy_api::{GcsLocation, StoreAccess};
use std::sync::Arc;
pub(crate) async fn open(
    access: &StoreAccess,
    _: &GcsLocation,
    _: Auth,
) -> Result<Arc<dyn Store>, StoreError> {
    Err(refused(access, "not built yet".to_owned()))
}
