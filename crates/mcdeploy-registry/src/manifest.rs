//! What a manifest refers to.

use mcdeploy_api::Sha256Digest;
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
};
use serde::Deserialize;

/// Every kind of manifest that is asked for.
pub(crate) const ACCEPTED: [&str; 4] = [
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
];

/// What a manifest refers to, by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Its own media type.
    pub(crate) media_type: String,
    /// Manifests of an index: one per platform.
    pub(crate) manifests: Vec<Sha256Digest>,
    /// Config and layers that the registry itself holds.
    pub(crate) blobs: Vec<Blob>,
}

/// A config or a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) digest: Sha256Digest,
    pub(crate) size_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    media_type: Option<String>,
    #[serde(default)]
    manifests: Vec<RawDescriptor>,
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Vec<RawDescriptor>,
    /// Layers of an OCI artifact manifest of the 1.1 drafts.
    #[serde(default)]
    blobs: Vec<RawDescriptor>,
}

#[derive(Deserialize)]
struct RawDescriptor {
    digest: String,
    size: u64,
    /// Where a layer is that registries do not hold.
    #[serde(default)]
    urls: Vec<String>,
}

impl Manifest {
    /// Reads a manifest's bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let is_index = !raw.manifests.is_empty() || raw.config.is_none() && raw.layers.is_empty();
        let media_type = raw.media_type.unwrap_or_else(|| {
            let usual = if is_index {
                OCI_IMAGE_INDEX_MEDIA_TYPE
            } else {
                OCI_IMAGE_MEDIA_TYPE
            };
            usual.to_owned()
        });
        let digest = |text: &str| text.parse().map_err(|error| format!("{error}"));
        let manifests = raw.manifests.iter().map(|entry| digest(&entry.digest));
        let held = raw
            .config
            .iter()
            .chain(&raw.layers)
            .chain(&raw.blobs)
            .filter(|entry| entry.urls.is_empty());
        let blobs = held.map(|entry| {
            Ok(Blob {
                digest: digest(&entry.digest)?,
                size_bytes: entry.size,
            })
        });
        let mut blobs = blobs.collect::<Result<Vec<_>, String>>()?;
        // A layer may be there twice; it is sent once.
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        Ok(Self {
            media_type,
            manifests: manifests.collect::<Result<_, String>>()?,
            blobs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Sha256Digest {
        Sha256Digest::of(text)
    }

    #[test]
    fn an_image_refers_to_its_config_and_each_layer_once() {
        let (config, layer) = (digest("config"), digest("layer"));
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{config}","size":6}},
            "layers":[{{"digest":"{layer}","size":5}},{{"digest":"{layer}","size":5}},
            {{"digest":"{}","size":9,"urls":["https://elsewhere"]}}]}}"#,
            digest("foreign")
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.media_type, OCI_IMAGE_MEDIA_TYPE);
        let mut found: Vec<_> = manifest.blobs.iter().map(|b| b.digest).collect();
        found.sort();
        let mut expected = vec![config, layer];
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_index_refers_to_manifests() {
        let child = digest("child");
        let text = format!(r#"{{"manifests":[{{"digest":"{child}","size":5}}]}}"#);
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.media_type, OCI_IMAGE_INDEX_MEDIA_TYPE);
        assert_eq!(manifest.manifests, [child]);
    }

    #[test]
    fn digests_of_other_kinds_are_refused() {
        let text = r#"{"manifests":[{"digest":"md5:00","size":5}]}"#;
        assert!(Manifest::parse(text.as_bytes()).is_err());
        assert!(Manifest::parse(b"<html>").is_err());
    }
}
