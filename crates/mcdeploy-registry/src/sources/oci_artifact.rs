//! A model as an OCI artifact: a layer per file, named by an annotation, as `oras push` and
//! the CNCF's ModelPack write it. A layer that is an archive is refused: its bytes are not
//! those of the file that it is named after.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use mcdeploy_api::Sha256Digest;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Reading, Source, SourceFile, SourceSettings};
use crate::{ImageName, RegistryCause, RegistryError, Repository, RepositoryAddress};

/// Annotations that name a layer's file, the first that is there. The second is the first's
/// name before ModelPack went to the CNCF.
const FILE_NAMES: [&str; 3] = [
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "org.opencontainers.image.title",
];
/// Annotation of a directory that was packed into one layer.
const PACKED: &str = "io.deis.oras.content.unpack";
/// What `oras push` calls every file whose type it is not told, archive or not.
/// Source: <https://oras.land/docs/commands/oras_push> (2026-11-30).
const UNTOLD: &str = "application/vnd.oci.image.layer.v1.tar";
/// Endings of media types whose layers are packed.
const ARCHIVES: [&str; 9] = [
    ".tar",
    "+tar",
    "+gzip",
    ".gzip",
    "+zstd",
    ".zstd",
    ".zip",
    "+zip",
    "+encrypted",
];
/// Endings of files that are themselves archives.
const ARCHIVE_NAMES: [&str; 8] = [
    ".tar", ".tgz", ".gz", ".zst", ".zip", ".mar", ".npz", ".keras",
];
/// Digests of an index that are shown.
const SHOWN: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    #[serde(default)]
    layers: Vec<Layer>,
    /// Only an index has them.
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(default)]
    media_type: String,
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
        plain_http: settings.registry_plain_http || is_on_this_machine(&image.registry),
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

