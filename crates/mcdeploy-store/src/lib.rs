//! Object stores of three clouds and a local directory behind one trait, and the
//! transfer of model versions.
//!
//! | room | role |
//! |---|---|
//! | [`Store`], [`Upload`] | the one trait, and the types that pass through it |
//! | `s3`, `azure_blob`, `gcs`, `directory` | the four backends |
//! | `request` | deadline, retries with jitter, cancel, redaction: one way for all |
//! | `checksums`, `compare` | CRC-64/NVME and CRC-32C, and proof of equality by them |
//! | `key`, `manifest` | names that mean the same everywhere; what a version consists of |
//! | `catalog` | what a store holds, seen as versions |
//! | `engine` | one pass over a source into several targets: pool, rounds, resume |
//! | `limiter` | how many requests an endpoint gets at once |
//! | `receipt` | what was proved once, so that a listing proves it again |
//! | `create`, `publish` | one small object; a version: claim, files, manifest |
//! | `cache` | the versions of one node, shared by its pods |
//! | `push`, `transfer`, `fetch`, `verify`, `cp`, `check` | what callers ask for |
//! | `scrub`, `repair`, `sweep` | find rot, replace it, free what was left behind |
//! | `lease`, `survey`, `remove` | who is at work on a version, what could go, and how it goes |
//!
//! **Invariants:** no object is ever overwritten; a version is visible whole or not at
//! all; memory is bounded by a few parts whatever the size of an object; no secret and no
//! query string of a URL is in any error, log line or `Debug`.
//!
//! What a comparison of metadata proves is what the store *accepted*. Only reading, as
//! [`fetch_version`] does, proves what is there.

mod azure_blob;
mod cache;
mod catalog;
mod check;
mod checksums;
mod compare;
mod cp;
mod create;
mod directory;
mod engine;
mod error;
mod fetch;
mod gcs;
mod key;
mod lease;
mod limiter;
mod local;
mod manifest;
mod named;
mod open;
mod progress;
mod publish;
mod push;
mod receipt;
mod remove;
mod repair;
mod request;
mod s3;
mod scrub;
mod single;
mod store;
mod survey;
mod sweep;
mod transfer;
mod verify;

pub use cache::{CachedVersion, NodeCache, Through, fetch_through};
pub use catalog::{StoredState, StoredVersion, await_manifest, find_manifest, list_versions};
pub use check::{check_reader, check_store};
pub use checksums::{Checksums, Crc32c, Crc64Nvme, Hasher, StoredChecksums};
pub use cp::{CopiedObject, CopyError, CopyOutcome, CopyRequest, copy_objects};
pub use directory::{open_directory, open_directory_below};
pub use engine::{TargetOutcome, TransferOptions};
pub use error::{Cause, StoreError};
pub use fetch::{FetchError, Fetched, fetch_version, read_version};
pub use key::{KeyError, ObjectKey, VersionName};
pub use lease::HeldLease;
pub use local::left_out;
pub use manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError, ManifestFile};
pub use open::open;
pub use progress::{OnProgress, Progress, Speed, Speedometer, Step};
pub use publish::{ForeignObject, PublishError};
pub use push::{PushError, Pushed, manifest_of, push_version};
pub use remove::{Removal, RemoveRequest, Spared, remove_version};
pub use repair::{RepairError, Repaired, quarantine_key, repair_replica};
pub use scrub::{Finding, Rot, ScrubReport, scrub_replica};
pub use store::{
    HeldPart, Leftover, ListedObject, Mark, ObjectInfo, Receipts, Resume, Store, Upload, part_bytes,
};
pub use survey::{SurveyedVersion, survey_versions};
pub use sweep::{Swept, sweep};
pub use transfer::{
    Replicated, Replication, TransferError, Transferred, copy_version, replicate_version,
    transfer_version,
};
pub use verify::{ReplicaReport, verify_replica, verify_replica_fully};

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers spawn these on a runtime with several threads.
    #[expect(dead_code, reason = "compiling it is the test")]
    fn futures_of_the_api_are_send(
        store: &dyn Store,
        fetch: &mcdeploy_api::FetchPlan,
        transfer: &mcdeploy_api::TransferPlan,
        cancel: &tokio_util::sync::CancellationToken,
    ) {
        fn is_send(_: impl Send) {}
        let (path, digest) = (std::path::Path::new("."), &fetch.manifest_digest);
        is_send(check_store(store, cancel));
        is_send(verify_replica(store, "m", "v", digest, cancel));
        is_send(push_version(store, path, "m", "v", &|_| {}, cancel));
        is_send(fetch_version(fetch, path, &|_| {}, cancel));
        let cache = NodeCache::new(path, 0);
        is_send(fetch_through(&cache, fetch, path, path, &|_| {}, cancel));
        let options = TransferOptions::default();
        is_send(transfer_version(transfer, &options, &|_| {}, cancel));
    }
}
