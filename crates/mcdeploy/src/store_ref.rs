//! How a user names a store: an `ArtifactStore` of the hub, or a URL that needs no hub.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use mcdeploy_api::{
    ArtifactStoreSpec, AzureBlobLocation, Empty, GcsLocation, ObjectName, Provider, S3Checksums,
    S3Location, SecretValues, StoreAccess, StoreAuth, StoreLocation,
};
use mcdeploy_plan::transfer::Location;
use serde::Deserialize;

use crate::{environment::Environment, percent};

/// Region of a URL that names none, where prices are asked for.
const NO_REGION: &str = "unknown";
/// Region that S3's protocol needs in signatures when nobody says one.
const S3_REGION: &str = "us-east-1";

/// A store as typed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum StoreRef {
    /// Name of an `ArtifactStore`.
    Hub(String),
    /// A place of its own.
    Url(StoreUrl),
}

/// A store by URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    place: Place,
    region: Option<String>,
    endpoint: Option<String>,
    is_anonymous: bool,
    /// Whose law holds there, when it was said.
    pub(crate) jurisdiction: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    S3 { bucket: String },
    Azure { account: String, container: String },
    Gcs { bucket: String },
    Directory { path: PathBuf },
}

/// What a URL opens.
#[derive(Debug)]
pub(crate) enum Access {
    /// A store of a cloud.
    Cloud(Box<StoreAccess>),
    /// A directory of this machine.
    Directory(PathBuf),
}

impl FromStr for StoreRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return match text {
                "" => Err("a store is a name or a URL, and not empty".to_owned()),
                // No object of Kubernetes has such a name.
                name if name.contains([':', '/']) => Err(format!(
                    "{name:?} is no store: expected a name, or s3://, az://, gs:// or file://"
                )),
                name => Ok(Self::Hub(name.to_owned())),
            };
        }
        text.parse().map(Self::Url)
    }
}

impl TryFrom<String> for StoreRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why: &str| {
            // What follows the question mark is not repeated: it may hold a secret.
            let shown = text.split('?').next().unwrap_or_default();
            format!("{shown:?} {why}")
        };
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let rest = rest.trim_end_matches('/');
        let place = match scheme {
            "file" => Place::Directory {
                path: percent::decode(rest)
                    .and_then(|path| absolute(&path))
                    .ok_or_else(|| refused("is no file:///DIRECTORY"))?,
            },
            "s3" => Place::S3 {
                bucket: only(rest).ok_or_else(|| refused("is no s3://BUCKET"))?,
            },
            "gs" => Place::Gcs {
                bucket: only(rest).ok_or_else(|| refused("is no gs://BUCKET"))?,
            },
            "az" => {
                let parts = rest.split_once('/');
                let parts = parts.and_then(|(a, c)| Some((only(a)?, only(c)?)));
                let (account, container) =
                    parts.ok_or_else(|| refused("is no az://ACCOUNT/CONTAINER"))?;
                Place::Azure { account, container }
            }
            _ => {
                return Err(refused(
                    "is no store: expected s3://, az://, gs:// or file://",
                ));
            }
        };
        let mut url = Self {
            place,
            region: None,
            endpoint: None,
            is_anonymous: false,
            jurisdiction: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, typed) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent::decode(typed).unwrap_or_default();
            match key {
                "region" if !value.is_empty() => url.region = Some(value),
                "endpoint" if !value.is_empty() => url.endpoint = Some(value),
                "jurisdiction" if !value.is_empty() => url.jurisdiction = Some(value),
                "anonymous" if matches!(&*value, "" | "true") => url.is_anonymous = true,
                _ => {
                    let known = "region=, endpoint=, jurisdiction= and anonymous";
                    return Err(refused(&format!(
                        "has an option {key:?}: known are {known}"
                    )));
                }
            }
        }
        Ok(url)
    }
}

/// The text when it is one name, without a slash.
fn only(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('/')).then(|| text.to_owned())
}

fn absolute(text: &str) -> Option<PathBuf> {
    text.starts_with('/').then(|| PathBuf::from(text))
}

/// Without options, as errors and tables show it.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::S3 { bucket } => write!(f, "s3://{bucket}"),
            Place::Azure { account, container } => write!(f, "az://{account}/{container}"),
            Place::Gcs { bucket } => write!(f, "gs://{bucket}"),
            Place::Directory { path } => write!(f, "file://{}", path.display()),
        }
    }
}

impl StoreUrl {
    /// Where its bytes are, as far as the URL and the environment say.
    pub(crate) fn location(&self, environment: &Environment) -> Location {
        let of_environment = || environment.aws_region.clone();
        let (provider, region) = match &self.place {
            Place::S3 { .. } => (Provider::Aws, self.region.clone().or_else(of_environment)),
            Place::Azure { .. } => (Provider::Azure, self.region.clone()),
            Place::Gcs { .. } => (Provider::Gcp, self.region.clone()),
            Place::Directory { .. } => (Provider::Onprem, self.region.clone()),
        };
        Location {
            provider,
            region: region.unwrap_or_else(|| NO_REGION.to_owned()),
        }
    }

