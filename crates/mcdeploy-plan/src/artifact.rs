//! What has to be in a place before pods start there: the version in the provider's own
//! store, the image in the registry, the version in the caches of nodes.

mod copies;
mod images;
mod staging;
pub mod transfer;

use mcdeploy_api::Reason;

pub(crate) use copies::{artifact, read_once};
pub(crate) use images::image;
pub use staging::staging_owner;
pub(crate) use staging::{actions as stage, release, waits};

/// The copy in one cluster's store, or of an image in its registry.
pub(crate) enum Artifact {
    /// Whole and equal to the manifest.
    Verified,
    /// On its way, or not looked at yet.
    Coming(Reason, String),
    /// Not to be had without a repair.
    Stopped(Reason, String),
}
