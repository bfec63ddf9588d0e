//! What the hub keeps of each revision: its input, and what that was rendered to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use mcdeploy_manifests::RevisionTemplate;
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
    pub rendered: Option<RevisionTemplate>,
}

/// What recorded revisions were rendered to, by revision.
#[derive(Debug, Default)]
pub struct RevisionStore(Mutex<BTreeMap<String, Arc<RevisionTemplate>>>);

impl RevisionStore {
    /// What is kept of a revision, if it was recorded with it.
    pub fn get(&self, revision: &str) -> Option<Arc<RevisionTemplate>> {
        let templates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        templates.get(revision).cloned()
    }

    /// Keeps what a record holds.
    pub fn put(&self, revision: &str, rendered: Option<RevisionTemplate>) {
        if let Some(rendered) = rendered {
            let mut templates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            templates.insert(revision.to_owned(), Arc::new(rendered));
        }
    }
}
