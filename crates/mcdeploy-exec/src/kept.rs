//! What the hub keeps of each revision.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use mcdeploy_manifests::KeptObjects;
use mcdeploy_plan::RevisionRecord;
use serde::{Deserialize, Serialize};

/// What stands in the `ControllerRevision` of a revision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// Its input: only this goes into its id.
    #[serde(flatten)]
    pub record: RevisionRecord,
    /// What it was rendered to when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<KeptObjects>,
}

/// Rendered objects by revision.
#[derive(Debug, Default)]
pub struct Kept(Mutex<BTreeMap<String, Arc<KeptObjects>>>);

impl Kept {
    /// What is kept of a revision, if it was recorded with it.
    pub fn get(&self, revision: &str) -> Option<Arc<KeptObjects>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(revision).cloned()
    }

    /// Keeps what a record holds.
    pub fn put(&self, revision: &str, rendered: Option<KeptObjects>) {
        if let Some(rendered) = rendered {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(revision.to_owned(), Arc::new(rendered));
        }
    }
}
