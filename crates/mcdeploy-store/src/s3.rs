//! Not yet.
use crate::{
    Store, StoreError,
    open::{Auth, refused},
};
use mcdeploy_api::{S3Location, StoreAccess};
use std::sync::Arc;
pub(crate) async fn open(
    access: &StoreAccess,
    _: &S3Location,
    _: Auth,
) -> Result<Arc<dyn Store>, StoreError> {
    Err(refused(access, "not built yet".to_owned()))
}
