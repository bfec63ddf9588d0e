//! Images: a tag is resolved to a digest before anything is applied, so that every
//! cluster runs the same bytes.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use mcdeploy_api::ErrorClass;
use mcdeploy_registry::{
    Credentials, ImageName, RegistryCause, RegistryError, Repository, RepositoryAddress,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::exit::{ExitStatus, Failure, chain};

/// Bound on the whole look-up of a tag.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to look up tags of a registry instead of at its own name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Mirror {
    pub(crate) plain_http: bool,
    /// `host` or `host:port`.
    pub(crate) authority: String,
}

impl FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (plain_http, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://"))
        {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (false, ""),
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(format!(
                "{text:?} is no address of a registry: expected http://HOST:PORT or https://HOST"
            ));
        }
        Ok(Self {
            plain_http,
            authority: authority.to_owned(),
        })
    }
}

impl TryFrom<String> for Mirror {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Mirrors by registry name.
pub(crate) type Mirrors = BTreeMap<String, Mirror>;

/// Parses `REGISTRY=URL` of `--registry-mirror`.
pub(crate) fn parse_mirror(text: &str) -> Result<(String, Mirror), Failure> {
    let wrong = |why: String| Failure::new(ExitStatus::Usage, format!("--registry-mirror: {why}"));
    let (registry, url) = text
        .split_once('=')
        .ok_or_else(|| wrong(format!("{text:?} has no \"=\": expected REGISTRY=URL")))?;
    let mirror = url.parse().map_err(wrong)?;
    Ok((registry.to_owned(), mirror))
}

/// An image by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinnedImage {
    /// `registry/name@sha256:…`
    pub(crate) reference: String,
    /// What was written, when it was a tag.
    pub(crate) resolved_from: Option<String>,
}

/// Finds the digest of `image`. One that has a digest already is taken as it is, without
/// asking the registry.
pub(crate) async fn pin(image: &str, mirrors: &Mirrors) -> Result<PinnedImage, Failure> {
    let image: ImageName = image
        .parse()
        .map_err(|error| Failure::new(ExitStatus::Usage, chain(&error)))?;
    let name = format!("{}/{}", image.registry, image.name);
    if let Some(digest) = image.digest {
        return Ok(PinnedImage {
            reference: format!("{name}@{digest}"),
            resolved_from: None,
        });
    }
    let tag = image.tag.as_deref().unwrap_or("latest");
    let digest = look_up(&image, tag, mirrors).await?;
    Ok(PinnedImage {
        reference: format!("{name}@{digest}"),
        resolved_from: Some(format!("{name}:{tag}")),
    })
}

async fn look_up(image: &ImageName, tag: &str, mirrors: &Mirrors) -> Result<String, Failure> {
    let ImageName { registry, name, .. } = image;
    let wanted = format!("image {registry}/{name}:{tag}");
    let (plain_http, at, place) = match mirrors.get(registry) {
        Some(mirror) => {
            let at = mirror.authority.clone();
            let place = format!("at its mirror {at}");
            (mirror.plain_http, at, place)
        }
        None => (false, registry.clone(), format!("at {registry}")),
    };
    let address = RepositoryAddress {
        registry: at,
        name: name.clone(),
        plain_http,
    };
    let repository = Repository::new(address, Credentials::Anonymous);
    let cancel = CancellationToken::new();
    match tokio::time::timeout(LOOK_UP_TIMEOUT, repository.resolve(tag, &cancel)).await {
        Ok(Ok(digest)) => Ok(digest.to_string()),
        Ok(Err(error)) => Err(refused(&error, &wanted, &place)),
        Err(_) => Err(Failure::new(
            ExitStatus::Failed,
            format!(
                "{wanted}: no answer {place} within {} s",
                LOOK_UP_TIMEOUT.as_secs()
            ),
        )
        .hint(WITH_DIGEST)),
    }
}

const WITH_DIGEST: &str =
    "an image written with its digest (NAME@sha256:…) is taken without asking the registry";

fn refused(error: &RegistryError, wanted: &str, place: &str) -> Failure {
    if error.class() == ErrorClass::NotFound {
        return not_found(wanted, place);
    }
    let failure = if matches!(error.cause, RegistryCause::Denied { .. }) {
        Failure::new(
            ExitStatus::Auth,
            format!("{wanted}: the registry {place} refuses to answer without credentials"),
        )
    } else {
        Failure::new(
            ExitStatus::Failed,
            format!("{wanted}: cannot look it up {place}: {}", error.cause),
        )
    };
    failure.hint(WITH_DIGEST)
}

fn not_found(wanted: &str, place: &str) -> Failure {
    Failure::new(
        ExitStatus::NotFound,
        format!("{wanted} does not exist {place}"),
    )
    .hint("push the image, or name another with --image; nothing was applied")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_need_a_scheme_and_no_path() {
        let plain: Mirror = "http://10.203.0.10:5000/".parse().unwrap();
        assert!(plain.plain_http);
        assert_eq!(plain.authority, "10.203.0.10:5000");
        assert!(
            !"https://r.example.com"
                .parse::<Mirror>()
                .unwrap()
                .plain_http
        );
        for wrong in [
            "",
            "10.0.0.1:5000",
            "http://",
            "http://a/b",
            "ftp://a",
            "http://a b",
        ] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_digest_is_taken_without_asking() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = format!("registry.invalid/mcserve@{digest}");
        let pinned = pin(&image, &Mirrors::new()).await.unwrap();
        assert_eq!(pinned.reference, image);
        assert_eq!(pinned.resolved_from, None);
    }

    #[tokio::test]
    async fn a_text_that_is_no_image_is_a_usage_error() {
        let error = pin("UPPER case", &Mirrors::new()).await.unwrap_err();
        assert!(error.to_string().contains("is no image"), "{error}");
    }
}
