//! Secrets of the hub that objects of users name.
//!
//! **Invariant:** a name that cannot be one, or that the API server refuses, is a fault of
//! the object that has it, and no error of the look at all the others.

use k8s_openapi::api::core::v1::Secret;
use mcdeploy_api::names::is_object_name;
use mcdeploy_cluster::{ClusterClient, ClusterError};

/// A Secret, none when it is not there, or why it cannot be read by that name.
///
/// # Errors
/// A hub that does not answer: that says nothing about the name.
pub(crate) async fn read(
    hub: &ClusterClient,
    namespace: &str,
    name: &str,
) -> Result<Result<Option<Secret>, String>, ClusterError> {
    if !is_object_name(name) {
        return Ok(Err(format!(
            "{name:?} is no name of a Secret: expected lowercase letters, digits, '-' and '.'"
        )));
    }
    match hub.get(Some(namespace), name).await {
        Err(error @ ClusterError::Refused { .. }) => Ok(Err(error.to_string())),
        found => found.map(Ok),
    }
}
