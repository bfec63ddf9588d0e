//! Which digest a version must have: as typed, as the hub knows it, as a store has it.

use std::sync::Arc;

use kube::Api;
use mcdeploy_api::{ModelVersion, Sha256Digest, names::model_version_name};
use mcdeploy_store::{Store, find_manifest};
use tokio_util::sync::CancellationToken;

use super::store_failure;
use crate::{
    args::ProjectArgs,
    exit::{ExitStatus, Failure},
    settings,
    stores::Stores,
};

/// A version as a user names it.
pub(super) struct Wanted<'a> {
    pub(super) digest: Option<Sha256Digest>,
    pub(super) project: &'a ProjectArgs,
    pub(super) model: &'a str,
    pub(super) version: &'a str,
}

impl Wanted<'_> {
    /// The flag, then the hub's `ModelVersion`, then the first store that has a manifest.
    pub(super) async fn digest(
        &self,
        stores: &Stores<'_>,
        open: &[(String, Arc<dyn Store>)],
        cancel: &CancellationToken,
    ) -> Result<Sha256Digest, Failure> {
        if let Some(digest) = self.digest {
            return Ok(digest);
        }
        match self.of_hub(stores).await? {
            Some(digest) => Ok(digest),
            None => self.of_stores(open, cancel).await,
        }
    }

    async fn of_hub(&self, stores: &Stores<'_>) -> Result<Option<Sha256Digest>, Failure> {
        let Some(hub) = stores.hub() else {
            return Ok(None);
        };
        let found = settings::find_project(self.project)?;
        let namespace = settings::namespace(self.project, found.as_ref(), hub);
        let versions: Api<ModelVersion> = hub.namespaced(&namespace);
        let name = model_version_name(self.model, self.version);
        let object = hub.get(&versions, &name).await?;
        Ok(object.map(|object| object.spec.manifest_digest))
    }

    async fn of_stores(
        &self,
        open: &[(String, Arc<dyn Store>)],
        cancel: &CancellationToken,
    ) -> Result<Sha256Digest, Failure> {
        let Self { model, version, .. } = self;
        let mut first_error = None;
        for (name, store) in open {
            match find_manifest(store.as_ref(), model, version, cancel).await {
                Ok(Some((_, digest))) => return Ok(digest),
                Ok(None) => {}
                Err(error) => {
                    let what = format!("read the manifest of {model} {version} in {name}");
                    first_error.get_or_insert(store_failure(&what, &error));
                }
            }
        }
        let names: Vec<&str> = open.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!("{model} {version} has no manifest in {}", names.join(", "));
        Err(first_error.unwrap_or_else(|| {
            Failure::new(ExitStatus::NotFound, text)
                .hint("`mcdeploy artifacts ls STORE` lists the versions that are there")
        }))
    }
}
