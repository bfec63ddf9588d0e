//! What the driver of controllers asks of their errors.

use mcdeploy_api::ErrorClass;

/// What a controller's error has to tell.
pub(crate) trait Classified: std::error::Error {
    fn class(&self) -> ErrorClass;
}
