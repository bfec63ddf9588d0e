//! Files that are there whole or not at all.

use std::{fs, io::Write, path::Path};

use crate::EvaluateError;

/// Writes `text` beside `path` and renames it, so that nobody ever reads half of it.
///
/// # Errors
/// [`EvaluateError::Write`]; what was at `path` before is still there.
pub fn write_whole(path: &Path, text: &str) -> Result<(), EvaluateError> {
    let wrong = |source| EvaluateError::Write {
        file: path.display().to_string(),
        source,
    };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut beside = tempfile::Builder::new()
        .prefix(".mcdeploy-")
        .permissions(readable())
        .tempfile_in(dir)
        .map_err(wrong)?;
    beside.write_all(text.as_bytes()).map_err(wrong)?;
    beside.as_file().sync_all().map_err(wrong)?;
    match beside.persist(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(error.error)),
    }
}

/// As an editor would make it, less what the umask takes.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.html");
        fs::create_dir(&path).unwrap();
        let error = write_whole(&path, "text").unwrap_err().to_string();
        assert!(error.starts_with("cannot write "), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.html");
        fs::write(&path, "something that was longer before").unwrap();
        write_whole(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
