//! The manifest of a version: which files, how large, and every checksum of each.

use mcdeploy_api::{API_VERSION, Sha256Digest, names::MANIFEST_FILE};
use serde::{Deserialize, Serialize};

use crate::{Checksums, Crc32c, Crc64Nvme, KeyError, ObjectKey};

/// Largest manifest that is read, in bytes; room for about 100,000 files.
pub const MAX_MANIFEST_BYTES: u64 = 32 * 1024 * 1024;

/// What a version consists of. Equal versions give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    api_version: String,
    kind: String,
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// One entry per file, sorted by path, no path twice.
    pub files: Vec<ManifestFile>,
}

/// One file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestFile {
    /// Path within the version's directory.
    pub path: ObjectKey,
    /// Length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: Sha256Digest,
    /// CRC-64/NVME of the bytes.
    pub crc64nvme: Crc64Nvme,
    /// CRC-32C of the bytes.
    pub crc32c: Crc32c,
}

/// Bytes that are not a manifest of the version that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of the expected shape.
    #[error("the manifest is not valid: {0}")]
    Parse(serde_json::Error),
    /// JSON, but of another kind or version of the API.
    #[error(
        "the manifest is a {kind:?} of {api_version:?}, expected \"ArtifactManifest\" of \"mcdeploy.dev/v1alpha1\""
    )]
    Kind {
        /// Its `kind`.
        kind: String,
        /// Its `apiVersion`.
        api_version: String,
    },
    /// Paths out of order, twice, or one that is reserved.
    #[error("the manifest's path {path:?} is reserved, out of order or there twice")]
    Path {
        /// The path.
        path: String,
    },
    /// A directory that has no files.
    #[error("there are no files")]
    Empty,
    /// One file's path is another one's directory.
    #[error("{path:?} is both a file and a directory")]
    Overlap {
        /// The path.
        path: String,
    },
}

const KIND: &str = "ArtifactManifest";

impl Manifest {
    /// A manifest of these files, in whatever order they come.
    ///
    /// # Errors
    /// No files, a path twice, or the manifest's own name.
    pub fn new(
        model: &str,
        version: &str,
        mut files: Vec<ManifestFile>,
    ) -> Result<Self, ManifestError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            model: model.to_owned(),
            version: version.to_owned(),
            files,
        }
        .checked()
    }

    /// Reads what [`Self::to_bytes`] gave, and checks it: it may come from anywhere.
    ///
    /// # Errors
    /// Other JSON, keys that are not safe, or entries that are not sorted and unique.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        serde_json::from_slice::<Self>(bytes)
            .map_err(ManifestError::Parse)?
            .checked()
    }

    fn checked(self) -> Result<Self, ManifestError> {
        if self.kind != KIND || self.api_version != API_VERSION {
            return Err(ManifestError::Kind {
                kind: self.kind,
                api_version: self.api_version,
            });
        }
        if self.files.is_empty() {
            return Err(ManifestError::Empty);
        }
        if let Some(file) = self.files.iter().find(|f| is_reserved(&f.path)) {
            return Err(ManifestError::Path {
                path: file.path.to_string(),
            });
        }
        if let Some(pair) = self.files.windows(2).find(|w| w[0].path >= w[1].path) {
            return Err(ManifestError::Path {
                path: pair[1].path.to_string(),
            });
        }
        let paths: std::collections::BTreeSet<_> =
            self.files.iter().map(|f| f.path.as_str()).collect();
        let directories = self.files.iter().flat_map(|f| {
            let path = f.path.as_str();
            path.match_indices('/').map(|(at, _)| &path[..at])
        });
        for directory in directories {
            if paths.contains(directory) {
                return Err(ManifestError::Overlap {
                    path: directory.to_owned(),
                });
            }
        }
        Ok(self)
    }

    /// The bytes that are stored. Equal manifests give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// SHA-256 of [`Self::to_bytes`]: the identity of the version.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.to_bytes())
    }

    /// Sum of the files' sizes, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size_bytes).sum()
    }
}

impl ManifestFile {
    /// The file at a path, of files that are sorted as a manifest's are.
    pub(crate) fn at<'a>(files: &'a [Self], path: &str) -> Option<&'a Self> {
        let found = files.binary_search_by(|file| file.path.as_str().cmp(path));
        files.get(found.ok()?)
    }

    /// Size and both checksums.
    pub fn checksums(&self) -> Checksums {
        Checksums {
            size_bytes: self.size_bytes,
            crc64nvme: self.crc64nvme,
            crc32c: self.crc32c,
        }
    }
}

/// Name, within a version's directory, of the note that a push is under way.
pub(crate) const CLAIM_FILE: &str = "mcdeploy-push.json";

/// Whether a path within a version's directory is mcdeploy's own.
pub(crate) fn is_reserved(path: &ObjectKey) -> bool {
    path.as_str() == MANIFEST_FILE || path.as_str() == CLAIM_FILE
}

/// Key of a version's manifest or claim.
pub(crate) fn own_key(version: &crate::VersionName, file: &str) -> Result<ObjectKey, KeyError> {
    version.key(&ObjectKey::new(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ManifestFile {
        let Checksums {
            size_bytes,
            crc64nvme,
            crc32c,
        } = Checksums::of(b"bytes");
        ManifestFile {
            path: ObjectKey::new(path).unwrap(),
            size_bytes,
            sha256: Sha256Digest::of(b"bytes"),
            crc64nvme,
            crc32c,
        }
    }

    #[test]
    fn order_of_files_does_not_change_the_digest() {
        let a = Manifest::new("m", "v1", vec![file("b"), file("a/c")]).unwrap();
        let b = Manifest::new("m", "v1", vec![file("a/c"), file("b")]).unwrap();
        assert_eq!(a.digest(), b.digest());
        assert_eq!(Manifest::from_bytes(&a.to_bytes()).unwrap(), a);
        assert_eq!(a.size_bytes(), 10);
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let good = Manifest::new("m", "v1", vec![file("a"), file("b")]).unwrap();
        let text = String::from_utf8(good.to_bytes()).unwrap();
        for (from, to) in [
            (r#""path": "a""#, r#""path": "../a""#),
            (r#""path": "a""#, r#""path": "b""#),
            (r#""path": "b""#, r#""path": "mcdeploy-manifest.json""#),
            (r#""path": "b""#, r#""path": "a/b""#),
            ("ArtifactManifest", "Pod"),
            (r#""sizeBytes": 5"#, r#""sizeBytes": -5"#),
            ("crc32c", "crc32"),
        ] {
            let hostile = text.replacen(from, to, 1);
            assert_ne!(hostile, text);
            assert!(Manifest::from_bytes(hostile.as_bytes()).is_err(), "{to}");
        }
        assert!(Manifest::new("m", "v1", vec![]).is_err());
    }
}