/// Registries on loopback have no certificate, as a rule; docker, containerd and crane speak
/// HTTP to them, too.
fn is_on_this_machine(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn files(manifest: &[u8]) -> Result<Vec<SourceFile>, String> {
    let artifact: Artifact = serde_json::from_slice(manifest).map_err(|e| e.to_string())?;
    if !artifact.manifests.is_empty() {
        return Err(index(&artifact.manifests));
    }
    artifact.layers.iter().map(file).collect()
}

fn index(entries: &[Entry]) -> String {
    let shown: Vec<_> = entries.iter().take(SHOWN).map(|e| &*e.digest).collect();
    format!(
        "it is an index of {} manifests and no artifact of its own: name one of them by its \
         digest, as NAME@{}",
        entries.len(),
        shown.join(" or @")
    )
}

fn file(layer: &Layer) -> Result<SourceFile, String> {
    let Layer {
        media_type,
        digest,
        size,
        annotations,
    } = layer;
    let name = FILE_NAMES.iter().find_map(|key| annotations.get(*key));
    let is_directory = annotations
        .get(PACKED)
        .is_some_and(|packed| packed == "true");
    if is_directory || is_archive(media_type, name.map(String::as_str)) {
        let what = name.unwrap_or(digest);
        return Err(format!(
            "the layer {what:?} is an archive ({media_type}): {}, and push the directory",
            unpack(media_type)
        ));
    }
    let name = name.ok_or_else(|| {
        format!(
            "layer {digest} names no file ({}); is it a container image?",
            FILE_NAMES.join(" or ")
        )
    })?;
    let digest = digest.parse().map_err(|error| format!("{error}"))?;
    Ok(SourceFile {
        path: name.clone(),
        size_bytes: Some(*size),
        sha256: Some(digest),
    })
}

/// Whether a layer is an archive of files, and not the one that it is named after. A file
/// that is called an archive is meant to be one.
fn is_archive(media_type: &str, name: Option<&str>) -> bool {
    // Parameters, such as `; charset=`, say nothing of it.
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let ends = |text: &str, endings: &[&str]| {
        let text = text.to_ascii_lowercase();
        endings.iter().any(|ending| text.ends_with(ending))
    };
    match name {
        Some(name) if ends(name, &ARCHIVE_NAMES) || media_type == UNTOLD => false,
        Some(_) => ends(media_type, &ARCHIVES),
        // Layers of a container image are told to be that.
        None => ends(media_type, &ARCHIVES) && !media_type.starts_with("application/vnd.oci."),
    }
}

/// What unpacks an artifact with this type of layer.
fn unpack(media_type: &str) -> &'static str {
    let known = [
        (
            "vnd.kitops.",
            "unpack it with `kit unpack NAME -d DIRECTORY`",
        ),
        (
            "vnd.cncf.model.",
            "unpack it with `modctl pull NAME --extract-dir DIRECTORY` (or build it with \
             `modctl build --raw`, and push --from as before)",
        ),
        (
            "vnd.oci.",
            "unpack it with `oras pull NAME -o DIRECTORY`, and `tar -xf` where that leaves an archive",
        ),
    ];
    let found = known.iter().find(|(word, _)| media_type.contains(word));
    found.map_or("unpack it with the tool that packed it", |(_, how)| how)
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
    ) -> Result<Reading, RegistryError> {
        // Every file of an artifact has one: it is the layer's.
        let digest = file.sha256.ok_or_else(|| {
            let detail = format!("{:?} is no file of it", file.path);
            self.repository.refused("read", &self.digest, detail)
        })?;
        let body = self.repository.blob(&digest, cancel).await?;
        let body = body.map_err(|error| RegistryCause::unreachable(&error));
        Ok(Reading {
            begin: 0,
            whole_bytes: file.size_bytes,
            body: body.boxed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: &str = "org.opencontainers.image.title";

    fn layer(media_type: &str, annotations: &[(&str, &str)]) -> Result<SourceFile, String> {
        let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
        let manifest = serde_json::json!({ "layers": [{
            "mediaType": media_type, "digest": Sha256Digest::of("x").to_string(), "size": 1,
            "annotations": annotations,
        }] });
        files(manifest.to_string().as_bytes()).map(|mut files| files.remove(0))
    }

    #[test]
    fn a_layer_is_a_file_or_is_refused_by_its_media_type_with_the_way_out() {
        let packed = [
            ("application/vnd.cncf.model.weight.v1.tar", "modctl"),
            ("application/vnd.cncf.model.weight.v1.tar+gzip", "modctl"),
            ("application/vnd.cncf.model.weight.v1.tar+zstd", "modctl"),
            (
                "application/vnd.kitops.modelkit.model.v1.tar+gzip",
                "kit unpack",
            ),
            ("application/vnd.oci.image.layer.v1.tar+gzip", "oras pull"),
            (
                "application/vnd.docker.ai.dir.tar",
                "the tool that packed it",
            ),
        ];
        for (media_type, way) in packed {
            let error = layer(media_type, &[(TITLE, "model.onnx")]).unwrap_err();
            assert!(error.contains(media_type) && error.contains(way), "{error}");
            assert!(error.contains("model.onnx"), "{error}");
        }
        let kit = layer("application/vnd.kitops.modelkit.model.v1.tar", &[]).unwrap_err();
        assert!(kit.contains("kit unpack"), "a kit names no files: {kit}");
        let plain = [
            ("application/vnd.cncf.model.weight.v1.raw", "model.onnx"),
            (
                "application/vnd.cncf.model.weight.v1.safetensors",
                "m.safetensors",
            ),
            ("application/octet-stream", "model.onnx"),
            ("application/vnd.oci.image.layer.v1.tar", "model.onnx"),
            (
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "model.tar.gz",
            ),
            ("application/gzip", "labels.txt.gz"),
            ("", "model.onnx"),
        ];
        for (media_type, name) in plain {
            let file = layer(media_type, &[(TITLE, name)]).unwrap();
            assert_eq!((file.path.as_str(), file.size_bytes), (name, Some(1)));
        }
        let older = layer("x", &[("org.cnai.model.filepath", "m"), (TITLE, "n")]);
        assert_eq!(older.unwrap().path, "m");
    }

    #[test]
    fn registries_on_this_machine_speak_plain_http() {
        for here in [
            "localhost:5000",
            "localhost",
            "127.0.0.1:80",
            "127.1.2.3",
            "[::1]:5000",
        ] {
            assert!(is_on_this_machine(here), "{here}");
        }
        for elsewhere in [
            "ghcr.io",
            "10.0.0.1:5000",
            "localhost.example.com",
            "[2001:db8::1]:5000",
        ] {
            assert!(!is_on_this_machine(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn what_is_no_artifact_of_plain_files_is_refused_by_name() {
        let image = layer("application/vnd.oci.image.layer.v1.tar+gzip", &[]).unwrap_err();
        assert!(image.contains("container image"), "{image}");
        let directory = [(TITLE, "weights"), (PACKED, "true")];
        let packed = layer("application/vnd.oci.image.layer.v1.tar+gzip", &directory);
        let packed = packed.unwrap_err();
        assert!(packed.contains("weights"), "{packed}");
    }

    #[test]
    fn an_index_is_no_artifact_and_says_what_it_lists() {
        let digest = Sha256Digest::of("x").to_string();
        let index = serde_json::json!({ "manifests": [{ "digest": digest }] });
        let error = files(index.to_string().as_bytes()).unwrap_err();
        assert!(
            error.contains("an index of 1") && error.contains(&digest),
            "{error}"
        );
    }
}
