//! How far a push, transfer or fetch is.

use crate::{ObjectKey, Store};

/// Told after each part. Called often: whoever prints limits the rate.
pub type OnProgress<'a> = &'a (dyn Fn(&Progress) + Send + Sync);

/// Where a piece of work stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done to which file.
    pub step: Step,
    /// Name of the store that bytes go to, or come from; empty when only hashing.
    pub store: String,
    /// The file.
    pub file: ObjectKey,
    /// Bytes done in this step, over all files, for this store.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Requests to this store that were made again.
    pub repeats: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading local files for the manifest.
    Hash,
    /// Copying to a store.
    Copy,
    /// Reading from a store to local files.
    Fetch,
}

impl Step {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Copy => "copy",
            Self::Fetch => "fetch",
        }
    }
}

/// Adds up bytes over files.
pub(crate) struct Meter<'a> {
    pub(crate) step: Step,
    pub(crate) store: Option<&'a dyn Store>,
    pub(crate) total_bytes: u64,
    pub(crate) done_bytes: u64,
    pub(crate) on_progress: OnProgress<'a>,
}

impl Meter<'_> {
    pub(crate) fn add(&mut self, file: &ObjectKey, bytes: u64) {
        self.done_bytes += bytes;
        (self.on_progress)(&Progress {
            step: self.step,
            store: self
                .store
                .map_or_else(String::new, |store| store.name().to_owned()),
            repeats: self.store.map_or(0, Store::repeats),
            file: file.clone(),
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
        });
    }
}
