//! Deleting exactly what was looked at.
//!
//! A version is named by its id, which no other bytes ever have. Without versioning the
//! object is named by its `ETag`, and the service compares it (`If-Match`) as it deletes.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>
//! (2026-11-30).
//!
//! What remains: a server that does not know the condition and ignores it, or says so, deletes
//! what it has then: an object that was written between our look at it and its deletion, a
//! round trip later, is lost. An `ETag` may also be that of equal bytes written again.

use aws_sdk_s3::error::ProvideErrorMetadata as _;

use super::S3;
use crate::{Cause, ObjectKey};

/// What must be so that a deletion is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// This version, and no other.
    Version(String),
    /// While the current object has this `ETag`.
    Match(String),
    /// As it is: it was looked at just before.
    Unconditionally,
}

/// What came of one deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Gone,
    /// Not in this way: by this server, or with these rights.
    Refused,
}

/// The ways to delete an object that was looked at just now, the surest first: each is gone
/// on from only when the server refuses it.
pub(super) fn conditions(version: Option<&str>, pin: &str) -> Vec<Only> {
    // Without versioning every write has the same one.
    let version = version.filter(|id| !id.is_empty() && *id != "null");
    let version = version.map(|id| Only::Version(id.to_owned()));
    let rest = [Only::Match(format!("\"{pin}\"")), Only::Unconditionally];
    version.into_iter().chain(rest).collect()
}

pub(super) async fn send(store: &S3, key: &ObjectKey, only: &Only) -> Result<Answer, Cause> {
    let delete = store.client.delete_object();
    let delete = delete.bucket(&store.bucket).key(key.as_str());
    let delete = match only {
        Only::Version(id) => delete.version_id(id),
        Only::Match(tag) => delete.if_match(tag),
        Only::Unconditionally => delete,
    };
    let Err(error) = delete.send().await else {
        return Ok(Answer::Gone);
    };
    let is_unknown = matches!(error.code(), Some("NotImplemented"));
    match (store.cause(&error), only) {
        (Cause::NotFound, _) => Ok(Answer::Gone),
        (Cause::AlreadyExists, _) => Err(Cause::Changed),
        // To delete a version takes a right of its own; the next way leaves a marker.
        (Cause::Denied { .. }, Only::Version(_)) => Ok(Answer::Refused),
        (_, Only::Match(_)) if is_unknown => Ok(Answer::Refused),
        (other, _) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_its_id_and_anything_else_by_its_bytes() {
        let by_tag = [Only::Match("\"e\"".to_owned()), Only::Unconditionally];
        for unversioned in [None, Some(""), Some("null")] {
            assert_eq!(conditions(unversioned, "e"), by_tag);
        }
        let versioned = conditions(Some("v7"), "e");
        assert_eq!(versioned[0], Only::Version("v7".to_owned()));
        assert_eq!(versioned[1..], by_tag);
    }
}