    /// What it takes to open it. `endpoint` holds where the URL names none.
    pub(crate) fn access(&self, environment: &Environment, endpoint: Option<&str>) -> Access {
        let endpoint = self
            .endpoint
            .clone()
            .or_else(|| endpoint.map(str::to_owned));
        let mut location = StoreLocation::default();
        let mut sas = None;
        match &self.place {
            Place::Directory { path } => return Access::Directory(path.clone()),
            Place::S3 { bucket } => {
                location.s3 = Some(S3Location {
                    bucket: bucket.clone(),
                    path_style: endpoint.is_some(),
                    // Not every server that is not Amazon's knows the SDK's trailing ones.
                    checksums: match endpoint {
                        Some(_) => S3Checksums::WhenRequired,
                        None => S3Checksums::WhenSupported,
                    },
                    endpoint,
                });
            }
            Place::Azure { account, container } => {
                let usual = || format!("https://{account}.blob.core.windows.net");
                location.azure_blob = Some(AzureBlobLocation {
                    endpoint: endpoint.unwrap_or_else(usual),
                    container: container.clone(),
                });
                sas.clone_from(&environment.azure_sas.0.get("sasToken").cloned());
            }
            Place::Gcs { bucket } => {
                location.gcs = Some(GcsLocation {
                    bucket: bucket.clone(),
                    endpoint,
                });
            }
        }
        let at = self.location(environment);
        let mut region = at.region;
        if region == NO_REGION && at.provider == Provider::Aws {
            S3_REGION.clone_into(&mut region);
        }
        let (auth, secret) = self.auth(sas);
        Access::Cloud(Box::new(StoreAccess {
            name: self.to_string(),
            spec: ArtifactStoreSpec {
                provider: at.provider,
                region,
                jurisdiction: self.jurisdiction.clone(),
                location,
                auth,
            },
            secret,
        }))
    }

    fn auth(&self, sas: Option<String>) -> (StoreAuth, SecretValues) {
        let mut auth = StoreAuth::default();
        let mut secret = BTreeMap::new();
        match (self.is_anonymous, sas) {
            (true, _) => auth.anonymous = Some(Empty {}),
            (false, Some(sas)) => {
                auth.secret_ref = Some(ObjectName::new("AZURE_STORAGE_SAS_TOKEN"));
                secret.insert("sasToken".to_owned(), sas);
            }
            (false, None) => auth.ambient = Some(Empty {}),
        }
        (auth, SecretValues(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> StoreUrl {
        text.parse().unwrap()
    }

    #[test]
    fn urls_of_the_four_kinds_say_where_the_bytes_are() {
        let environment = Environment {
            aws_region: Some("eu-west-1".to_owned()),
            ..Environment::default()
        };
        for (text, shown, location) in [
            ("s3://models/", "s3://models", "aws/eu-west-1"),
            (
                "s3://models?region=us-east-2",
                "s3://models",
                "aws/us-east-2",
            ),
            (
                "az://acct/models?region=eastus",
                "az://acct/models",
                "azure/eastus",
            ),
            ("gs://models", "gs://models", "gcp/unknown"),
            ("file:///srv/models", "file:///srv/models", "onprem/unknown"),
        ] {
            let url = url(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.location(&environment).to_string(), location);
        }
        assert_eq!("aws".parse(), Ok(StoreRef::Hub("aws".to_owned())));
    }

    #[test]
    fn other_texts_are_refused_without_repeating_their_options() {
        for text in [
            "",
            "s3://",
            "s3://a/b",
            "az://acct",
            "gs:///",
            "file://relative",
            "ftp://a",
            "s3://a?sig=hunter2",
            "s3://a?region=",
            "s3://a?anonymous=no",
        ] {
            let refused = text.parse::<StoreRef>().unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn credentials_come_from_the_environment_or_not_at_all() {
        let values = [("sasToken".to_owned(), "sig=hunter2".to_owned())];
        let environment = Environment {
            azure_sas: SecretValues(values.into_iter().collect()),
            ..Environment::default()
        };
        let auth = |text: &str| match url(text).access(&environment, Some("http://127.0.0.1:1")) {
            Access::Cloud(access) => access.spec.auth,
            Access::Directory(path) => panic!("{path:?}"),
        };
        assert!(auth("az://a/c").secret_ref.is_some());
        assert!(auth("az://a/c?anonymous").anonymous.is_some());
        assert!(auth("s3://a").ambient.is_some());
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
