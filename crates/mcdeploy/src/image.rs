//! Images: a tag is resolved to a digest before anything is applied, so that every
//! cluster runs the same bytes.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    secrets::RegistryAuth,
};
use serde::Deserialize;

use crate::exit::{ExitStatus, Failure, chain};

/// Bound on the whole look-up of a tag.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where to look up tags of a registry instead of at its own name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Mirror {
    plain_http: bool,
    /// `host` or `host:port`.
    authority: String,
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
    let reference: Reference = image.parse().map_err(|error| {
        let text = format!("{image:?} is no image: {error}; expected REGISTRY/NAME:TAG");
        Failure::new(ExitStatus::Usage, text)
    })?;
    let name = format!("{}/{}", reference.registry(), reference.repository());
    if let Some(digest) = reference.digest() {
        return Ok(PinnedImage {
            reference: format!("{name}@{digest}"),
            resolved_from: None,
        });
    }
    let tag = reference.tag().unwrap_or("latest");
    let digest = look_up(&reference, tag, mirrors).await?;
    Ok(PinnedImage {
        reference: format!("{name}@{digest}"),
        resolved_from: Some(format!("{name}:{tag}")),
    })
}

async fn look_up(reference: &Reference, tag: &str, mirrors: &Mirrors) -> Result<String, Failure> {
    let registry = reference.registry();
    let mirror = mirrors.get(registry);
    let (plain_http, at) = match mirror {
        Some(mirror) => (mirror.plain_http, mirror.authority.as_str()),
        None => (false, registry),
    };
    let client = Client::new(ClientConfig {
        protocol: if plain_http {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        },
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(LOOK_UP_TIMEOUT),
        ..ClientConfig::default()
    });
    let repository = reference.repository();
    let asked = Reference::with_tag(at.to_owned(), repository.to_owned(), tag.to_owned());
    let wanted = format!("image {registry}/{repository}:{tag}");
    let place = match mirror {
        Some(_) => format!("at its mirror {at}"),
        None => format!("at {registry}"),
    };
    let call = client.fetch_manifest_digest(&asked, &RegistryAuth::Anonymous);
    match tokio::time::timeout(LOOK_UP_TIMEOUT, call).await {
        Ok(Ok(digest)) => Ok(digest),
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

fn refused(error: &OciDistributionError, wanted: &str, place: &str) -> Failure {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_)
        | OciDistributionError::ServerError { code: 404, .. } => not_found(wanted, place),
        OciDistributionError::RegistryError { envelope, .. }
            if envelope.errors.iter().any(|error| {
                matches!(
                    error.code,
                    OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                )
            }) =>
        {
            not_found(wanted, place)
        }
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_) => Failure::new(
            ExitStatus::Auth,
            format!("{wanted}: the registry {place} refuses to answer without credentials"),
        )
        .hint(WITH_DIGEST),
        other => Failure::new(
            ExitStatus::Failed,
            format!("{wanted}: cannot look it up {place}: {}", chain(other)),
        )
        .hint(WITH_DIGEST),
    }
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
