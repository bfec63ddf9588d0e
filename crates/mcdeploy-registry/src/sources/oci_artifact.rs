//! A model as an OCI artifact: a layer per file, named by an annotation, as `oras push` and
//! the CNCF's ModelPack write it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use mcdeploy_api::Sha256Digest;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Body, Source, SourceFile, SourceSettings};
use crate::{ImageName, RegistryCause, RegistryError, Repository, RepositoryAddress};

/// Annotations that name a layer's file, the first that is there.
const FILE_NAMES: [&str; 2] = ["org.cncf.model.filepath", "org.opencontainers.image.title"];
/// Annotation of a directory that was packed into one layer.
const PACKED: &str = "io.deis.oras.content.unpack";

#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) struct OciArtifact {
    repository: Repository,
    digest: Sha256Digest,
    files: Vec<SourceFile>,
}

pub(super) async fn open(
    image: &ImageName,
    settings: &SourceSettings,
    cancel: &CancellationToken,
) -> Result<OciArtifact, RegistryError> {
    let address = RepositoryAddress {
        registry: image.registry.clone(),
        name: image.name.clone(),
        plain_http: settings.registry_plain_http,
    };
    let repository = Repository::new(address, settings.registry_credentials.clone());
    let digest = if let Some(digest) = image.digest {
        digest
    } else {
        let tag = image.tag.as_deref().unwrap_or("latest");
        repository.resolve(tag, cancel).await?
    };
    let bytes = repository.manifest(&digest, cancel).await?;
    let files = files(&bytes).map_err(|why| repository.refused("use artifact", &digest, why))?;
    Ok(OciArtifact {
        repository,
        digest,
        files,
    })
}

fn files(manifest: &[u8]) -> Result<Vec<SourceFile>, String> {
    let artifact: Artifact = serde_json::from_slice(manifest).map_err(|e| e.to_string())?;
    let files = artifact.layers.into_iter().map(|layer| {
        let name = FILE_NAMES
            .iter()
            .find_map(|key| layer.annotations.get(*key));
        let name = name.ok_or_else(|| {
            let digest = &layer.digest;
            format!(
                "layer {digest} names no file ({}); is it a container image?",
                FILE_NAMES.join(" or ")
            )
        })?;
        if layer
            .annotations
            .get(PACKED)
            .is_some_and(|packed| packed == "true")
        {
            return Err(format!(
                "{name:?} is a packed directory; push its files one by one"
            ));
        }
        let digest = layer.digest.parse().map_err(|error| format!("{error}"))?;
        Ok(SourceFile {
            path: name.clone(),
            size_bytes: layer.size,
            sha256: Some(digest),
        })
    });
    files.collect()
}

#[async_trait]
impl Source for OciArtifact {
    fn pinned(&self) -> String {
        format!("oci://{}@{}", self.repository.location(), self.digest)
    }

    fn files(&self) -> &[SourceFile] {
        &self.files
    }

    async fn read(
        &self,
        file: &SourceFile,
        _offset: u64,
        cancel: &CancellationToken,
    ) -> Result<(u64, Body), RegistryError> {
        // Every file of an artifact has one: it is the layer's.
        let digest = file.sha256.ok_or_else(|| {
            let detail = format!("{:?} is no file of it", file.path);
            self.repository.refused("read", &self.digest, detail)
        })?;
        let body = self.repository.blob(&digest, cancel).await?;
        let body = body.map_err(|error| RegistryCause::unreachable(&error));
        Ok((0, body.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_artifact_of_plain_files_is_refused_by_name() {
        let digest = Sha256Digest::of("x");
        let layer = |annotations: &str| {
            format!(
                r#"{{"layers":[{{"digest":"{digest}","size":1,"annotations":{annotations}}}]}}"#
            )
        };
        let image = files(layer("{}").as_bytes()).unwrap_err();
        assert!(image.contains("container image"), "{image}");
        let title = r#""org.opencontainers.image.title":"weights""#;
        let packed = layer(&format!(
            r#"{{{title},"io.deis.oras.content.unpack":"true"}}"#
        ));
        let packed = files(packed.as_bytes()).unwrap_err();
        assert!(packed.contains("weights"), "{packed}");
        let plain = files(layer(&format!("{{{title}}}")).as_bytes()).unwrap();
        assert_eq!(plain[0].path, "weights");
    }
}
