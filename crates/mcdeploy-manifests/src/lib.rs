//! A validated deployment to the Kubernetes objects of one cluster.
//!
//! Pure: the same input gives the same objects, byte for byte. Everything here passes
//! the `restricted` Pod Security Standard, except what a user's image itself breaks.

#![deny(clippy::wildcard_enum_match_arm)]

mod kept;
mod pod;
mod revision;
mod transfer;

pub use kept::KeptObjects;
pub use revision::{RevisionInput, RevisionObjects, render_revision};
pub use transfer::{TransferInput, TransferObjects, render_transfer, transfer_name};
