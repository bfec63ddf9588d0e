//! What the operator hands to `mcdeployd fetch`, `transfer` and `copy-image`.
//!
//! All are JSON in a mounted Secret, because they hold credentials.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{ArtifactStoreSpec, Sha256Digest};

/// A store with what it takes to use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAccess {
    /// Name of the `ArtifactStore`.
    pub name: String,
    /// Its spec.
    pub spec: ArtifactStoreSpec,
    /// Values of the Secret that `spec.auth.secretRef` names; empty without one.
    #[serde(default)]
    pub secret: SecretValues,
}

/// Values of a Secret by key. `Debug` shows keys only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretValues(pub BTreeMap<String, String>);

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an init container reads before a model server starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FetchPlan {
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Digest that the manifest must have.
    pub manifest_digest: Sha256Digest,
    /// The provider's own store.
    pub store: StoreAccess,
    /// The cache of the node that the pod runs on; left out: there is none. Only daemons
    /// that were told of one read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_cache: Option<CachePlan>,
}

/// How a node's cache is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CachePlan {
    /// Sum of the sizes of versions that it may hold, in bytes.
    pub quota_bytes: u64,
}

/// What a transfer Job moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferPlan {
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Digest that the manifest must have.
    pub manifest_digest: Sha256Digest,
    /// A store with a verified copy.
    pub source: StoreAccess,
    /// Stores that lack it. All get it from one pass over the source.
    pub targets: Vec<StoreAccess>,
}

/// What a transfer Job logs about one of its targets, at most once a second and at the end,
/// as fields of a JSON line. The operator reads it while the Job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferProgress {
    /// Name of the target's `ArtifactStore`.
    pub store: String,
    /// Bytes that the target has taken.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Over the last seconds.
    pub bytes_per_second: u64,
    /// Seconds that are left at this rate; none while it stands still.
    #[serde(default)]
    pub eta_seconds: Option<u64>,
    /// Requests that were made again.
    pub repeats: u64,
}

impl TransferProgress {
    /// Of a line of the log; none when it is about something else.
    pub fn parse(line: &str) -> Option<Self> {
        // Lines of other events lack the fields; serde skips those that it does not know.
        serde_json::from_str(line).ok()
    }
}

/// A repository of a registry with what it takes to use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryAccess {
    /// `host` or `host:port`.
    pub registry: String,
    /// Such as `models/mcserve`.
    pub name: String,
    /// Speak HTTP without TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// `username` and `password`; empty: anonymous.
    #[serde(default)]
    pub secret: SecretValues,
}

/// What a Job copies that brings an image to another registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyImagePlan {
    /// Digest of the image's index or manifest.
    pub digest: Sha256Digest,
    /// A repository that should have it.
    pub source: RepositoryAccess,
    /// The repository that lacks it.
    pub target: RepositoryAccess,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_other_lines_of_a_log() {
        let line = r#"{"timestamp":"2026-11-29T19:00:00Z","level":"INFO","message":"1 of 4 bytes",
            "store":"gcp","done_bytes":1,"total_bytes":4,"bytes_per_second":2,"eta_seconds":1,
            "repeats":3,"target":"mcdeployd::progress_log"}"#;
        let read = TransferProgress::parse(line).unwrap();
        assert_eq!((read.store.as_str(), read.done_bytes), ("gcp", 1));
        assert_eq!((read.eta_seconds, read.repeats), (Some(1), 3));
        for other in [
            "",
            "thread main panicked",
            r#"{"level":"INFO","message":"copied"}"#,
            r#"{"store":"gcp","done_bytes":-1,"total_bytes":4,"bytes_per_second":2,"repeats":3}"#,
        ] {
            assert_eq!(TransferProgress::parse(other), None, "{other}");
        }
    }

    #[test]
    fn debug_shows_no_secret_value() {
        let values = [("sasToken".to_owned(), "sig=hunter2".to_owned())];
        let shown = format!("{:?}", SecretValues(values.into_iter().collect()));
        assert_eq!(shown, r#"{"sasToken"}"#);
    }
}
