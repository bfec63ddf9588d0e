//! Places that models are published in by others, and that are only read: the Hugging Face
//! Hub, OCI artifacts, and an MLflow registry.
//!
//! **Invariant:** what was opened stays the same version: a branch, a tag or an alias that
//! moves meanwhile does not mix two of them.

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mcdeploy_api::Sha256Digest;
use tokio_util::sync::CancellationToken;

use crate::{Credentials, ImageName, RegistryCause, RegistryError, request::Call};

mod download;
mod http;
mod hugging_face;
mod mlflow;
mod oci_artifact;
mod plan;

pub use download::{DownloadError, Downloaded, download};
pub use plan::PlanError;

/// One file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative path, as the source has it: not checked yet.
    pub path: String,
    /// Length in bytes, where the source says it: one that does not is no empty file.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the bytes, where the source knows it.
    pub sha256: Option<Sha256Digest>,
}

/// Bytes of a file, in order.
pub type Body = BoxStream<'static, Result<Bytes, RegistryCause>>;

/// A file that is being read.
pub struct Reading {
    /// Where in the file the bytes begin.
    pub begin: u64,
    /// Length of the whole file, where the answer says it.
    pub whole_bytes: Option<u64>,
    /// The bytes, to the end of the file.
    pub body: Body,
}

/// A published model, opened at one version of it.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// The address with the version that was found, such as `hf://org/name@commit`.
    fn pinned(&self) -> String;

    /// Every file.
    fn files(&self) -> &[SourceFile];

    /// A file's bytes from `offset` on, or from the beginning where the source cannot do
    /// better; says which.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn read(
        &self,
        file: &SourceFile,
        offset: u64,
        cancel: &CancellationToken,
    ) -> Result<Reading, RegistryError>;
}

/// Where a model is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAddress {
    /// `hf://ORG/NAME[@REVISION]`; a revision is a branch, tag or commit.
    HuggingFace {
        /// `org/name`.
        repository: String,
        /// `main` where none was written.
        revision: String,
    },
    /// `oci://REGISTRY/NAME:TAG` or `…@sha256:…`.
    Oci(ImageName),
    /// `models:/NAME/VERSION` or `models:/NAME@ALIAS`, as MLflow itself writes it.
    Mlflow {
        /// Registered model.
        model: String,
        /// Version or alias.
        version: MlflowVersion,
    },
}

/// A version of a registered model of MLflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MlflowVersion {
    /// `1`, `2`, …
    Number(u64),
    /// Such as `champion`.
    Alias(String),
}

/// Text that names no source.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is no source: {why}; expected hf://ORG/NAME[@REVISION], oci://REGISTRY/NAME:TAG, models:/NAME/VERSION or models:/NAME@ALIAS"
)]
pub struct SourceAddressError {
    text: String,
    why: String,
}

/// What comes from the environment, under the names that the sources' own tools use.
#[derive(Clone, Default)]
pub struct SourceSettings {
    /// `HF_ENDPOINT`; `https://huggingface.co` where none.
    pub hf_endpoint: Option<String>,
    /// `HF_TOKEN`.
    pub hf_token: Option<String>,
    /// `MLFLOW_TRACKING_URI`.
    pub mlflow_tracking_uri: Option<String>,
    /// `MLFLOW_TRACKING_TOKEN`.
    pub mlflow_token: Option<String>,
    /// `MLFLOW_TRACKING_USERNAME`, which comes before the token, as in MLflow.
    pub mlflow_username: Option<String>,
    /// `MLFLOW_TRACKING_PASSWORD`.
    pub mlflow_password: Option<String>,
    /// Credentials of an OCI registry.
    pub registry_credentials: Credentials,
    /// Whether to speak HTTP to an OCI registry; to one on this machine it is spoken anyway.
    pub registry_plain_http: bool,
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("hf_endpoint", &self.hf_endpoint)
            .field("mlflow_tracking_uri", &self.mlflow_tracking_uri)
            .finish_non_exhaustive()
    }
}

