//! Which files of a source go where, decided before a byte is read. Pure.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::SourceFile;

/// What a file is called until it is whole.
pub(super) const PARTIAL: &str = ".mcdeploy-part";

/// Why the files of a source cannot be a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A name that would leave the directory, or mean another file elsewhere.
    #[error("the file name {path:?} is not safe; nothing was read")]
    Unsafe {
        /// The name.
        path: String,
    },
    /// Two files of one name with other bytes: one would be lost.
    #[error(
        "two files are called {path:?}, and only one of them could be kept; nothing was read: publish it with a name for each"
    )]
    Twice {
        /// The name.
        path: String,
    },
    /// A name that is a file's and a directory's.
    #[error("{path:?} is a file, and the directory of {below:?}; nothing was read")]
    FileAndDirectory {
        /// The name.
        path: String,
        /// A file in the directory.
        below: String,
    },
}

/// Each file with its path within a directory. One that is there twice with the same bytes
/// is read once.
pub(super) fn plan(files: &[SourceFile]) -> Result<Vec<(PathBuf, &SourceFile)>, PlanError> {
    let mut by_path: BTreeMap<&str, (PathBuf, &SourceFile)> = BTreeMap::new();
    for file in files {
        let path = file.path.as_str();
        let safe = safe_path(path).ok_or_else(|| PlanError::Unsafe {
            path: path.to_owned(),
        })?;
        let before = by_path.insert(path, (safe, file));
        if before.is_some_and(|(_, before)| !is_same(before, file)) {
            return Err(PlanError::Twice {
                path: path.to_owned(),
            });
        }
    }
    for path in by_path.keys() {
        let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(file) = above.find(|above| by_path.contains_key(above)) {
            return Err(PlanError::FileAndDirectory {
                path: file.to_owned(),
                below: (*path).to_owned(),
            });
        }
    }
    Ok(by_path.into_values().collect())
}

/// Whether both are known to have the same bytes.
fn is_same(one: &SourceFile, other: &SourceFile) -> bool {
    one.sha256.is_some() && one.sha256 == other.sha256
}

/// The path within the directory; none where it would lead elsewhere.
fn safe_path(path: &str) -> Option<PathBuf> {
    let is_safe = !path.is_empty()
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && !path.ends_with(PARTIAL)
        && path.split('/').all(|name| !name.is_empty())
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    // `Path` drops `.` in the middle, which would make two names one.
    let is_plain = path.split('/').all(|name| name != "." && name != "..");
    (is_safe && is_plain).then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use mcdeploy_api::Sha256Digest;

    use super::*;

    fn file(path: &str, bytes: Option<&str>) -> SourceFile {
        SourceFile {
            path: path.to_owned(),
            size_bytes: bytes.map(|bytes| bytes.len() as u64),
            sha256: bytes.map(Sha256Digest::of),
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in [
            "",
            "/a",
            "../a",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            ".",
            "x.mcdeploy-part",
        ] {
            assert_eq!(safe_path(bad), None, "{bad:?}");
        }
        assert_eq!(safe_path("a b/ü.bin"), Some(PathBuf::from("a b/ü.bin")));
    }

    #[test]
    fn no_file_is_lost_to_another_of_its_name() {
        let twice = [file("m", Some("one")), file("m", Some("two"))];
        assert!(matches!(plan(&twice), Err(PlanError::Twice { .. })));
        let unknown = [file("m", None), file("m", None)];
        assert!(matches!(plan(&unknown), Err(PlanError::Twice { .. })));
        let same = [file("m", Some("one")), file("m", Some("one"))];
        assert_eq!(plan(&same).unwrap().len(), 1);
        let both = [file("a.b", None), file("a", None), file("a/b/c", None)];
        assert_eq!(
            plan(&both).unwrap_err(),
            PlanError::FileAndDirectory {
                path: "a".into(),
                below: "a/b/c".into()
            }
        );
    }
}
