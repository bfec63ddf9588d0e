//! What is in a target before a version comes: ours, equal, or somebody else's.
//!
//! **Invariant:** what we did not write is never deleted. Objects have no name of their
//! writer on them, and a claim says only that somebody began: another tool may have written
//! before it, or after. So an object that is not what the version needs is foreign, whoever
//! holds the claim. Nothing of ours is lost by that: an object becomes visible only with
//! the right bytes.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::ErrorClass;
use tokio_util::sync::CancellationToken;

use super::Job;
use crate::{
    ListedObject, ManifestFile, ObjectKey, PublishError, Store,
    compare::{self, Comparison},
    manifest::is_reserved,
    publish::{Claimed, ForeignObject},
    receipt::Receipt,
};

/// Objects that are compared at once.
const AT_ONCE: usize = 8;

/// Where an object is, below the prefix of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// A manifest or a claim: those are looked at by themselves.
    Note,
    /// An empty object that stands for a directory, as consoles and file systems make it.
    Marker,
    /// That of a file of the version.
    File(&'a ManifestFile),
    /// Of no file of the version.
    Elsewhere,
}

/// What is known of an object's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    Equal,
    Differ,
    /// They were not compared.
    Unknown,
}

/// What an object is to whoever brings the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It does not matter.
    Nothing,
    /// It is to be compared when its file comes to its turn.
    Unclear,
    /// What an earlier run with the same claim made, as far as anybody can tell.
    Ours,
    /// It was there before anybody claimed the version, and has the right bytes.
    Adopted,
    /// It is in the way.
    Foreign,
}

fn place<'a>(files: &'a [ManifestFile], path: &str, size_bytes: u64) -> Place<'a> {
    if size_bytes == 0 && (path.is_empty() || path.ends_with('/')) {
        return Place::Marker;
    }
    match ManifestFile::at(files, path) {
        Some(file) => Place::File(file),
        None if ObjectKey::new(path).is_ok_and(|path| is_reserved(&path)) => Place::Note,
        None if size_bytes == 0 && is_directory(files, path) => Place::Marker,
        None => Place::Elsewhere,
    }
}

