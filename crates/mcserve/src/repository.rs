//! Finds models on disk.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{engine::Engine, onnx::LoadModel, version::VersionKey};

/// Every model that is served: model name, then version in its order.
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
    #[error(
        "{path:?} holds {}: a version has exactly one .onnx file, so push it with the one that \
         is meant", names.join(" and ")
    )]
    Several {
        /// The version's directory.
        path: PathBuf,
        /// Their names, quoted.
        names: Vec<String>,
    },
    /// A model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadModel),
}

/// A version that was found on disk and not loaded yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Model name.
    pub model: String,
    /// Version name.
    pub version: String,
    /// Its file.
    pub file: PathBuf,
}

impl Found {
    /// Loads it and runs it once. Blocks.
    ///
    /// # Errors
    /// It cannot be served.
    pub fn load(&self) -> Result<Engine, LoadModel> {
        Engine::load(&self.file, &self.model, &self.version)
    }
}

/// Every version under a models directory. Names that start with a dot are passed over, as
/// are files beside the directories and versions without an ONNX file.
///
/// # Errors
/// The directory cannot be read, a version has several models, or there is none at all.
pub fn find(dir: &Path) -> Result<Vec<Found>, OpenRepository> {
    let mut found = vec![];
    for (model, model_dir) in directories(dir)? {
        for (version, version_dir) in directories(&model_dir)? {
            if let Some(file) = only_onnx(&version_dir)? {
                let model = model.clone();
                found.push(Found {
                    model,
                    version,
                    file,
                });
            }
        }
    }
    if found.is_empty() {
        return Err(OpenRepository::Empty { path: dir.into() });
    }
    Ok(found)
}

/// The model of one version's directory, if it holds one.
///
/// # Errors
/// The directory cannot be read, or holds several.
pub fn find_one(dir: &Path) -> Result<Option<Found>, OpenRepository> {
    let name = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name);
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let real = dir.canonicalize().unwrap_or_else(|_| dir.into());
    Ok(only_onnx(dir)?.map(|file| Found {
        model: name(real.parent()),
        version: name(Some(&real)),
        file,
    }))
}

impl Repository {
    /// Loads every `<model>/<version>/*.onnx` under `dir`, and runs each once. Blocks.
    ///
    /// # Errors
    /// The directory cannot be read, holds no model, or one of them does not load.
    pub fn open(dir: &Path) -> Result<Self, OpenRepository> {
        let mut repository = Self::default();
        for found in find(dir)? {
            let engine = found.load()?;
            repository
                .models
                .entry(found.model)
                .or_default()
                .insert(VersionKey::new(&found.version), Arc::new(engine));
        }
        Ok(repository)
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
            .map(|key| key.name().to_owned())
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

/// The one model of a version: beside its other files, or in `onnx/` as the Hugging Face Hub
/// has it. Hidden files are none, nor is what macOS leaves beside each file (`._model.onnx`).
fn only_onnx(dir: &Path) -> Result<Option<PathBuf>, OpenRepository> {
    let inner = dir.join("onnx");
    for place in [dir, &inner] {
        if !place.is_dir() {
            continue;
        }
        let is_model = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| !name.starts_with('.'))
                && path.extension().is_some_and(|end| end == "onnx")
                && path.is_file()
        };
        let mut files: Vec<PathBuf> = entries(place)?.into_iter().filter(is_model).collect();
        match files.len() {
            0 => {}
            1 => return Ok(files.pop()),
            _ => {
                return Err(OpenRepository::Several {
                    path: place.into(),
                    names: files.iter().map(|path| quoted_name(path)).collect(),
                });
            }
        }
    }
    Ok(None)
}

fn quoted_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{name:?}")
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
    fn an_empty_directory_says_what_was_expected() {
        let dir = tempfile::tempdir().unwrap();
        let error = Repository::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("<model>/<version>/<name>.onnx"), "{error}");
    }

    fn version_with(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join("m/v1").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn two_models_in_one_version_are_refused_by_name() {
        for files in [["a.onnx", "b.onnx"], ["onnx/a.onnx", "onnx/b.onnx"]] {
            let dir = version_with(&files);
            let error = find(dir.path()).unwrap_err().to_string();
            assert!(error.contains(r#"holds "a.onnx" and "b.onnx""#), "{error}");
        }
    }

    #[test]
    fn what_macos_and_the_hub_leave_beside_a_model_is_passed_over() {
        let table: [(&[&str], &str); 3] = [
            (&["model.onnx", "._model.onnx", ".DS_Store"], "model.onnx"),
            (
                &["onnx/model.onnx", "config.json", "._x.onnx"],
                "onnx/model.onnx",
            ),
            (&["model.onnx", "onnx/model.onnx"], "model.onnx"),
        ];
        for (files, expected) in table {
            let dir = version_with(files);
            let found = find(dir.path()).unwrap();
            assert_eq!(found.len(), 1, "{files:?}");
            assert_eq!(found[0].file, dir.path().join("m/v1").join(expected));
        }
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
