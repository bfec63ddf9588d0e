//! OCI registries: the digest of a tag, and images copied whole and by digest.
//!
//! | room | role |
//! |---|---|
//! | `image_name` | names of images, as people write them (pure) |
//! | `repository` | one repository of one registry: bounded calls, retries, errors without secrets |
//! | `manifest` | what a manifest refers to (pure) |
//! | `copy` | an image with all its platforms and referrers to another registry |
//!
//! **Invariants:** a manifest is written after everything that it refers to, so that an image
//! is there whole or not at all; every byte is checked against its digest on its way; memory
//! does not grow with the size of an image; no credential is in any error or `Debug`.

mod copy;
mod error;
mod image_name;
mod manifest;
mod repository;

pub use copy::{Copied, ImageState, copy_image, image_state};
pub use error::{RegistryCause, RegistryError};
pub use image_name::{ImageName, ImageNameError};
pub use repository::{Credentials, Repository, RepositoryAddress};