/// Azure lists the directories of a hierarchical namespace as empty objects.
fn is_directory(files: &[ManifestFile], path: &str) -> bool {
    let inside = |file: &ManifestFile| {
        let rest = file.path.as_str().strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    files.iter().any(inside)
}

fn meaning(place: Place<'_>, bytes: Bytes, claimed: Claimed) -> Meaning {
    match (place, bytes) {
        (Place::Note | Place::Marker, _) => Meaning::Nothing,
        (Place::Elsewhere, _) | (Place::File(_), Bytes::Differ) => Meaning::Foreign,
        (Place::File(_), Bytes::Unknown) => Meaning::Unclear,
        (Place::File(_), Bytes::Equal) => match claimed {
            Claimed::New => Meaning::Adopted,
            Claimed::Before | Claimed::Finished => Meaning::Ours,
        },
    }
}

/// Looks at what is there before the first byte is sent. What somebody else wrote is an
/// error; equal objects are noted, with their pins. With a claim from before, objects of
/// the right length are left to their turn: they are many, and most likely ours.
///
/// # Errors
/// [`PublishError::Foreign`], or the store's.
pub(super) async fn look(
    job: &Job<'_>,
    store: &dyn Store,
    listed: &[ListedObject],
    claimed: Claimed,
    cancel: &CancellationToken,
) -> Result<Receipt, PublishError> {
    let prefix = job.name.prefix();
    let files = &job.manifest.files;
    let mut looks = vec![];
    for object in listed {
        let path = object.key.strip_prefix(&prefix).unwrap_or(&object.key);
        let place = place(files, path, object.size_bytes);
        looks.push(async move {
            let bytes = compare(store, place, object, claimed, cancel).await?;
            Ok::<_, PublishError>((object, place, meaning(place, bytes, claimed)))
        });
    }
    let looked = stream::iter(looks).buffered(AT_ONCE);
    let looked: Vec<_> = looked.try_collect().await?;
    let mut adopted = Receipt::new(job.manifest.digest());
    let mut foreign = vec![];
    for (object, place, meaning) in looked {
        match (meaning, place) {
            (Meaning::Foreign, _) => foreign.push(ForeignObject::of(object)),
            (Meaning::Adopted, Place::File(file)) => adopted.note(&file.path, object.pin.clone()),
            (Meaning::Adopted | Meaning::Nothing | Meaning::Unclear | Meaning::Ours, _) => {}
        }
    }
    if foreign.is_empty() {
        Ok(adopted)
    } else {
        Err(PublishError::foreign(job.name, store, foreign))
    }
}

async fn compare(
    store: &dyn Store,
    place: Place<'_>,
    listed: &ListedObject,
    claimed: Claimed,
    cancel: &CancellationToken,
) -> Result<Bytes, PublishError> {
    let Place::File(file) = place else {
        return Ok(Bytes::Unknown);
    };
    if listed.size_bytes != file.size_bytes {
        return Ok(Bytes::Differ);
    }
    if claimed != Claimed::New {
        return Ok(Bytes::Unknown);
    }
    match compare::compare(store, &listed.object()?, &file.checksums(), cancel).await {
        Ok(Comparison::Equal { .. }) => Ok(Bytes::Equal),
        Ok(Comparison::Differs { .. }) => Ok(Bytes::Differ),
        // It went, or was written again, since it was listed.
        Err(error)
            if matches!(
                error.class(),
                ErrorClass::NotFound | ErrorClass::Precondition
            ) =>
        {
            Ok(Bytes::Unknown)
        }
        Err(error) => Err(error.into()),
    }
}

/// One that appeared since the listing, or was left to its turn.
pub(super) async fn foreign(
    job: &Job<'_>,
    store: &dyn Store,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> PublishError {
    let listed = store.list(key.as_str(), cancel).await.unwrap_or_default();
    let found = listed.iter().find(|object| object.key == key.as_str());
    let object = found.map_or_else(|| ForeignObject::unseen(key), ForeignObject::of);
    PublishError::foreign(job.name, store, vec![object])
}

#[cfg(test)]
mod tests {
    use mcdeploy_api::Sha256Digest;

    use super::*;
    use crate::Checksums;

    fn file(path: &str) -> ManifestFile {
        let sums = Checksums::of(b"weights");
        ManifestFile {
            path: ObjectKey::new(path).unwrap(),
            size_bytes: sums.size_bytes,
            sha256: Sha256Digest::of(b"weights"),
            crc64nvme: sums.crc64nvme,
            crc32c: sums.crc32c,
        }
    }

    #[test]
    fn what_an_object_means_follows_from_its_place_its_bytes_and_the_claim() {
        let file = file("model.bin");
        let of_file = Place::File(&file);
        let (new, before) = (Claimed::New, Claimed::Before);
        for (place, bytes, claimed, expected) in [
            (of_file, Bytes::Equal, new, Meaning::Adopted),
            (of_file, Bytes::Equal, before, Meaning::Ours),
            (of_file, Bytes::Differ, new, Meaning::Foreign),
            (of_file, Bytes::Differ, before, Meaning::Foreign),
            (of_file, Bytes::Unknown, before, Meaning::Unclear),
            (Place::Elsewhere, Bytes::Unknown, new, Meaning::Foreign),
            (Place::Elsewhere, Bytes::Unknown, before, Meaning::Foreign),
            (Place::Note, Bytes::Unknown, new, Meaning::Nothing),
            (Place::Marker, Bytes::Unknown, new, Meaning::Nothing),
        ] {
            let actual = meaning(place, bytes, claimed);
            assert_eq!(actual, expected, "{place:?} {bytes:?} {claimed:?}");
        }
    }

    #[test]
    fn places_are_files_notes_markers_of_directories_or_elsewhere() {
        let files = [file("a/model.bin"), file("labels")];
        for (path, size_bytes, expected) in [
            ("labels", 7, Place::File(&files[1])),
            ("labels", 0, Place::File(&files[1])),
            ("mcdeploy-push.json", 9, Place::Note),
            ("mcdeploy-manifest.json", 9, Place::Note),
            ("", 0, Place::Marker),
            ("a/", 0, Place::Marker),
            ("a", 0, Place::Marker),
            ("a", 1, Place::Elsewhere),
            ("a/model", 0, Place::Elsewhere),
            ("b/", 1, Place::Elsewhere),
            ("a\\b", 1, Place::Elsewhere),
        ] {
            assert_eq!(place(&files, path, size_bytes), expected, "{path:?}");
        }
    }
}
