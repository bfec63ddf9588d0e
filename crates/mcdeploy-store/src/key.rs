//! Keys of objects, as every backend can hold them without changing one.
//!
//! **Invariant:** a key means the same object in all four backends, or is refused here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Prefix of parts that are not yet objects; no model can have this name.
pub(crate) const PARTS_PREFIX: &str = ".mcdeploy/parts/";

/// Prefix of objects whose bytes are wrong, kept for whoever asks why.
pub(crate) const QUARANTINE_PREFIX: &str = ".mcdeploy/quarantine/";

/// Prefix of receipts: what was proved once, see `receipt`.
pub(crate) const RECEIPTS_PREFIX: &str = ".mcdeploy/receipts/";

/// Prefix of leases: who reads or removes a version, see `lease`.
pub(crate) const LEASES_PREFIX: &str = ".mcdeploy/leases/";

/// Where removals note what they remove: a manifest each, `MODEL/VERSION/DIGEST.json`.
pub(crate) const REMOVALS_PREFIX: &str = ".mcdeploy/removals/";

/// Longest key in bytes; Amazon S3, Azure Blob and GCS all take 1024.
const MAX_KEY_BYTES: usize = 1000;
/// Longest name between two slashes in bytes; what Linux file systems take.
const MAX_SEGMENT_BYTES: usize = 240;

/// Key of an object: one or more names joined by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

/// Text that is not a key that means the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {key:?} {why}")]
pub struct KeyError {
    key: String,
    why: &'static str,
}

impl ObjectKey {
    /// Checks that `text` means the same object in every backend.
    ///
    /// # Errors
    /// Empty or too long text, absolute paths, `.` and `..`, empty names, control
    /// characters, backslashes, and `%` before two hex digits (which some layer might
    /// decode into another key).
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let key = text.into();
        match refusal(&key) {
            Some(why) => Err(KeyError { key, why }),
            None => Ok(Self(key)),
        }
    }

    /// The key of `relative` within this key's directory.
    ///
    /// # Errors
    /// When both together are too long.
    pub fn join(&self, relative: &Self) -> Result<Self, KeyError> {
        Self::new(format!("{}/{}", self.0, relative.0))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn refusal(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("is empty");
    }
    if key.len() > MAX_KEY_BYTES {
        return Some("is longer than 1000 bytes");
    }
    if key.starts_with('/') {
        return Some("starts with a slash");
    }
    if key.contains('\\') {
        return Some("contains a backslash");
    }
    if key.chars().any(char::is_control) {
        return Some("contains a control character");
    }
    if has_percent_escape(key) {
        return Some("contains a percent escape");
    }
    key.split('/').find_map(|segment| match segment {
        "" => Some("contains an empty name between slashes"),
        "." | ".." => Some("contains a dot segment"),
        long if long.len() > MAX_SEGMENT_BYTES => Some("has a name longer than 240 bytes"),
        // Azure drops trailing dots of a name.
        dotted if dotted.ends_with('.') => Some("has a name that ends with a dot"),
        _ => None,
    })
}

fn has_percent_escape(key: &str) -> bool {
    key.as_bytes()
        .windows(3)
        .any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit())
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A model and a version whose names are safe in keys, labels and paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionName {
    model: String,
    version: String,
}

impl VersionName {
    /// Checks both names as the `ModelVersion` kind does.
    ///
    /// # Errors
    /// A name that is empty, too long, or holds anything but lower-case letters,
    /// digits, `-` and (in versions) `.`, or that does not start and end with a letter
    /// or digit.
    pub fn new(model: &str, version: &str) -> Result<Self, KeyError> {
        if !is_name(model, 40, b"-") {
            return Err(KeyError {
                key: model.to_owned(),
                why: "is not a model name: up to 40 of a-z, 0-9 and -, not at the ends",
            });
        }
        if !is_name(version, 20, b"-.") || version.contains("..") {
            return Err(KeyError {
                key: version.to_owned(),
                why: "is not a version: up to 20 of a-z, 0-9, - and ., not at the ends",
            });
        }
        Ok(Self {
            model: model.to_owned(),
            version: version.to_owned(),
        })
    }

    /// Model name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the keys of the version's files start with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/{}/", self.model, self.version)
    }

    /// Key of one of the version's files.
    ///
    /// # Errors
    /// When both together are too long.
    pub fn key(&self, file: &ObjectKey) -> Result<ObjectKey, KeyError> {
        ObjectKey::new(format!("{}/{}/{file}", self.model, self.version))
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.model, self.version)
    }
}

fn is_name(name: &str, max: usize, inner: &[u8]) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= max
        && alphanumeric(*first)
        && alphanumeric(*last)
        && bytes.iter().all(|b| alphanumeric(*b) || inner.contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_mean_another_object_are_refused() {
        for text in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a\\b",
            "a\0b",
            "a\nb",
            "%2e%2e/a",
            "a%2Fb",
            "a/b.",
            "a/...",
        ] {
            assert!(ObjectKey::new(text).is_err(), "{text:?}");
        }
        assert!(ObjectKey::new("a".repeat(241)).is_err());
        assert!(ObjectKey::new("a/".repeat(600) + "a").is_err());
    }

    #[test]
    fn unusual_but_exact_keys_are_taken() {
        for text in [
            "a",
            "a b/c",
            "grüße/模型.onnx",
            "100%",
            "a+b&c=d#e?f",
            ".hidden",
            "a..b",
        ] {
            assert_eq!(ObjectKey::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn model_and_version_follow_the_kind() {
        assert!(VersionName::new("digits", "v1.2-rc3").is_ok());
        for (model, version) in [
            ("", "v1"),
            ("Digits", "v1"),
            ("a/b", "v1"),
            ("a", ".."),
            ("a", "v1/x"),
            ("-a", "v1"),
            ("a", ""),
            ("a", "1..2"),
        ] {
            assert!(
                VersionName::new(model, version).is_err(),
                "{model:?} {version:?}"
            );
        }
    }
}