/// Opens a source: looks up which version is meant and which files it has.
///
/// # Errors
/// `NotFound` when there is no such model or version; `Permanent` when something is missing
/// from `settings`, access is denied, or it has no files.
pub async fn open_source(
    address: &SourceAddress,
    settings: &SourceSettings,
    cancel: &CancellationToken,
) -> Result<Arc<dyn Source>, RegistryError> {
    let source: Arc<dyn Source> = match address {
        SourceAddress::HuggingFace {
            repository,
            revision,
        } => Arc::new(hugging_face::open(repository, revision, settings, cancel).await?),
        SourceAddress::Oci(image) => Arc::new(oci_artifact::open(image, settings, cancel).await?),
        SourceAddress::Mlflow { model, version } => {
            Arc::new(mlflow::open(model, version, settings, cancel).await?)
        }
    };
    if source.files().is_empty() {
        let detail = "there is no file in it".to_owned();
        let cause = RegistryCause::Refused { detail };
        return Err(Call::new("list the files", "").error(source.pinned(), cause));
    }
    Ok(source)
}

impl FromStr for SourceAddress {
    type Err = SourceAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why: &str| SourceAddressError {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        if let Some(rest) = text.strip_prefix("hf://") {
            return hugging_face_address(rest).map_err(error);
        }
        if let Some(rest) = text.strip_prefix("oci://") {
            let image = rest.parse::<ImageName>();
            return image.map(Self::Oci).map_err(|why| error(&why.to_string()));
        }
        if let Some(rest) = text.strip_prefix("models:/") {
            return mlflow_address(rest).map_err(error);
        }
        Err(error("its scheme is not known"))
    }
}

fn hugging_face_address(rest: &str) -> Result<SourceAddress, &'static str> {
    let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if repository.split('/').count() != 2 || !repository.split('/').all(is_name) {
        return Err("a model of the Hub is written ORG/NAME");
    }
    if revision.is_empty() {
        return Err("the revision is empty");
    }
    Ok(SourceAddress::HuggingFace {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
    })
}

fn mlflow_address(rest: &str) -> Result<SourceAddress, &'static str> {
    let named = |model: &str, version| {
        if model.is_empty() || model.contains('/') {
            return Err("the model's name is empty or has a slash");
        }
        Ok(SourceAddress::Mlflow {
            model: model.to_owned(),
            version,
        })
    };
    if let Some((model, alias)) = rest.split_once('@') {
        return named(model, MlflowVersion::Alias(alias.to_owned()));
    }
    let (model, version) = rest.rsplit_once('/').ok_or("it has no version")?;
    let number = version.parse().map_err(|_| "its version is no number")?;
    named(model, MlflowVersion::Number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_sources_own_tools() {
        let parse = |text: &str| text.parse::<SourceAddress>().unwrap();
        assert_eq!(
            parse("hf://org/name"),
            SourceAddress::HuggingFace {
                repository: "org/name".into(),
                revision: "main".into()
            }
        );
        assert_eq!(
            parse("models:/digits/3"),
            SourceAddress::Mlflow {
                model: "digits".into(),
                version: MlflowVersion::Number(3)
            }
        );
        assert_eq!(
            parse("models:/digits@champion"),
            SourceAddress::Mlflow {
                model: "digits".into(),
                version: MlflowVersion::Alias("champion".into())
            }
        );
        assert!(matches!(parse("oci://r.test/m:v1"), SourceAddress::Oci(_)));
    }

    #[test]
    fn what_names_no_source_is_refused_with_the_forms_that_do() {
        for wrong in [
            "",
            "hf://name",
            "hf://../name",
            "hf://a/b/c",
            "hf://a/b@",
            "models:/m",
            "models:/m/latest",
            "models://1",
            "oci://UPPER case",
            "ftp://x",
        ] {
            let error = wrong.parse::<SourceAddress>().unwrap_err().to_string();
            assert!(error.contains("expected hf://"), "{wrong}: {error}");
        }
    }
}
