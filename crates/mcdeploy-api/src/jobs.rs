//! What the operator hands to `mcdeployd fetch` and `mcdeployd transfer`.
//!
//! Both are JSON in a mounted Secret, because they hold credentials.

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
    /// The store that lacks it.
    pub target: StoreAccess,
    /// More stores that lack it, and get it from the same pass over the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_targets: Vec<StoreAccess>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret_value() {
        let values = [("sasToken".to_owned(), "sig=hunter2".to_owned())];
        let shown = format!("{:?}", SecretValues(values.into_iter().collect()));
        assert_eq!(shown, r#"{"sasToken"}"#);
    }
}
