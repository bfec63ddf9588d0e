//! Registries: OCI images copied whole and by digest, and the places that models are
//! published in.
//!
//! | room | role |
//! |---|---|
//! | `image_name` | names of images, as people write them (pure) |
//! | `repository` | one repository of one registry: bounded calls, retries, errors without secrets |
//! | `manifest` | what a manifest refers to (pure) |
//! | `copy` | an image with all its platforms and referrers to another registry |
//! | `sources` | models of the Hugging Face Hub, OCI artifacts, MLflow: read, checked, resumed |
//! | `request` | deadline, retries with jitter, cancel: one way for all |
//!
//! **Invariants:** a manifest is written after everything that it refers to, so that an image
//! is there whole or not at all; every byte is checked against its digest on its way; memory
//! does not grow with the size of an image; no credential is in any error or `Debug`.

mod copy;
mod error;
mod image_name;
mod manifest;
mod repository;
mod request;
mod sources;

pub use copy::{Copied, ImageState, copy_image, image_state};
pub use error::{RegistryCause, RegistryError};
pub use image_name::{ImageName, ImageNameError};
pub use repository::{Credentials, Repository, RepositoryAddress};
pub use sources::{
    Body, DownloadError, Downloaded, MlflowVersion, PlanError, Reading, Source, SourceAddress,
    SourceAddressError, SourceFile, SourceSettings, download, open_source,
};
