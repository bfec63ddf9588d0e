//! An image, with all its platforms and referrers, to another registry.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use mcdeploy_api::{ErrorClass, Sha256Digest};
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};
use tokio_util::sync::CancellationToken;

use crate::{
    RegistryError, Repository,
    manifest::{Blob, Manifest},
};

/// Blobs that are copied or looked for at once.
const CONCURRENCY: usize = 4;
/// Indexes of indexes are followed so deep; the specification has one level.
const MAX_DEPTH: u32 = 4;

/// What a copy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Manifests that the target has now.
    pub manifests: u64,
    /// Configs and layers that were sent.
    pub blobs_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Bytes of configs and layers that the target had.
    pub bytes_there: u64,
}

/// What a registry holds of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// Every manifest, config and layer.
    Whole,
    /// Not all; the first that is absent, in words.
    Missing(String),
}

/// Makes `to` hold the image `digest` of `from`: its platforms, and what refers to it.
///
/// Idempotent: what is there is not sent again. Nothing is visible under the digest before
/// all that it refers to is there.
///
/// # Errors
/// See [`RegistryError`]; a class that may be tried again means that what arrived stays.
pub async fn copy_image(
    from: &Repository,
    to: &Repository,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<Copied, RegistryError> {
    let copy = Copy { from, to, cancel };
    let mut copied = Copied::default();
    copy.tree(*digest, 0, &mut copied).await?;
    Ok(copied)
}

/// Whether `repository` can serve the image: asks for manifests, and of configs and layers
/// only whether they are there.
///
/// # Errors
/// A registry that does not answer, or refuses, is an error and never `Missing`.
pub async fn image_state(
    repository: &Repository,
    digest: &Sha256Digest,
    cancel: &CancellationToken,
) -> Result<ImageState, RegistryError> {
    let mut open = vec![(*digest, 0)];
    let mut seen = BTreeSet::new();
    while let Some((digest, depth)) = open.pop() {
        if depth > MAX_DEPTH || !seen.insert(digest) {
            continue;
        }
        let bytes = match repository.manifest(&digest, cancel).await {
            Ok(bytes) => bytes,
            Err(error) if error.class() == ErrorClass::NotFound => {
                return Ok(ImageState::Missing(format!("manifest {digest}")));
            }
            Err(error) => return Err(error),
        };
        let manifest = parse(repository, &digest, &bytes)?;
        open.extend(manifest.manifests.iter().map(|child| (*child, depth + 1)));
        if let Some(absent) = absent_blobs(repository, &manifest, cancel).await?.first() {
            return Ok(ImageState::Missing(format!("blob {}", absent.digest)));
        }
    }
    Ok(ImageState::Whole)
}

async fn absent_blobs(
    repository: &Repository,
    manifest: &Manifest,
    cancel: &CancellationToken,
) -> Result<Vec<Blob>, RegistryError> {
    let looks = manifest.blobs.iter().map(|blob| async move {
        let there = repository.has_blob(blob, cancel).await?;
        Ok((!there).then(|| blob.clone()))
    });
    let looks: Vec<_> = looks.collect();
    stream::iter(looks)
        .buffered(CONCURRENCY)
        .try_filter_map(async |absent| Ok(absent))
        .try_collect()
        .await
}

fn parse(
    repository: &Repository,
    digest: &Sha256Digest,
    bytes: &[u8],
) -> Result<Manifest, RegistryError> {
    Manifest::parse(bytes)
        .map_err(|detail| repository.refused("understand manifest", digest, detail))
}

struct Copy<'a> {
    from: &'a Repository,
    to: &'a Repository,
    cancel: &'a CancellationToken,
}

impl Copy<'_> {
    /// Copies a manifest after all that it refers to, then what refers to it.
    fn tree<'c>(
        &'c self,
        digest: Sha256Digest,
        depth: u32,
        copied: &'c mut Copied,
    ) -> BoxFuture<'c, Result<(), RegistryError>> {
        Box::pin(async move {
            let bytes = self.from.manifest(&digest, self.cancel).await?;
            let manifest = parse(self.from, &digest, &bytes)?;
            if depth > MAX_DEPTH {
                let detail = format!("manifests refer to manifests more than {MAX_DEPTH} deep");
                return Err(self.from.refused("copy", &digest, detail));
            }
            for child in &manifest.manifests {
                self.tree(*child, depth + 1, copied).await?;
            }
            self.blobs(&manifest, copied).await?;
            let kind = &manifest.media_type;
            self.to
                .put_manifest(None, &bytes, kind, self.cancel)
                .await?;
            copied.manifests += 1;
            self.referrers(&digest, depth, copied).await
        })
    }

    async fn blobs(&self, manifest: &Manifest, copied: &mut Copied) -> Result<(), RegistryError> {
        let absent = absent_blobs(self.to, manifest, self.cancel).await?;
        let all: u64 = manifest.blobs.iter().map(|blob| blob.size_bytes).sum();
        let sent: u64 = absent.iter().map(|blob| blob.size_bytes).sum();
        copied.blobs_sent += absent.len() as u64;
        copied.bytes_sent += sent;
        copied.bytes_there += all - sent;
        let sends = absent
            .iter()
            .map(|blob| self.to.copy_blob(self.from, blob, self.cancel));
        let sends: Vec<_> = sends.collect();
        stream::iter(sends)
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Signatures and the like: copied after their subject, which they name.
    async fn referrers(
        &self,
        digest: &Sha256Digest,
        depth: u32,
        copied: &mut Copied,
    ) -> Result<(), RegistryError> {
        let there = self.from.referrers(digest, self.cancel).await?;
        for entry in &there {
            let referrer = entry.digest.parse().map_err(|error| {
                self.from
                    .refused("list referrers of", digest, format!("{error}"))
            })?;
            self.tree(referrer, depth + 1, copied).await?;
        }
        if there.is_empty() {
            return Ok(());
        }
        self.list_referrers(digest, there).await
    }

    /// Registries without the referrers API keep the list under a tag, and the client has
    /// to write it.
    async fn list_referrers(
        &self,
        digest: &Sha256Digest,
        expected: Vec<ImageIndexEntry>,
    ) -> Result<(), RegistryError> {
        let mut listed = self.to.referrers(digest, self.cancel).await?;
        let known: BTreeSet<_> = listed.iter().map(|entry| entry.digest.clone()).collect();
        let absent = expected
            .into_iter()
            .filter(|entry| !known.contains(&entry.digest));
        let absent: Vec<_> = absent.collect();
        if absent.is_empty() {
            return Ok(());
        }
        listed.extend(absent);
        let index = OciImageIndex {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
            manifests: listed,
            artifact_type: None,
            annotations: None,
        };
        let bytes = Bytes::from(serde_json::to_vec(&index).unwrap_or_default());
        let tag = digest.to_string().replace(':', "-");
        self.to
            .put_manifest(Some(&tag), &bytes, OCI_IMAGE_INDEX_MEDIA_TYPE, self.cancel)
            .await
    }
}
