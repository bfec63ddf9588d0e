//! A validated deployment to the Kubernetes objects of one cluster.
//!
//! Pure: the same input gives the same objects, byte for byte. Everything here passes
//! the `restricted` Pod Security Standard, except what a user's image itself breaks.

#![deny(clippy::wildcard_enum_match_arm)]

mod copy_image;
mod job;
mod node_cache;
mod pod;
mod revision;
mod template;
mod transfer;

pub use copy_image::{
    CopyImageInput, CopyImageObjects, copy_image_name, image_label, render_copy_image,
};
pub use node_cache::cache_plan;
pub use revision::{RevisionInput, RevisionObjects, render_revision};
pub use template::RevisionTemplate;
pub use transfer::{TransferInput, TransferObjects, render_transfer, transfer_name};
