//! A dataset that is a version in a store: read whole, every byte checked, into a directory
//! that is gone when the evaluation ends.

use std::path::{Path, PathBuf};

use mcdeploy_api::Sha256Digest;
use mcdeploy_evaluate::DatasetArtifact;
use mcdeploy_store::{FetchError, read_version};
use tokio_util::sync::CancellationToken;

use crate::{
    args::EvaluateArgs,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    names::{ModelName, VersionName},
    store_ref::StoreRef,
    stores::Stores,
};

/// What was read.
pub(super) struct Directory {
    /// Removed when it is dropped.
    _root: tempfile::TempDir,
    path: PathBuf,
    artifact: String,
}

impl Directory {
    /// Where a file of the artifact is.
    pub(super) fn join(&self, file: &Path) -> PathBuf {
        self.path.join(file)
    }

    /// What people call it: the path is another one every time.
    pub(super) fn name(&self, file: &Path) -> String {
        format!("{}/{}", self.artifact, file.display())
    }
}

/// Reads the artifact that the template `place` names.
pub(super) async fn fetched(
    artifact: &DatasetArtifact,
    place: &str,
    args: &EvaluateArgs,
    environment: &Environment,
    cancel: &CancellationToken,
) -> Result<Directory, Failure> {
    let wrong = |field: &str, why: String| {
        let text = format!("{place}: `dataset.artifact.{field}`: {why}");
        Failure::new(ExitStatus::Usage, text)
    };
    let DatasetArtifact {
        name,
        version,
        digest,
        store,
    } = artifact;
    let model: ModelName = name.parse().map_err(|why| wrong("name", why))?;
    let version: VersionName = version.parse().map_err(|why| wrong("version", why))?;
    let digest: Sha256Digest = digest
        .parse()
        .map_err(|why: mcdeploy_api::ParseDigestError| wrong("digest", why.to_string()))?;
    let store: StoreRef = store.parse().map_err(|why| wrong("store", why))?;
    let (stores, named) = Stores::find(&[store], &args.hub, None, environment).await?;
    let opened = stores.open_all(&named).await?;
    let Some((shown, store)) = opened.first() else {
        return Err(wrong("store", "names no store".to_owned()));
    };
    let unread = |why: String| {
        let text = format!("cannot read the dataset {artifact} of {shown}: {why}");
        Failure::new(ExitStatus::Failed, text)
    };
    let root = tempfile::tempdir().map_err(|error| unread(error.to_string()))?;
    let fetched = read_version(
        store.as_ref(),
        model.as_str(),
        version.as_str(),
        &digest,
        root.path(),
        &|_| {},
        cancel,
    );
    let fetched = fetched.await.map_err(|error| match error {
        FetchError::Missing { .. } => {
            let text = format!("the dataset {artifact} with {digest} is not in {shown}; see `mcdeploy artifacts ls`");
            Failure::new(ExitStatus::NotFound, text)
        }
        other => unread(chain(&other)),
    })?;
    Ok(Directory {
        _root: root,
        path: fetched.directory,
        artifact: artifact.to_string(),
    })
}
