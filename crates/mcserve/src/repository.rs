//! Finds models on disk.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::engine::{Engine, LoadModel};

/// Every model that is served: model name, then version. Versions sort by number where
/// they hold one, so that `v10` comes after `v9`.
#[derive(Debug, Default)]
pub struct Repository {
    models: BTreeMap<String, BTreeMap<VersionKey, Arc<Engine>>>,
}

/// Why the models directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenRepository {
    /// The directory or something in it cannot be read.
    #[error("cannot read {path:?}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is nothing to serve.
    #[error("no model in {path:?}: expected <model>/<version>/<name>.onnx")]
    Empty {
        /// The models directory.
        path: PathBuf,
    },
    /// A version holds several models.
    #[error("{path:?} holds {count} .onnx files: a version has exactly one")]
    Several {
        /// The version's directory.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadModel),
}

impl Repository {
    /// Loads every `<model>/<version>/*.onnx` under `dir`, and runs each once. Blocks.
    ///
    /// Names that start with a dot are passed over, as are files beside the directories
    /// and versions without an ONNX file.
    ///
    /// # Errors
    /// The directory cannot be read, holds no model, or one of them does not load.
    pub fn open(dir: &Path) -> Result<Self, OpenRepository> {
        let mut found = Self::default();
        for (model, model_dir) in directories(dir)? {
            for (version, version_dir) in directories(&model_dir)? {
                let Some(file) = only_onnx(&version_dir)? else {
                    continue;
                };
                let engine = Engine::load(&file, &model, &version)?;
                found
                    .models
                    .entry(model.clone())
                    .or_default()
                    .insert(VersionKey::new(&version), Arc::new(engine));
            }
        }
        if found.models.is_empty() {
            return Err(OpenRepository::Empty { path: dir.into() });
        }
        Ok(found)
    }

    /// The engine of a version; without one, of the newest.
    ///
    /// # Errors
    /// What is not there.
    pub fn find(&self, model: &str, version: Option<&str>) -> Result<&Arc<Engine>, NotServed> {
        let versions = self.models.get(model).ok_or_else(|| NotServed::Model {
            model: model.to_owned(),
            served: self.models.keys().cloned().collect(),
        })?;
        let engine = match version {
            Some(version) => versions.get(&VersionKey::new(version)),
            None => versions.values().next_back(),
        };
        engine.ok_or_else(|| NotServed::Version {
            model: model.to_owned(),
            version: version.unwrap_or_default().to_owned(),
            served: self.versions(model),
        })
    }

    /// Versions of a model, oldest first; empty when it is not served.
    pub fn versions(&self, model: &str) -> Vec<String> {
        let keys = self.models.get(model).map(BTreeMap::keys);
        keys.into_iter()
            .flatten()
            .map(|key| key.name.clone())
            .collect()
    }

    /// Every engine.
    pub fn engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.models.values().flat_map(BTreeMap::values)
    }
}

/// A model or version that this server does not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// No such model.
    #[error("no model {model:?}; served here: {}", served.join(", "))]
    Model {
        /// As asked.
        model: String,
        /// What there is.
        served: Vec<String>,
    },
    /// The model has no such version.
    #[error("model {model:?} has no version {version:?}; served here: {}", served.join(", "))]
    Version {
        /// As asked.
        model: String,
        /// As asked.
        version: String,
        /// What there is.
        served: Vec<String>,
    },
}

/// A version name in its order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct VersionKey {
    numbers: Vec<u64>,
    name: String,
}

impl VersionKey {
    fn new(name: &str) -> Self {
        let numbers = name
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        Self {
            numbers,
            name: name.to_owned(),
        }
    }
}

/// Directories in `dir` by name, symlinks followed (Kubernetes volumes use them).
fn directories(dir: &Path) -> Result<Vec<(String, PathBuf)>, OpenRepository> {
    let mut found = vec![];
    for entry in entries(dir)? {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !name.starts_with('.') && entry.is_dir() {
            found.push((name.to_owned(), entry));
        }
    }
    Ok(found)
}

fn only_onnx(dir: &Path) -> Result<Option<PathBuf>, OpenRepository> {
    let mut files: Vec<PathBuf> = entries(dir)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "onnx") && path.is_file())
        .collect();
    match files.len() {
        0 | 1 => Ok(files.pop()),
        count => Err(OpenRepository::Several {
            path: dir.into(),
            count,
        }),
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, OpenRepository> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|source| OpenRepository::Read {
        path: dir.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_number() {
        let mut names = ["v10", "v9", "v1.2", "v1.10"].map(VersionKey::new);
        names.sort();
        assert_eq!(
            names.map(|key| key.name),
            ["v1.2", "v1.10", "v9", "v10"].map(str::to_owned)
        );
    }

    #[test]
    fn an_empty_directory_says_what_was_expected() {
        let dir = tempfile::tempdir().unwrap();
        let error = Repository::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("<model>/<version>/<name>.onnx"), "{error}");
    }

    #[test]
    fn two_models_in_one_version_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("m/v1");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("a.onnx"), "").unwrap();
        fs::write(version.join("b.onnx"), "").unwrap();
        let error = Repository::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("holds 2 .onnx files"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_model_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("m/v1");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("a.onnx"), "not a model").unwrap();
        let error = Repository::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("m/v1/a.onnx"), "{error}");
    }
}
